#pragma once
// c10d wants torch::CustomClassHolder alone, which is declared here.
#include <ATen/core/ivalue.h>

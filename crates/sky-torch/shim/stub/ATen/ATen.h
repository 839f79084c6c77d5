#pragma once
// c10d's declarations want tensors, not every operator.
#include <ATen/core/Tensor.h>

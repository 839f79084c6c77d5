// What tch lacks, behind a C interface.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <dlfcn.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "guard.h"

using sky::guarded;

namespace {
std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t n) {
  std::vector<at::Tensor> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(*tensors[i]);
  return out;
}
}  // namespace

extern "C" {

const char* sky_last_error() { return sky::last_error.c_str(); }

// A vector of zeros in pinned memory, of an element's width: f32, bf16 or u8.
int sky_pinned_zeros(int64_t length, int width, at::Tensor** result) {
  return guarded([&] {
    const auto kind = width == 4 ? at::kFloat : width == 2 ? at::kBFloat16 : at::kByte;
    *result = new at::Tensor(at::zeros({length}, at::TensorOptions().dtype(kind).pinned_memory(true)));
  });
}

// The same bits from the same run on a GPU: kernels that add in no fixed order are not taken, and an operation that has no other
// is an error. With warnings alone attention's backward pass would stay as it is.
void sky_deterministic() {
  // cuBLAS wants a workspace of its own for it; what the user has set counts.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

// result[i] = gradient with respect to inputs[i] of sum_j <outputs[j], upstream[j]>; null where an input was not used.
int sky_backward(at::Tensor* const* outputs, at::Tensor* const* upstream, size_t n_outputs, at::Tensor* const* inputs,
                 size_t n_inputs, at::Tensor** result) {
  return guarded([&] {
    torch::autograd::edge_list roots, leaves;
    for (size_t i = 0; i < n_outputs; ++i) roots.push_back(torch::autograd::impl::gradient_edge(*outputs[i]));
    for (size_t i = 0; i < n_inputs; ++i) leaves.push_back(torch::autograd::impl::gradient_edge(*inputs[i]));
    auto grads = torch::autograd::Engine::get_default_engine().execute(
        roots, list(upstream, n_outputs), /*keep_graph=*/false, /*create_graph=*/false, /*accumulate_grad=*/false,
        leaves);
    for (size_t i = 0; i < n_inputs; ++i) result[i] = grads[i].defined() ? new at::Tensor(grads[i]) : nullptr;
  });
}

int sky_fused_adamw(at::Tensor* const* params, at::Tensor* const* grads, at::Tensor* const* exp_avgs,
                    at::Tensor* const* exp_avg_sqs, at::Tensor* const* steps, size_t n, double lr, double beta1,
                    double beta2, double weight_decay, double eps) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    auto p = list(params, n), g = list(grads, n), m = list(exp_avgs, n), v = list(exp_avg_sqs, n), s = list(steps, n);
    at::_fused_adamw_(p, g, m, v, {}, s, lr, beta1, beta2, weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false);
  });
}

int sky_dlopen_global(const char* library) {
  return guarded([&] {
    if (dlopen(library, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      const char* reason = dlerror();
      throw std::runtime_error(reason ? reason : "dlopen failed");
    }
  });
}
}

// libtorch's flash attention over documents packed end to end, on a GPU: one kernel for all of them, whatever their lengths. Not
// yet run on one.
#include <ATen/core/Tensor.h>
#include <ATen/ops/_flash_attention_forward.h>

#include <stdexcept>

#include "guard.h"

using at::Tensor;
using sky::guarded;

extern "C" {

// `starts` is i32 on the same GPU; the gradient is libtorch's own.
int sky_varlen_attention(const Tensor* q, const Tensor* k, const Tensor* v, const Tensor* starts, int64_t longest, Tensor** result) {
  return guarded([&] {
    if (!q->is_cuda()) throw std::invalid_argument("tensors that are not on a GPU");
    // Scores are scaled by 1 / sqrt(width) where nothing else is said.
    auto found = at::_flash_attention_forward(*q, *k, *v, *starts, *starts, longest, longest, /*dropout_p=*/0.0, /*is_causal=*/true,
                                              /*return_debug_mask=*/false);
    *result = new Tensor(std::get<0>(found).flatten(1));
  });
}
}

// The optimizer's step of mixed-precision training in one pass over memory: a gradient in f32 or bf16 in, f32 master weights
// and moments brought up to date, weights in bf16 out. That is 28 bytes a parameter read and written with a bf16 gradient and
// bf16 weights, 28 with an f32 gradient alone.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "guard.h"
#include "rows.h"

using at::Tensor;
using sky::bf16;
using sky::guarded;

namespace {

// Elements that one task takes.
constexpr int64_t ELEMENTS = 1 << 15;
// Elements whose new weights are still in the first cache when they are rounded.
constexpr int64_t PIECE = 1 << 11;

struct Numbers {
  float scale, keep, first, second, second_new, size, root, eps;
};

template <class G>
SKY_INLINE void step_run(float* __restrict p, const G* __restrict g, float* __restrict m, float* __restrict v, int64_t n, const Numbers& of) {
  const Numbers k = of;
  for (int64_t i = 0; i < n; ++i) {
    float x = sky::wide(g[i]) * k.scale;
    float a = m[i] + k.first * (x - m[i]);
    float b = k.second * v[i] + k.second_new * x * x;
    m[i] = a;
    v[i] = b;
    p[i] = p[i] * k.keep - k.size * a / (sqrtf(b) * k.root + k.eps);
  }
}
SKY_CLONES void step(float* p, const float* g, float* m, float* v, int64_t n, const Numbers& k) { step_run(p, g, m, v, n, k); }
SKY_CLONES void step(float* p, const bf16* g, float* m, float* v, int64_t n, const Numbers& k) { step_run(p, g, m, v, n, k); }

SKY_CLONES void round(const float* p, int64_t n, bf16* w) {
  for (int64_t i = 0; i < n; ++i) sky::put(&w[i], p[i]);
}

template <class G>
void run(float* p, const G* g, float* m, float* v, bf16* w, int64_t n, const Numbers& k) {
  at::parallel_for(0, n, ELEMENTS, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += PIECE) {
      const int64_t count = std::min(PIECE, end - i);
      step(p + i, g + i, m + i, v + i, count, k);
      if (w) round(p + i, count, w + i);
    }
  });
}

void require(bool good, const char* what) {
  if (!good) throw std::invalid_argument(what);
}

bool is(const Tensor& t, at::ScalarType kind) { return t.is_cpu() && t.is_contiguous() && t.scalar_type() == kind; }

}  // namespace

extern "C" {

// `weights` may be null. `step` is this one's number, from 1.
int sky_adamw_pass(const Tensor* master, const Tensor* grad, const Tensor* exp_avg, const Tensor* exp_avg_sq, const Tensor* weights,
                   double scale, double lr, double beta1, double beta2, double weight_decay, double eps, double step) {
  return guarded([&] {
    for (const Tensor* t : {master, exp_avg, exp_avg_sq})
      require(is(*t, at::kFloat) && t->sizes() == master->sizes(), "master weights and moments that are not f32, on the CPU and of one shape");
    const bool narrow = is(*grad, at::kBFloat16);
    require((narrow || is(*grad, at::kFloat)) && grad->sizes() == master->sizes(), "a gradient of another shape or kind");
    require(!weights || (is(*weights, at::kBFloat16) && weights->sizes() == master->sizes()), "weights of another shape or not in bf16");
    require(step >= 1, "a step before the first");
    const Numbers k = {float(scale), float(1 - lr * weight_decay), float(1 - beta1), float(beta2), float(1 - beta2),
                       float(lr / (1 - std::pow(beta1, step))), float(1 / std::sqrt(1 - std::pow(beta2, step))), float(eps)};
    float *p = master->data_ptr<float>(), *m = exp_avg->data_ptr<float>(), *v = exp_avg_sq->data_ptr<float>();
    bf16* w = weights ? static_cast<bf16*>(weights->data_ptr()) : nullptr;
    if (narrow) run(p, static_cast<const bf16*>(grad->data_ptr()), m, v, w, master->numel(), k);
    else run(p, static_cast<const float*>(grad->data_ptr()), m, v, w, master->numel(), k);
  });
}
}

// The optimizer's step in one pass over memory: a gradient in, master weights and states updated, weights in bf16
// out where these are apart. Arithmetic is f32. With all state in f32 that is 28 bytes a parameter read and written, with a bf16
// gradient and bf16 weights as with an f32 gradient alone; with master weights and optimizer states in bf16 it is 14 or 16.
//
// State in bf16 is rounded stochastically: up with a probability that grows with the distance from the lower neighbour. Rounded to
// the nearest, a change of less than a 256th would be lost, every time. `store_stochastic` is this rounding in the fused path. Its
// twin in Rust, for the unfused path, is crates/sky-train/src/optim/stochastic_rounding.rs: change both together.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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

// Stochastic rounding: adds `random_bits`, 16 of them, to the bits that a bf16 has not. Sign and magnitude are apart in a float: up is
// away from zero. What is no number, or infinite, stays so.
SKY_INLINE void store_stochastic(float* to, float x, uint32_t) { *to = x; }
SKY_INLINE void store_stochastic(bf16* to, float x, uint32_t random_bits) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  const bool finite = (bits & 0x7f800000) != 0x7f800000;
  *to = bf16((bits + (finite ? random_bits : 0)) >> 16) | bf16(x != x);
}

// Of each 32 random bits, one half is for the optimizer states, one for the master weights.
template <class P, class G, class M>
SKY_INLINE void step_run(P* __restrict p, const G* __restrict g, M* __restrict m, M* __restrict v, int64_t n, const uint32_t* __restrict rounding_bits,
                         const Numbers& of) {
  const Numbers k = of;
  constexpr bool exact = sizeof(P) == 4 && sizeof(M) == 4;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t random_bits = exact ? 0 : rounding_bits[i];
    float x = sky::wide(g[i]) * k.scale, old = sky::wide(m[i]);
    float a = old + k.first * (x - old);
    float b = k.second * sky::wide(v[i]) + k.second_new * x * x;
    store_stochastic(&m[i], a, random_bits >> 16);
    store_stochastic(&v[i], b, random_bits >> 16);
    store_stochastic(&p[i], sky::wide(p[i]) * k.keep - k.size * a / (sqrtf(b) * k.root + k.eps), random_bits & 0xffff);
  }
}
#define SKY_STEP(P, G, M)                                                                                                  \
  SKY_CLONES void step(P* p, const G* g, M* m, M* v, int64_t n, const uint32_t* rounding_bits, const Numbers& k) { \
    step_run(p, g, m, v, n, rounding_bits, k);                                                                                   \
  }
SKY_STEP(float, float, float)
SKY_STEP(float, bf16, float)
SKY_STEP(float, float, bf16)
SKY_STEP(float, bf16, bf16)
SKY_STEP(bf16, float, float)
SKY_STEP(bf16, bf16, float)
SKY_STEP(bf16, float, bf16)
SKY_STEP(bf16, bf16, bf16)

SKY_CLONES void round(const float* p, int64_t n, bf16* w) {
  for (int64_t i = 0; i < n; ++i) sky::put(&w[i], p[i]);
}
void round(const bf16*, int64_t, bf16*) {}

// Rounding bits for the elements from number `at` on: a table whose length is a power of two, used again and again.
struct RoundingBits {
  const uint32_t* table;
  int64_t length, at;
};

template <class P, class G, class M>
void run(P* p, const G* g, M* m, M* v, bf16* w, int64_t n, const RoundingBits& by, const Numbers& k) {
  at::parallel_for(0, n, ELEMENTS, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin, count; i < end; i += count) {
      const int64_t place = (by.at + i) & (by.length - 1);
      count = std::min({PIECE, end - i, by.length - place});
      step(p + i, g + i, m + i, v + i, count, by.table ? by.table + place : nullptr, k);
      if (w) round(p + i, count, w + i);
    }
  });
}

void require(bool good, const char* what) {
  if (!good) throw std::invalid_argument(what);
}

// Calls body with the elements.
template <class F>
void by_kind(const Tensor& t, F body) {
  if (t.scalar_type() == at::kBFloat16) body(static_cast<bf16*>(t.data_ptr()));
  else body(static_cast<float*>(t.data_ptr()));
}

bool is(const Tensor& t, at::ScalarType kind) { return t.is_cpu() && t.is_contiguous() && t.scalar_type() == kind; }

}  // namespace

extern "C" {

// `weights` and `rounding_bits` may be null: these are i32, as many as a power of two, and needed for what is in bf16; `at` is the
// number of the first element. `number` is this step's, from 1.
int sky_adamw_pass(const Tensor* master, const Tensor* grad, const Tensor* exp_avg, const Tensor* exp_avg_sq, const Tensor* weights,
                   const Tensor* rounding_bits, int64_t at, double scale, double lr, double beta1, double beta2, double weight_decay, double eps,
                   double number) {
  return guarded([&] {
    for (const Tensor* t : {master, exp_avg, exp_avg_sq, grad})
      require((is(*t, at::kFloat) || is(*t, at::kBFloat16)) && t->sizes() == master->sizes(), "vectors that are not f32 or bf16, on the CPU and of one shape");
    require(exp_avg->scalar_type() == exp_avg_sq->scalar_type(), "exp_avg and exp_avg_sq of different dtypes");
    require(!weights || (is(*weights, at::kBFloat16) && weights->sizes() == master->sizes()), "weights of another shape or not in bf16");
    require(!weights || is(*master, at::kFloat), "weights beside master weights of their own kind");
    const bool exact = is(*master, at::kFloat) && is(*exp_avg, at::kFloat);
    require(exact || rounding_bits, "nothing to round by");
    require(number >= 1 && at >= 0, "a step or an element before the first");
    RoundingBits by = {nullptr, int64_t(1) << 62, at};
    if (rounding_bits) {
      require(is(*rounding_bits, at::kInt) && rounding_bits->numel() > 0 && (rounding_bits->numel() & (rounding_bits->numel() - 1)) == 0, "rounding bits that are not i32, on the CPU and as many as a power of two");
      by.table = reinterpret_cast<const uint32_t*>(rounding_bits->data_ptr<int32_t>());
      by.length = rounding_bits->numel();
    }
    const Numbers k = {float(scale), float(1 - lr * weight_decay), float(1 - beta1), float(beta2), float(1 - beta2),
                       float(lr / (1 - std::pow(beta1, number))), float(1 / std::sqrt(1 - std::pow(beta2, number))), float(eps)};
    bf16* w = weights ? static_cast<bf16*>(weights->data_ptr()) : nullptr;
    by_kind(*master, [&](auto* p) {
      by_kind(*grad, [&](auto* g) {
        by_kind(*exp_avg, [&](auto* m) { run(p, g, m, static_cast<decltype(m)>(exp_avg_sq->data_ptr()), w, master->numel(), by, k); });
      });
    });
  });
}
}

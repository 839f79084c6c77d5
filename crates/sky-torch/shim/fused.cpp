// Operations of a transformer block that libtorch takes many passes over memory for, in one pass each, on a CPU in f32 or
// bf16. Arithmetic is f32; what is kept in between is rounded to the tensors' kind where the unfused form rounds it.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "guard.h"
#include "rows.h"

using at::Tensor;
using sky::bf16;
using sky::guarded;

namespace {

// Rows that one task takes, and that one partial sum of a weight's gradient is over: fixed, so that the sums are the same
// whatever the number of threads.
constexpr int64_t ROWS = 64;
// Elements that one task takes where there are no rows.
constexpr int64_t ELEMENTS = 1 << 14;

template <class T>
SKY_INLINE float norm_row(const T* x, const T* w, int64_t n, float eps, T* y) {
  float r = 1.0f / sqrtf(sky::sum_over(n, [&](int64_t i) { return sky::wide(x[i]) * sky::wide(x[i]); }) / float(n) + eps);
  for (int64_t i = 0; i < n; ++i) sky::put(&y[i], sky::kept<T>(sky::wide(x[i]) * r) * sky::wide(w[i]));
  return r;
}
SKY_CLONES float norm(const float* x, const float* w, int64_t n, float eps, float* y) { return norm_row(x, w, n, eps, y); }
SKY_CLONES float norm(const bf16* x, const bf16* w, int64_t n, float eps, bf16* y) { return norm_row(x, w, n, eps, y); }

// Adds this row's share to the gradient of the weight `dw`, if there is one.
template <class T>
SKY_INLINE void norm_back_row(const T* x, const T* w, const T* g, float r, int64_t n, T* dx, float* dw) {
  float dot = sky::sum_over(n, [&](int64_t i) { return sky::wide(g[i]) * sky::wide(w[i]) * sky::wide(x[i]); });
  float pull = dot * r * r / float(n);
  for (int64_t i = 0; i < n; ++i)
    sky::put(&dx[i], r * (sky::wide(g[i]) * sky::wide(w[i]) - sky::wide(x[i]) * pull));
  if (dw)
    for (int64_t i = 0; i < n; ++i) dw[i] += sky::wide(g[i]) * sky::kept<T>(sky::wide(x[i]) * r);
}
SKY_CLONES void norm_back(const float* x, const float* w, const float* g, float r, int64_t n, float* dx, float* dw) {
  norm_back_row(x, w, g, r, n, dx, dw);
}
SKY_CLONES void norm_back(const bf16* x, const bf16* w, const bf16* g, float r, int64_t n, bf16* dx, float* dw) {
  norm_back_row(x, w, g, r, n, dx, dw);
}

template <class T>
SKY_INLINE void swiglu_row(const T* gate, const T* up, int64_t n, T* y) {
  for (int64_t i = 0; i < n; ++i) {
    float g = sky::wide(gate[i]);
    sky::put(&y[i], sky::kept<T>(g * sky::sigmoid(g)) * sky::wide(up[i]));
  }
}
SKY_CLONES void swiglu(const float* gate, const float* up, int64_t n, float* y) { swiglu_row(gate, up, n, y); }
SKY_CLONES void swiglu(const bf16* gate, const bf16* up, int64_t n, bf16* y) { swiglu_row(gate, up, n, y); }

template <class T>
SKY_INLINE void swiglu_back_row(const T* gate, const T* up, const T* dy, int64_t n, T* dgate, T* dup) {
  for (int64_t i = 0; i < n; ++i) {
    float g = sky::wide(gate[i]), d = sky::wide(dy[i]), s = sky::sigmoid(g);
    sky::put(&dup[i], d * sky::kept<T>(g * s));
    sky::put(&dgate[i], d * sky::wide(up[i]) * (s * (1.0f + g * (1.0f - s))));
  }
}
SKY_CLONES void swiglu_back(const float* g, const float* u, const float* dy, int64_t n, float* dg, float* du) {
  swiglu_back_row(g, u, dy, n, dg, du);
}
SKY_CLONES void swiglu_back(const bf16* g, const bf16* u, const bf16* dy, int64_t n, bf16* dg, bf16* du) {
  swiglu_back_row(g, u, dy, n, dg, du);
}

// All heads of one token; `sign` is -1 to turn back.
template <class T>
SKY_INLINE void rotary_row(const T* x, const T* cos, const T* sin, int64_t heads, int64_t half, float sign, T* y) {
  for (int64_t h = 0; h < heads; ++h) {
    const T* a = x + 2 * h * half;
    const T* b = a + half;
    T* out = y + 2 * h * half;
    for (int64_t i = 0; i < half; ++i) {
      float c = sky::wide(cos[i]), s = sky::wide(sin[i]) * sign, p = sky::wide(a[i]), q = sky::wide(b[i]);
      sky::put(&out[i], p * c - q * s);
      sky::put(&out[half + i], q * c + p * s);
    }
  }
}
SKY_CLONES void rotary(const float* x, const float* cos, const float* sin, int64_t heads, int64_t half, float sign, float* y) {
  rotary_row(x, cos, sin, heads, half, sign, y);
}
SKY_CLONES void rotary(const bf16* x, const bf16* cos, const bf16* sin, int64_t heads, int64_t half, float sign, bf16* y) {
  rotary_row(x, cos, sin, heads, half, sign, y);
}

// The loss of one token, whose logits become their gradient.
template <class T>
SKY_INLINE float entropy_row(T* x, int64_t n, int64_t target, float scale, float z_loss) {
  float most = sky::max_over(n, [&](int64_t i) { return sky::wide(x[i]); });
  float sum = sky::sum_over(n, [&](int64_t i) { return sky::exponential(sky::wide(x[i]) - most); });
  float log_z = most + logf(sum);
  float loss = log_z - sky::wide(x[target]);
  float share = scale * (1.0f + 2.0f * z_loss * log_z) / sum;
  float at_target = sky::exponential(sky::wide(x[target]) - most) * share - scale;
  for (int64_t i = 0; i < n; ++i) sky::put(&x[i], sky::exponential(sky::wide(x[i]) - most) * share);
  sky::put(&x[target], at_target);
  return loss;
}
SKY_CLONES float entropy(float* x, int64_t n, int64_t target, float scale, float z) { return entropy_row(x, n, target, scale, z); }
SKY_CLONES float entropy(bf16* x, int64_t n, int64_t target, float scale, float z) { return entropy_row(x, n, target, scale, z); }

template <class T>
SKY_INLINE void add_row(const T* x, int64_t n, float* sum) {
  for (int64_t i = 0; i < n; ++i) sum[i] += sky::wide(x[i]);
}
SKY_CLONES void add(const float* x, int64_t n, float* sum) { add_row(x, n, sum); }
SKY_CLONES void add(const bf16* x, int64_t n, float* sum) { add_row(x, n, sum); }

void require(bool good, const char* what) {
  if (!good) throw std::invalid_argument(what);
}

bool is_bf16(const Tensor& t) { return t.scalar_type() == at::kBFloat16; }

void plain(std::initializer_list<const Tensor*> tensors) {
  const Tensor& first = **tensors.begin();
  require(is_bf16(first) || first.scalar_type() == at::kFloat, "neither f32 nor bf16");
  for (const Tensor* t : tensors)
    require(t->is_cpu() && t->is_contiguous() && t->scalar_type() == first.scalar_type(),
            "tensors that are not contiguous, on the CPU and of one kind");
}

// Calls body with a null pointer of the element type.
template <class F>
void by_kind(const Tensor& t, F body) {
  if (is_bf16(t)) body(static_cast<bf16*>(nullptr));
  else body(static_cast<float*>(nullptr));
}
template <class T>
T* data(const Tensor& t, T*) { return static_cast<T*>(t.data_ptr()); }

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static Tensor forward(torch::autograd::AutogradContext* ctx, Tensor x, const Tensor& w, double eps) {
    x = x.contiguous();
    plain({&x, &w});
    const int64_t n = w.numel();
    require(w.dim() == 1 && n > 0 && x.dim() > 0 && x.size(-1) == n, "a weight of another width");
    const int64_t rows = x.numel() / n;
    Tensor y = at::empty_like(x), r = at::empty({rows}, x.options().dtype(at::kFloat));
    by_kind(x, [&](auto* kind) {
      auto *from = data(x, kind), *weight = data(w, kind), *to = data(y, kind);
      float* scales = r.data_ptr<float>();
      at::parallel_for(0, rows, ROWS, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) scales[i] = norm(from + i * n, weight, n, float(eps), to + i * n);
      });
    });
    ctx->save_for_backward({x, w, r});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], &r = saved[2];
    const Tensor g = grads[0].contiguous();
    const int64_t n = w.numel(), rows = x.numel() / n, parts = (rows + ROWS - 1) / ROWS;
    const bool of_weight = ctx->needs_input_grad(1);
    Tensor dx = at::empty_like(x), dw;
    Tensor partial = of_weight ? at::zeros({parts, n}, r.options()) : at::empty({0}, r.options());
    plain({&x, &w, &g});
    by_kind(x, [&](auto* kind) {
      auto *from = data(x, kind), *weight = data(w, kind), *up = data(g, kind), *to = data(dx, kind);
      float *scales = r.data_ptr<float>(), *sums = of_weight ? partial.data_ptr<float>() : nullptr;
      at::parallel_for(0, parts, 1, [=](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; ++part)
          for (int64_t i = part * ROWS; i < std::min(rows, (part + 1) * ROWS); ++i)
            norm_back(from + i * n, weight, up + i * n, scales[i], n, to + i * n, sums ? sums + part * n : nullptr);
      });
      if (of_weight) {
        for (int64_t part = 1; part < parts; ++part) add(sums + part * n, n, sums);
        dw = parts > 0 ? partial[0].to(w.scalar_type()) : at::zeros({n}, w.options());
      }
    });
    return {dx, dw, Tensor()};
  }
};

struct Swiglu : torch::autograd::Function<Swiglu> {
  static Tensor forward(torch::autograd::AutogradContext* ctx, Tensor gate, Tensor up) {
    gate = gate.contiguous(), up = up.contiguous();
    plain({&gate, &up});
    require(gate.sizes() == up.sizes(), "gate and up of different shapes");
    Tensor y = at::empty_like(gate);
    by_kind(gate, [&](auto* kind) {
      auto *g = data(gate, kind), *u = data(up, kind), *to = data(y, kind);
      at::parallel_for(0, y.numel(), ELEMENTS, [=](int64_t begin, int64_t end) { swiglu(g + begin, u + begin, end - begin, to + begin); });
    });
    ctx->save_for_backward({gate, up});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor dy = grads[0].contiguous();
    Tensor dgate = at::empty_like(saved[0]), dup = at::empty_like(saved[1]);
    plain({&saved[0], &saved[1], &dy});
    by_kind(dy, [&](auto* kind) {
      auto *g = data(saved[0], kind), *u = data(saved[1], kind), *d = data(dy, kind), *dg = data(dgate, kind), *du = data(dup, kind);
      at::parallel_for(0, dy.numel(), ELEMENTS, [=](int64_t begin, int64_t end) {
        swiglu_back(g + begin, u + begin, d + begin, end - begin, dg + begin, du + begin);
      });
    });
    return {dgate, dup};
  }
};

// x [tokens, heads, 2 half], tables [tokens, 1, half].
Tensor rotated(const Tensor& x, const Tensor& cos, const Tensor& sin, float sign) {
  plain({&x, &cos, &sin});
  require(x.dim() == 3 && x.size(2) % 2 == 0 && cos.sizes() == sin.sizes() && cos.numel() == x.size(0) * (x.size(2) / 2),
          "tables that are not those of the tokens");
  const int64_t heads = x.size(1), half = x.size(2) / 2;
  Tensor y = at::empty_like(x);
  by_kind(x, [&](auto* kind) {
    auto *from = data(x, kind), *c = data(cos, kind), *s = data(sin, kind), *to = data(y, kind);
    at::parallel_for(0, x.size(0), ROWS, [=](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        rotary(from + t * heads * 2 * half, c + t * half, s + t * half, heads, half, sign, to + t * heads * 2 * half);
    });
  });
  return y;
}

struct Rotary : torch::autograd::Function<Rotary> {
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& cos, const Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return rotated(x.contiguous(), cos, sin, 1);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    return {rotated(grads[0].contiguous(), saved[0], saved[1], -1), Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

int sky_rms_norm(const Tensor* x, const Tensor* w, double eps, Tensor** result) {
  return guarded([&] { *result = new Tensor(RmsNorm::apply(*x, *w, eps)); });
}

int sky_swiglu(const Tensor* gate, const Tensor* up, Tensor** result) {
  return guarded([&] { *result = new Tensor(Swiglu::apply(*gate, *up)); });
}

int sky_rotary(const Tensor* x, const Tensor* cos, const Tensor* sin, Tensor** result) {
  return guarded([&] { *result = new Tensor(Rotary::apply(*x, *cos, *sin)); });
}

// The losses of all rows, f32; the logits become the gradient of `scale` times their sum and that of z-loss.
int sky_cross_entropy(const Tensor* logits, const Tensor* targets, double scale, double z_loss, Tensor** result) {
  return guarded([&] {
    plain({logits});
    require(targets->is_cpu() && targets->is_contiguous() && targets->scalar_type() == at::kLong, "targets that are not i64 on the CPU");
    require(logits->dim() == 2 && targets->dim() == 1 && targets->size(0) == logits->size(0), "not one target a row");
    const int64_t rows = logits->size(0), n = logits->size(1);
    const int64_t* classes = targets->data_ptr<int64_t>();
    for (int64_t i = 0; i < rows; ++i) require(classes[i] >= 0 && classes[i] < n, "a target outside the vocabulary");
    Tensor losses = at::empty({rows}, logits->options().dtype(at::kFloat));
    float* to = losses.data_ptr<float>();
    by_kind(*logits, [&](auto* kind) {
      auto* x = data(*logits, kind);
      at::parallel_for(0, rows, 1, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) to[i] = entropy(x + i * n, n, classes[i], float(scale), float(z_loss));
      });
    });
    *result = new Tensor(losses);
  });
}

// sum += x, f32 += f32 or bf16.
int sky_accumulate(const Tensor* sum, const Tensor* x) {
  return guarded([&] {
    plain({x});
    require(sum->is_cpu() && sum->is_contiguous() && sum->scalar_type() == at::kFloat && sum->sizes() == x->sizes(), "a sum of another shape or kind");
    float* to = sum->data_ptr<float>();
    by_kind(*x, [&](auto* kind) {
      auto* from = data(*x, kind);
      at::parallel_for(0, x->numel(), ELEMENTS, [=](int64_t begin, int64_t end) { add(from + begin, end - begin, to + begin); });
    });
  });
}
}

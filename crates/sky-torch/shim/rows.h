// Row kernels of the fused operations: plain loops over f32 and bf16 that a compiler turns into vector code, once for each
// instruction set named in SKY_CLONES; which one runs is chosen when the program starts.
//
// Sums go through sixteen lanes in a fixed order, so that a row's result depends on the row alone.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SKY_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SKY_CLONES
#endif
#define SKY_INLINE static inline __attribute__((always_inline))

namespace sky {

using bf16 = uint16_t;

SKY_INLINE float wide(float x) { return x; }
SKY_INLINE float wide(bf16 x) {
  uint32_t bits = uint32_t(x) << 16;
  float out;
  memcpy(&out, &bits, 4);
  return out;
}

SKY_INLINE void put(float* to, float x) { *to = x; }
// To the nearest, ties to even; a NaN stays one.
SKY_INLINE void put(bf16* to, float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  *to = x == x ? bf16(rounded) : bf16(0x7fc0);
}

// What `x` becomes when it is kept in T.
template <class T>
SKY_INLINE float kept(float x) {
  T out;
  put(&out, x);
  return wide(out);
}

// e^x to two units in the last place (the polynomial is Cephes' expf): 2^n e^r with |r| <= ln 2 / 2.
SKY_INLINE float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  float n = x * 1.44269504088896341f + 12582912.0f;
  int32_t power;
  memcpy(&power, &n, 4);
  n -= 12582912.0f;
  float r = x - n * 0.693359375f;
  r += n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  uint32_t scale = uint32_t(power - 0x4b400000 + 127) << 23;
  float out;
  memcpy(&out, &scale, 4);
  return p * out;
}

SKY_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

constexpr int LANES = 16;

SKY_INLINE float total(const float* lanes) {
  float sum = 0;
  for (int k = 0; k < LANES; ++k) sum += lanes[k];
  return sum;
}

// sum of f(i) over i in [0, n)
template <class F>
SKY_INLINE float sum_over(int64_t n, F f) {
  float lanes[LANES] = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; ++k) lanes[k] += f(i + k);
  for (; i < n; ++i) lanes[0] += f(i);
  return total(lanes);
}

template <class F>
SKY_INLINE float max_over(int64_t n, F f) {
  float lanes[LANES];
  for (int k = 0; k < LANES; ++k) lanes[k] = f(0);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; ++k) lanes[k] = f(i + k) > lanes[k] ? f(i + k) : lanes[k];
  float most = lanes[0];
  for (; i < n; ++i) most = f(i) > most ? f(i) : most;
  for (int k = 1; k < LANES; ++k) most = lanes[k] > most ? lanes[k] : most;
  return most;
}

}  // namespace sky

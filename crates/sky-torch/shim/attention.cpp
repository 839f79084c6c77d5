// Causal attention inside each of the documents that are packed end to end, on a CPU that multiplies bf16 itself. Scores exist
// for one tile at a time, as in FlashAttention (Dao et al., 2022); the products are oneDNN's, which libtorch brings. Its own
// attention widens every tile to f32 on such a CPU, which takes three to four times as long.
//
// A product wants its right-hand side in pairs: two rows that are summed over lie side by side, as one 32-bit number for each
// column. One task is one head of one document, whatever the number of threads: so the results are the same for any.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "guard.h"
#include "rows.h"

using at::Tensor;
using sky::bf16;
using sky::guarded;

namespace {

// Queries, and keys, of one tile.
constexpr int64_t TILE = 64;
// Keys whose scores one tile of queries meets at once in the forward pass.
constexpr int64_t STRIP = 8 * TILE;

int64_t tiles(int64_t rows) { return (rows + TILE - 1) / TILE; }

// to = a b, or to += a b, in f32: a is [rows, depth] with `step` elements from row to row, b pairs of [depth, columns].
void product(int64_t rows, int64_t columns, int64_t depth, const bf16* a, int64_t step, const uint32_t* b, bool add, float* to, int64_t to_step) {
  at::native::cpublas::brgemm(rows, columns, depth, step, columns, to_step, add, reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), to);
}

// Whether this processor multiplies bf16 and libtorch's product is there for it.
bool products_work() {
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool work = [] {
    if (!__builtin_cpu_supports("avx512bf16")) return false;
    std::vector<bf16> a(TILE * TILE);
    std::vector<uint32_t> b(TILE * TILE / 2);
    std::vector<float> to(TILE * TILE);
    try {
      product(TILE, TILE, TILE, a.data(), TILE, b.data(), false, to.data(), TILE);
      at::native::cpublas::brgemm_release();
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }();
  return work;
#else
  return false;
#endif
}

// `count` rows of a tile, zeros below them.
void tile_of(const bf16* from, int64_t step, int64_t count, int64_t width, bf16* to) {
  for (int64_t r = 0; r < count; ++r) memcpy(to + r * width, from + r * step, width * sizeof(bf16));
  memset(to + count * width, 0, (TILE - count) * width * sizeof(bf16));
}

// Pairs of a tile: [TILE / 2, width].
SKY_CLONES void pairs_of(const bf16* tile, int64_t width, uint32_t* to) {
  for (int64_t r = 0; r < TILE; r += 2)
    for (int64_t c = 0; c < width; ++c)
      to[r / 2 * width + c] = uint32_t(tile[r * width + c]) | uint32_t(tile[(r + 1) * width + c]) << 16;
}

// Pairs of a tile laid on its side: [width / 2, TILE].
SKY_CLONES void pairs_turned(const bf16* tile, int64_t width, uint32_t* to) {
  for (int64_t c = 0; c < width; c += 2)
    for (int64_t r = 0; r < TILE; ++r)
      to[c / 2 * TILE + r] = uint32_t(tile[r * width + c]) | uint32_t(tile[r * width + c + 1]) << 16;
}

// A tile laid on its side: [width, TILE], `step` elements from row to row.
SKY_CLONES void turned(const bf16* tile, int64_t width, bf16* to, int64_t step) {
  for (int64_t c = 0; c < width; ++c)
    for (int64_t r = 0; r < TILE; ++r) to[c * step + r] = tile[r * width + c];
}

SKY_CLONES float largest(const float* scores, int64_t n) {
  return sky::max_over(n, [&](int64_t i) { return scores[i]; });
}

// The weights of one query's first `seen` scores relative to the largest so far, zeros up to `n`; gives their sum.
SKY_CLONES float weights(const float* scores, int64_t seen, int64_t n, float scale, float most, bf16* to) {
  for (int64_t i = seen; i < n; ++i) to[i] = 0;
  return sky::sum_over(seen, [&](int64_t i) {
    float weight = sky::exponential((scores[i] - most) * scale);
    sky::put(&to[i], weight);
    return weight;
  });
}

SKY_CLONES void scaled(float* x, int64_t n, float by) {
  for (int64_t i = 0; i < n; ++i) x[i] *= by;
}

SKY_CLONES void rounded(const float* x, int64_t n, float by, bf16* to) {
  for (int64_t i = 0; i < n; ++i) sky::put(&to[i], x[i] * by);
}

SKY_CLONES float dot(const bf16* a, const bf16* b, int64_t n) {
  return sky::sum_over(n, [&](int64_t i) { return sky::wide(a[i]) * sky::wide(b[i]); });
}

SKY_CLONES void add(const float* x, int64_t n, float* sum) {
  for (int64_t i = 0; i < n; ++i) sum[i] += x[i];
}

// From the scores and the weights' gradients of a tile, keys down and queries across: weights, the scores' gradients, and these
// in pairs. On the diagonal a query sees the keys up to its own.
SKY_CLONES void tile_back(const float* scores, const float* dweights, const float* log_sums, const float* dots, float scale, bool diagonal,
                          bf16* weights, bf16* dscores, uint32_t* pairs) {
  for (int64_t key = 0; key < TILE; ++key) {
    const float *s = scores + key * TILE, *d = dweights + key * TILE;
    bf16 *w = weights + key * TILE, *g = dscores + key * TILE;
    const int32_t first = diagonal ? int32_t(key) : 0;
    for (int32_t query = 0; query < TILE; ++query) {
      float weight = query < first ? 0.0f : sky::exponential(s[query] * scale - log_sums[query]);
      sky::put(&w[query], weight);
      sky::put(&g[query], weight * (d[query] - dots[query]) * scale);
    }
  }
  pairs_of(dscores, TILE, pairs);
}

// What there is to attend: q [tokens, heads, width], k and v [tokens, kv_heads, width].
struct Shape {
  int64_t tokens, heads, kv_heads, width;
  // Where documents begin; the last is the number of tokens.
  std::vector<int64_t> starts;
  // The same in rows of whole tiles.
  std::vector<int64_t> padded{0};
  int64_t longest = 0;

  Shape(const Tensor& q, const Tensor& k, const Tensor& v, std::vector<int64_t> given) : starts(std::move(given)) {
    auto good = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == at::kBFloat16 && t.is_contiguous() && t.dim() == 3; };
    if (!good(q) || !good(k) || !good(v)) throw std::invalid_argument("tensors that are not contiguous bf16 [tokens, heads, width] on the CPU");
    tokens = q.size(0), heads = q.size(1), kv_heads = k.size(1), width = q.size(2);
    if (k.sizes() != v.sizes() || k.size(0) != tokens || k.size(2) != width) throw std::invalid_argument("queries, keys and values of different shapes");
    if (kv_heads < 1 || heads < 1 || heads % kv_heads != 0) throw std::invalid_argument("query heads that do not share the key heads evenly");
    if (width % 32 != 0 || width < 32 || width > 256) throw std::invalid_argument("a width of heads that is not 32, 64, .. 256");
    if (starts.empty() || starts.front() != 0 || starts.back() != tokens) throw std::invalid_argument("documents that are not all the tokens");
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      const int64_t length = starts[i + 1] - starts[i];
      if (length < 1 || starts[i + 1] > tokens) throw std::invalid_argument("a document that is empty or goes beyond the tokens");
      longest = std::max(longest, tiles(length));
      padded.push_back(padded.back() + tiles(length) * TILE);
    }
  }

  int64_t documents() const { return int64_t(starts.size()) - 1; }
  int64_t row() const { return heads * width; }
  int64_t kv_row() const { return kv_heads * width; }
  // Where a key head's tokens begin that this head attends to.
  int64_t kv_from(int64_t document, int64_t head) const { return starts[document] * kv_row() + head / (heads / kv_heads) * width; }
  int64_t from(int64_t document, int64_t head) const { return starts[document] * row() + head * width; }

  // Calls body(document, head, scratch) for each; neighbouring tasks are documents of one head, so that each thread gets long
  // ones and short ones.
  template <class Scratch, class F>
  void each(F body) const {
    at::parallel_for(0, documents() * heads, 1, [&](int64_t begin, int64_t end) {
      Scratch scratch(*this);
      for (int64_t i = begin; i < end; ++i) body(i % documents(), i / documents(), scratch);
      at::native::cpublas::brgemm_release();
    });
  }
};

const bf16* read(const Tensor& t) { return static_cast<const bf16*>(t.const_data_ptr()); }
bf16* write(const Tensor& t) { return static_cast<bf16*>(t.data_ptr()); }

struct Forward {
  std::vector<uint32_t> keys, values;
  std::vector<bf16> tile, weight;
  std::vector<float> score, sum;

  explicit Forward(const Shape& s)
      : keys(s.longest * TILE * s.width / 2), values(keys.size()), tile(TILE * s.width), weight(TILE * STRIP), score(TILE * STRIP), sum(TILE * s.width) {}
};

// One head of one document: what it attends to, and the logarithm of each query's sum of exponentials.
void attend(const Shape& s, int64_t length, const bf16* q, const bf16* k, const bf16* v, bf16* out, float* log_sums, Forward& x) {
  const int64_t width = s.width, packed = TILE * width / 2;
  const float scale = 1.0f / std::sqrt(float(width));
  for (int64_t j = 0; j < tiles(length); ++j) {
    const int64_t count = std::min(TILE, length - j * TILE);
    tile_of(k + j * TILE * s.kv_row(), s.kv_row(), count, width, x.tile.data());
    pairs_turned(x.tile.data(), width, &x.keys[j * packed]);
    tile_of(v + j * TILE * s.kv_row(), s.kv_row(), count, width, x.tile.data());
    pairs_of(x.tile.data(), width, &x.values[j * packed]);
  }
  for (int64_t i = 0; i < tiles(length); ++i) {
    const int64_t first = i * TILE, count = std::min(TILE, length - first);
    float most[TILE], total[TILE] = {};
    std::fill(most, most + TILE, -std::numeric_limits<float>::infinity());
    tile_of(q + first * s.row(), s.row(), count, width, x.tile.data());
    for (int64_t strip = 0; strip < first + TILE; strip += STRIP) {
      const int64_t n = std::min(STRIP, first + TILE - strip);
      for (int64_t at = 0; at < n; at += TILE)
        product(TILE, TILE, width, x.tile.data(), width, &x.keys[(strip + at) / TILE * packed], false, &x.score[at], STRIP);
      for (int64_t r = 0; r < count; ++r) {
        const float* scores = &x.score[r * STRIP];
        const int64_t seen = std::min(n, first + r + 1 - strip);
        const float before = most[r];
        most[r] = std::max(before, largest(scores, seen));
        const float shrunk = strip == 0 ? 0.0f : std::exp((before - most[r]) * scale);
        total[r] = total[r] * shrunk + weights(scores, seen, n, scale, most[r], &x.weight[r * STRIP]);
        if (strip > 0) scaled(&x.sum[r * width], width, shrunk);
      }
      product(TILE, width, n, x.weight.data(), STRIP, &x.values[strip / TILE * packed], strip > 0, x.sum.data(), width);
    }
    for (int64_t r = 0; r < count; ++r) {
      rounded(&x.sum[r * width], width, 1.0f / total[r], out + (first + r) * s.row());
      log_sums[first + r] = most[r] * scale + std::log(total[r]);
    }
  }
}

struct Backward {
  std::vector<bf16> k, v, k_turned, tile, weight, dscore;
  std::vector<uint32_t> q_turned, q_pairs, up_turned, up_pairs, dscore_pairs;
  std::vector<float> score, dweight, dq;

  explicit Backward(const Shape& s)
      : k(s.longest * TILE * s.width), v(k.size()), k_turned(k.size()), tile(TILE * s.width), weight(TILE * TILE), dscore(TILE * TILE),
        q_turned(TILE * s.width / 2), q_pairs(q_turned.size()), up_turned(q_turned.size()), up_pairs(q_turned.size()),
        dscore_pairs(TILE * TILE / 2), score(TILE * TILE), dweight(TILE * TILE), dq(TILE * s.width) {}
};

// The gradients of one head of one document; `dk` and `dv` are whole tiles of rows in f32.
void attend_back(const Shape& s, int64_t length, const bf16* q, const bf16* k, const bf16* v, const bf16* out, const bf16* up,
                 const float* log_sums, bf16* dq, float* dk, float* dv, Backward& x) {
  const int64_t width = s.width, all = tiles(length) * TILE;
  const float scale = 1.0f / std::sqrt(float(width));
  for (int64_t j = 0; j < tiles(length); ++j) {
    const int64_t first = j * TILE, count = std::min(TILE, length - first);
    tile_of(k + first * s.kv_row(), s.kv_row(), count, width, &x.k[first * width]);
    tile_of(v + first * s.kv_row(), s.kv_row(), count, width, &x.v[first * width]);
    turned(&x.k[first * width], width, &x.k_turned[first], all);
  }
  for (int64_t i = 0; i < tiles(length); ++i) {
    const int64_t first = i * TILE, count = std::min(TILE, length - first);
    // Rows beyond the last query have no gradient from above, and so give none.
    float sums[TILE] = {}, dots[TILE] = {};
    for (int64_t r = 0; r < count; ++r) {
      sums[r] = log_sums[first + r];
      dots[r] = dot(out + (first + r) * s.row(), up + (first + r) * s.row(), width);
    }
    tile_of(q + first * s.row(), s.row(), count, width, x.tile.data());
    pairs_turned(x.tile.data(), width, x.q_turned.data());
    pairs_of(x.tile.data(), width, x.q_pairs.data());
    tile_of(up + first * s.row(), s.row(), count, width, x.tile.data());
    pairs_turned(x.tile.data(), width, x.up_turned.data());
    pairs_of(x.tile.data(), width, x.up_pairs.data());
    for (int64_t j = 0; j <= i; ++j) {
      const int64_t key = j * TILE;
      product(TILE, TILE, width, &x.k[key * width], width, x.q_turned.data(), false, x.score.data(), TILE);
      product(TILE, TILE, width, &x.v[key * width], width, x.up_turned.data(), false, x.dweight.data(), TILE);
      tile_back(x.score.data(), x.dweight.data(), sums, dots, scale, i == j, x.weight.data(), x.dscore.data(), x.dscore_pairs.data());
      product(TILE, width, TILE, x.weight.data(), TILE, x.up_pairs.data(), i != j, dv + key * width, width);
      product(TILE, width, TILE, x.dscore.data(), TILE, x.q_pairs.data(), i != j, dk + key * width, width);
      product(width, TILE, TILE, &x.k_turned[key], all, x.dscore_pairs.data(), j > 0, x.dq.data(), TILE);
    }
    for (int64_t r = 0; r < count; ++r)
      for (int64_t c = 0; c < width; ++c) sky::put(&dq[(first + r) * s.row() + c], x.dq[c * TILE + r]);
  }
}

struct Attention : torch::autograd::Function<Attention> {
  static Tensor forward(torch::autograd::AutogradContext* ctx, Tensor q, Tensor k, Tensor v, std::vector<int64_t> starts) {
    q = q.contiguous(), k = k.contiguous(), v = v.contiguous();
    const Shape s(q, k, v, starts);
    Tensor out = at::empty({s.tokens, s.row()}, q.options()), log_sums = at::empty({s.heads, s.tokens}, q.options().dtype(at::kFloat));
    const bf16 *queries = read(q), *keys = read(k), *values = read(v);
    bf16* to = write(out);
    float* sums = log_sums.data_ptr<float>();
    s.each<Forward>([&](int64_t document, int64_t head, Forward& scratch) {
      const int64_t start = s.starts[document], from = s.from(document, head), kv = s.kv_from(document, head);
      attend(s, s.starts[document + 1] - start, queries + from, keys + kv, values + kv, to + from, sums + head * s.tokens + start, scratch);
    });
    ctx->save_for_backward({q, k, v, out, log_sums});
    ctx->saved_data["starts"] = starts;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const Tensor up = grads[0].contiguous();
    const Shape s(q, k, v, ctx->saved_data["starts"].toIntVector());
    Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    // Each query head's own share of its key head's gradients.
    const Tensor shares = at::empty({2, s.heads, s.padded.back(), s.width}, q.options().dtype(at::kFloat));
    const bf16 *queries = read(q), *keys = read(k), *values = read(v), *outs = read(saved[3]), *ups = read(up);
    bf16 *to = write(dq), *to_k = write(dk), *to_v = write(dv);
    const float* sums = saved[4].const_data_ptr<float>();
    float* share = shares.data_ptr<float>();
    const int64_t of_head = s.padded.back() * s.width, of_all = s.heads * of_head, group = s.heads / s.kv_heads;
    s.each<Backward>([&](int64_t document, int64_t head, Backward& scratch) {
      const int64_t start = s.starts[document], from = s.from(document, head), kv = s.kv_from(document, head);
      float* own = share + head * of_head + s.padded[document] * s.width;
      attend_back(s, s.starts[document + 1] - start, queries + from, keys + kv, values + kv, outs + from, ups + from,
                  sums + head * s.tokens + start, to + from, own, own + of_all, scratch);
    });
    at::parallel_for(0, s.documents() * s.kv_heads, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> sum(s.width);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t document = i / s.kv_heads, head = i % s.kv_heads;
        for (int64_t t = s.starts[document]; t < s.starts[document + 1]; ++t) {
          const float* first = share + head * group * of_head + (s.padded[document] + t - s.starts[document]) * s.width;
          for (int64_t which = 0; which < 2; ++which) {
            memcpy(sum.data(), first + which * of_all, s.width * sizeof(float));
            for (int64_t h = 1; h < group; ++h) add(first + which * of_all + h * of_head, s.width, sum.data());
            rounded(sum.data(), s.width, 1.0f, (which == 0 ? to_k : to_v) + t * s.kv_row() + head * s.width);
          }
        }
      }
    });
    return {dq, dk, dv, Tensor()};
  }
};

}  // namespace

extern "C" {

int sky_supports_attention(int64_t width) { return width % 32 == 0 && width >= 32 && width <= 256 && products_work(); }

int sky_attention(const Tensor* q, const Tensor* k, const Tensor* v, const int64_t* starts, size_t count, Tensor** result) {
  return guarded([&] {
    if (!products_work()) throw std::invalid_argument("a processor that does not multiply bf16");
    *result = new Tensor(Attention::apply(*q, *k, *v, std::vector<int64_t>(starts, starts + count)));
  });
}
}

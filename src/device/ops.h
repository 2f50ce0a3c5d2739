// The operations of a transformer step, with their exact meaning.
//
// Every operation treats tokens independently and fixes the order of every sum, so a token's output
// bits depend on its own inputs alone: not on the other tokens of the call, not on the number of
// threads, not on where weights were a moment ago. Matrices are row-major float32 in device memory
// unless said otherwise; weights are in the device's own layout (Device::Pack).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "routing/router_rule.h"
#include "routing/routing.h"
#include "tensor/ffn_activation.h"
#include "tensor/format.h"

namespace sluice {

// A weight matrix [rows, cols] in device layout: out = weight . in has `rows` elements.
struct WeightView {
  const std::byte* bytes = nullptr;
  Format format = Format::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
};

struct Product {
  WeightView weight;
  const float* bias = nullptr;  // [weight.rows], or null: none
  float* out = nullptr;         // [tokens, weight.rows]
};

// One matrix per head, [rows, cols] each, one after the other: weight.rows is heads * rows, and
// rows a multiple of 16. Heads of a token follow each other `x_stride` and `out_stride` numbers
// apart, tokens directly.
struct HeadProduct {
  WeightView weight;
  int64_t heads = 0;
  const float* x = nullptr;  // [tokens, heads, x_stride], of which the first cols count
  int64_t x_stride = 0;
  float* out = nullptr;  // [tokens, heads, out_stride], of which the first rows are written
  int64_t out_stride = 0;
};

enum class RopeStyle {
  kHalves,  // rotates (x[i], x[i + dims/2]): Hugging Face weights, GGUF "NEOX"
  kPairs,   // rotates (x[2i], x[2i + 1]): GGUF "NORM", whose Q and K rows are permuted
};

// Of each head the numbers first .. first + dims are rotated, the others stay.
struct RopeAngles {
  const float* cosine = nullptr;  // [tokens, dims / 2]
  const float* sine = nullptr;    // [tokens, dims / 2]
  RopeStyle style = RopeStyle::kHalves;
  int64_t first = 0;
  int64_t dims = 0;
};

// Formats of the KV cache; Q8_0 as tensor/formats/q8_0.h has it.
enum class KvFormat { kF32, kF16, kBF16, kQ8_0 };
// Bytes of one head's key or value of one token.
constexpr int64_t KvRowBytes(KvFormat format, int64_t dim) {
  switch (format) {
    case KvFormat::kF32:
      return dim * 4;
    case KvFormat::kF16:
    case KvFormat::kBF16:
      return dim * 2;
    case KvFormat::kQ8_0:
      return dim / 32 * 34;
  }
  return 0;
}

enum class KvValues {
  kOwn,     // stored beside the keys
  kInKeys,  // the first value_dim numbers of the key: nothing more is stored (latent attention)
};

// Keys and values live in pages. Of one layer a page holds, from `layer_offset` on,
// K [kv_heads, page_tokens, row of key_dim] and then, if they are stored,
// V [kv_heads, page_tokens, row of value_dim].
struct KvLayout {
  KvFormat format = KvFormat::kF16;
  int64_t kv_heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  KvValues values = KvValues::kOwn;
  int64_t page_tokens = 0;
  int64_t layer_offset = 0;  // bytes

  int64_t key_bytes() const { return page_tokens * KvRowBytes(format, key_dim); }
  int64_t value_bytes() const {
    return values == KvValues::kOwn ? page_tokens * KvRowBytes(format, value_dim) : 0;
  }
  int64_t layer_bytes() const { return kv_heads * (key_bytes() + value_bytes()); }
};

// Where a token stands: the pages of its sequence and its position there. Its keys and values lie
// in pages[position / page_tokens].
struct KvPlace {
  std::byte* const* pages = nullptr;
  int32_t position = 0;
};

// What Attend does beside the layout of the cache.
struct AttentionRule {
  int64_t heads = 0;   // of queries
  float scale = 1;     // of the scores
  int64_t window = 0;  // a token sees the last `window` positions, its own included; 0: all
  const float* sinks = nullptr;  // [heads]: a score in each head's softmax that has no value
};

// One expert's three matrices: gate and up [ff, hidden], down [hidden, ff].
struct ExpertWeights {
  WeightView gate;
  WeightView up;
  WeightView down;
};

// Added to each matrix's products; null: none.
struct ExpertBiases {
  const float* gate = nullptr;  // [ff]
  const float* up = nullptr;    // [ff]
  const float* down = nullptr;  // [hidden]
};

// What one expert has to compute: `assignments` are places token * top_k + rank of the routing.
struct ExpertCall {
  ExpertWeights weights;
  ExpertBiases biases;
  std::span<const int32_t> assignments;
};

class Ops {
 public:
  virtual ~Ops() = default;

  // out[t] = row tokens[t] of table, decoded. REQUIRES: 0 <= tokens[t] < table.rows.
  virtual void Embed(const WeightView& table, std::span<const int32_t> tokens, float* out) = 0;

  // out[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, for x [rows, cols]. In place is fine.
  virtual void RmsNorm(const float* x, int64_t rows, int64_t cols, const float* weight,
                       float epsilon, float* out) = 0;

  // out[r] = (x[r] - mean) / sqrt(variance + epsilon) * weight; the variance is the mean of the
  // squared differences from the mean. In place is fine.
  virtual void LayerNorm(const float* x, int64_t rows, int64_t cols, const float* weight,
                         float epsilon, float* out) = 0;

  // products[i].out = x . products[i].weight^T + bias for x [tokens, cols]. Each product is the sum
  // that FormatSpec::dot_q8 or dot_f32 defines; the bias is added to it at the end.
  virtual void MatMul(const float* x, int64_t tokens, std::span<const Product> products) = 0;

  // The same for each head with a matrix of its own.
  virtual void MatMulHeads(const HeadProduct& product, int64_t tokens) = 0;

  // out[r, 0 .. cols) = x[r, 0 .. cols), rows being x_stride and out_stride numbers apart.
  virtual void CopyRows(const float* x, int64_t x_stride, int64_t rows, int64_t cols, float* out,
                        int64_t out_stride) = 0;

  // x[i] = its nearest number in [-limit, limit]; NaN stays NaN.
  virtual void Clamp(float* x, int64_t count, float limit) = 0;

  // Rotates x [tokens, heads, head_dim] in place.
  virtual void Rope(float* x, int64_t tokens, int64_t heads, int64_t head_dim,
                    const RopeAngles& angles) = 0;

  // Encodes k [tokens, kv_heads, key_dim] and v [tokens, kv_heads, value_dim] into the tokens'
  // pages. v is not looked at where values lie in keys.
  virtual void AppendKv(const KvLayout& layout, std::span<const KvPlace> places, const float* k,
                        const float* v) = 0;

  // Causal grouped-query attention: q [tokens, heads, key_dim], out [tokens, heads, value_dim]; a
  // token sees positions up to its own of its own pages. The order of every sum depends on
  // positions alone.
  virtual void Attend(const KvLayout& layout, std::span<const KvPlace> places, const float* q,
                      const AttentionRule& rule, float* out) = 0;

  // Chooses top_k experts per token, on the host. Equal scores: the lower id wins.
  virtual void Route(const RouterOutput& router, int64_t top_k, const RouterRule& rule,
                     Routing* routing) = 0;

  // The input x [tokens, hidden] of the ExpertFfn calls that follow; must stay until the last.
  virtual void StageExpertInput(const float* x, int64_t tokens, int64_t hidden) = 0;

  // For each assignment a of each call: out[a] = down . activation(gate . x, up . x) with
  // x = staged input of token a / top_k, each product with its bias. out [tokens * top_k, hidden].
  virtual void ExpertFfn(std::span<const ExpertCall> calls, int64_t top_k, FfnActivation activation,
                         float* out) = 0;

  // hidden[t] += sum over ranks, ascending, of weights[t, rank] * expert_out[t * top_k + rank].
  virtual void Combine(const Routing& routing, const float* expert_out, int64_t hidden_size,
                       float* hidden) = 0;

  // x[i] += y[i].
  virtual void Add(const float* y, int64_t count, float* x) = 0;

  // x[t] += sigmoid(gate[t]) * y[t] for x, y [tokens, cols].
  virtual void AddGated(const float* y, int64_t tokens, int64_t cols, const float* gate,
                        float* x) = 0;
};

}  // namespace sluice

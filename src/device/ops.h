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

#include "routing/routing.h"
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
  float* out = nullptr;  // [tokens, weight.rows]
};

enum class RopeStyle {
  kHalves,  // rotates (x[i], x[i + head_dim/2]): Hugging Face weights, GGUF "NEOX"
  kPairs,   // rotates (x[2i], x[2i + 1]): GGUF "NORM", whose Q and K rows are permuted
};

struct RopeAngles {
  const float* cosine = nullptr;  // [tokens, head_dim / 2]
  const float* sine = nullptr;    // [tokens, head_dim / 2]
  RopeStyle style = RopeStyle::kHalves;
};

// Formats of the KV cache; Q8_0 as tensor/formats/q8_0.h has it.
enum class KvFormat { kF32, kF16, kBF16, kQ8_0 };
// Bytes of one head's key or value of one token.
constexpr int64_t KvRowBytes(KvFormat format, int64_t head_dim) {
  switch (format) {
    case KvFormat::kF32:
      return head_dim * 4;
    case KvFormat::kF16:
    case KvFormat::kBF16:
      return head_dim * 2;
    case KvFormat::kQ8_0:
      return head_dim / 32 * 34;
  }
  return 0;
}

// Keys and values live in pages. Of one layer a page holds, from `layer_offset` on,
// K [kv_heads, page_tokens, row] and then V of the same shape.
struct KvLayout {
  KvFormat format = KvFormat::kF16;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_tokens = 0;
  int64_t layer_offset = 0;  // bytes

  int64_t head_bytes() const { return page_tokens * KvRowBytes(format, head_dim); }
  int64_t layer_bytes() const { return 2 * kv_heads * head_bytes(); }
};

// Where a token stands: the pages of its sequence and its position there. Its keys and values lie
// in pages[position / page_tokens].
struct KvPlace {
  std::byte* const* pages = nullptr;
  int32_t position = 0;
};

enum class RouterRule {
  kSoftmax,             // weights = softmax over all experts, of the chosen ones
  kSoftmaxRenormalised  // the same, divided by their sum
};

// One expert's three matrices: gate and up [ff, hidden], down [hidden, ff].
struct ExpertWeights {
  WeightView gate;
  WeightView up;
  WeightView down;
};

// What one expert has to compute: `assignments` are places token * top_k + rank of the routing.
struct ExpertCall {
  ExpertWeights weights;
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

  // products[i].out = x . products[i].weight^T for x [tokens, cols]. Each element is the sum that
  // FormatSpec::dot_q8 or dot_f32 defines.
  virtual void MatMul(const float* x, int64_t tokens, std::span<const Product> products) = 0;

  // Rotates x [tokens, heads, head_dim] in place.
  virtual void Rope(float* x, int64_t tokens, int64_t heads, int64_t head_dim,
                    const RopeAngles& angles) = 0;

  // Encodes k, v [tokens, kv_heads, head_dim] into the tokens' pages.
  virtual void AppendKv(const KvLayout& layout, std::span<const KvPlace> places, const float* k,
                        const float* v) = 0;

  // Causal grouped-query attention: q, out [tokens, heads, head_dim]; a token sees positions
  // 0..its own of its own pages. The order of every sum depends on positions alone.
  virtual void Attend(const KvLayout& layout, std::span<const KvPlace> places, const float* q,
                      int64_t heads, float scale, float* out) = 0;

  // Top-k of logits [tokens, experts] on the host. Equal logits: the lower id wins.
  virtual void Route(const float* logits, int64_t tokens, int64_t experts, int64_t top_k,
                     RouterRule rule, Routing* routing) = 0;

  // The input x [tokens, hidden] of the ExpertFfn calls that follow; must stay until the last.
  virtual void StageExpertInput(const float* x, int64_t tokens, int64_t hidden) = 0;

  // For each assignment a of each call: out[a] = down . (silu(gate . x) * (up . x)) with
  // x = staged input of token a / top_k. out [tokens * top_k, hidden].
  virtual void ExpertFfn(std::span<const ExpertCall> calls, int64_t top_k, float* out) = 0;

  // hidden[t] += sum over ranks, ascending, of weights[t, rank] * expert_out[t * top_k + rank].
  virtual void Combine(const Routing& routing, const float* expert_out, int64_t hidden_size,
                       float* hidden) = 0;

  // x[i] += y[i].
  virtual void Add(const float* y, int64_t count, float* x) = 0;
};

}  // namespace sluice

// The tokens of one step and the buffers that they pass through.
#pragma once

#include <cstdint>
#include <vector>

#include "device/ops.h"
#include "model/model_spec.h"
#include "routing/routing.h"
#include "routing/trace.h"

namespace sluice {

struct Batch {
  // Parallel vectors, one element per token.
  std::vector<int32_t> tokens;
  std::vector<KvPlace> places;
  std::vector<TracedToken> traced;
  // Tokens (by index) whose logits are wanted, ascending.
  std::vector<int32_t> wanted;

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  void Clear() {
    tokens.clear();
    places.clear();
    traced.clear();
    wanted.clear();
  }
};

// Buffers of a step of at most `max_tokens` tokens; row-major float32.
struct Activations {
  Activations(const ModelSpec& spec, int64_t max_tokens, int64_t logit_rows)
      : hidden(Size(max_tokens * spec.hidden)),
        normed(Size(max_tokens * spec.hidden)),
        block_out(Size(max_tokens * spec.hidden)),
        q(Size(max_tokens * spec.attention.heads * spec.attention.head_dim)),
        attended(Size(max_tokens * spec.attention.heads * spec.attention.value_dim())),
        k(Size(max_tokens * spec.attention.cached_heads() * spec.attention.cached_key_dim())),
        v(spec.attention.latent ? 0 : k.size()),
        cosine(Size(max_tokens * spec.attention.rope.dims() / 2)),
        sine(cosine.size()),
        shared_gates(Size(max_tokens)),
        router_logits(Size(max_tokens * spec.moe.experts)),
        expert_out(Size(max_tokens * spec.moe.top_k * spec.hidden)),
        logits(Size(logit_rows * spec.vocab)) {
    if (const Attention& a = spec.attention; a.latent) {
      q_latent.resize(Size(max_tokens * a.latent->q_rank));
      q_absorbed.resize(Size(max_tokens * a.heads * a.cached_key_dim()));
      attended_latent.resize(Size(max_tokens * a.heads * a.cached_value_dim()));
    }
  }

  std::vector<float> hidden;         // [tokens, hidden]: the residual stream
  std::vector<float> normed;         // [tokens, hidden]
  std::vector<float> block_out;      // [tokens, hidden]
  std::vector<float> q;              // [tokens, heads, head_dim]
  std::vector<float> attended;       // [tokens, heads, value_dim]
  std::vector<float> k, v;           // [tokens, cached heads, their dims]
  std::vector<float> cosine, sine;   // [tokens, rope dims / 2]
  std::vector<float> shared_gates;   // [tokens]
  std::vector<float> router_logits;  // [tokens, experts]
  std::vector<float> expert_out;     // [tokens, top_k, hidden]
  std::vector<float> logits;         // [logit_rows, vocab]
  // Of latent attention only.
  std::vector<float> q_latent;         // [tokens, q_rank]
  std::vector<float> q_absorbed;       // [tokens, heads, cached key dim]
  std::vector<float> attended_latent;  // [tokens, heads, kv_rank]
  Routing routing;

 private:
  static size_t Size(int64_t count) { return static_cast<size_t>(count); }
};

}  // namespace sluice

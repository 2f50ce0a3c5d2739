// What a layer has beside its experts, one member per role: as tensors of a file (model.h) and as
// weights in memory (store/dense_weights.h). What a layer lacks is absent.
#pragma once

#include <type_traits>

namespace sluice {

template <typename Matrix, typename Vector>
struct LayerParts {
  Vector attention_norm;  // [hidden]
  // Grouped-query attention. Latent attention has `o`, and `q` from the latent vector or from the
  // hidden state.
  Matrix q, k, v, o;
  Vector q_bias, k_bias, v_bias, o_bias;
  Vector q_norm, k_norm;
  Vector sinks;  // [heads]
  // Latent attention.
  Matrix q_a;        // [q_rank, hidden]
  Vector q_a_norm;   // [q_rank]
  Matrix kv_a;       // [kv_rank + rope, hidden]
  Vector kv_a_norm;  // [kv_rank]
  Matrix k_b;        // of each head [kv_rank, nope]
  Matrix v_b;        // of each head [value, kv_rank]
  Matrix kv_b;       // in a file instead of both: of each head [nope + value, kv_rank]
  Vector ffn_norm;   // [hidden]
  // The feed-forward network of a dense layer, or the experts that every token goes through.
  Matrix gate, up, down;  // [ff, hidden], [ff, hidden], [hidden, ff]
  Matrix shared_gating;   // [1, hidden]: the sigmoid of its product scales the shared experts
  Matrix router;          // [experts, hidden]
  Vector router_bias, selection_bias;                         // [experts]
  Vector expert_gate_bias, expert_up_bias, expert_down_bias;  // [experts * ff], [experts * hidden]
};

// What a tensor is for, as `inspect` sums it up.
enum class TensorRole {
  kEmbedding,
  kAttention,
  kNorms,
  kFeedForward,  // of dense layers
  kSharedExperts,
  kRouters,
  kExperts,
  kOutput,
};

// Calls on_matrix(role, a.member, b.member) for each matrix and on_vector for each vector, in the
// order in which they are loaded. Stops at the first answer that is not ok.
template <typename A, typename B, typename OnMatrix, typename OnVector>
auto VisitParts(TensorRole ffn, A& a, B& b, const OnMatrix& on_matrix, const OnVector& on_vector) {
  using Outcome = std::invoke_result_t<OnMatrix, TensorRole, decltype((a.q)), decltype((b.q))>;
  constexpr TensorRole kAttention = TensorRole::kAttention;
  constexpr TensorRole kNorms = TensorRole::kNorms;
  constexpr TensorRole kRouters = TensorRole::kRouters;
  constexpr TensorRole kExperts = TensorRole::kExperts;
  Outcome outcome{};
  const auto matrix = [&](TensorRole role, auto& x, auto& y) {
    if (outcome.ok()) outcome = on_matrix(role, x, y);
  };
  const auto vector = [&](TensorRole role, auto& x, auto& y) {
    if (outcome.ok()) outcome = on_vector(role, x, y);
  };
  vector(kNorms, a.attention_norm, b.attention_norm);
  matrix(kAttention, a.q_a, b.q_a);
  vector(kNorms, a.q_a_norm, b.q_a_norm);
  matrix(kAttention, a.q, b.q);
  matrix(kAttention, a.k, b.k);
  matrix(kAttention, a.v, b.v);
  matrix(kAttention, a.kv_a, b.kv_a);
  vector(kNorms, a.kv_a_norm, b.kv_a_norm);
  matrix(kAttention, a.k_b, b.k_b);
  matrix(kAttention, a.v_b, b.v_b);
  matrix(kAttention, a.kv_b, b.kv_b);
  matrix(kAttention, a.o, b.o);
  vector(kAttention, a.q_bias, b.q_bias);
  vector(kAttention, a.k_bias, b.k_bias);
  vector(kAttention, a.v_bias, b.v_bias);
  vector(kAttention, a.o_bias, b.o_bias);
  vector(kNorms, a.q_norm, b.q_norm);
  vector(kNorms, a.k_norm, b.k_norm);
  vector(kAttention, a.sinks, b.sinks);
  vector(kNorms, a.ffn_norm, b.ffn_norm);
  matrix(ffn, a.gate, b.gate);
  matrix(ffn, a.up, b.up);
  matrix(ffn, a.down, b.down);
  matrix(ffn, a.shared_gating, b.shared_gating);
  matrix(kRouters, a.router, b.router);
  vector(kRouters, a.router_bias, b.router_bias);
  vector(kRouters, a.selection_bias, b.selection_bias);
  vector(kExperts, a.expert_gate_bias, b.expert_gate_bias);
  vector(kExperts, a.expert_up_bias, b.expert_up_bias);
  vector(kExperts, a.expert_down_bias, b.expert_down_bias);
  return outcome;
}

}  // namespace sluice

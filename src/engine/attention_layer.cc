// Latent attention is computed in its absorbed form: a head's matrix of keys is applied to its
// query instead of to every cached key, and its matrix of values to the sum instead of to every
// cached value. So the cache holds one latent vector per token for all heads, and nothing else.
#include "engine/attention_layer.h"

#include <cmath>

#include "engine/norm.h"

namespace sluice {

AttentionLayer::AttentionLayer(const ModelSpec& spec, const DenseWeights& weights,
                               const KvCache& kv, Ops* ops)
    : spec_(spec),
      weights_(weights.layers()),
      kv_(kv),
      ops_(*ops),
      frequencies_(spec.attention.rope.frequencies) {
  const std::vector<float>& factors = weights.rope_factors();
  for (size_t i = 0; i < factors.size(); ++i) frequencies_[i] /= factors[i];
}

void AttentionLayer::FillRope(const Batch& batch, Activations* buffers) const {
  const size_t half = frequencies_.size();
  const float magnitude = spec_.attention.rope.magnitude;
  for (size_t t = 0; t < batch.places.size(); ++t) {
    const auto position = static_cast<float>(batch.places[t].position);
    for (size_t i = 0; i < half; ++i) {
      const float angle = position * frequencies_[i];
      buffers->cosine[t * half + i] = std::cos(angle) * magnitude;
      buffers->sine[t * half + i] = std::sin(angle) * magnitude;
    }
  }
}

RopeAngles AttentionLayer::Angles(int64_t first, const Activations& buffers) const {
  const Rope& rope = spec_.attention.rope;
  return {.cosine = buffers.cosine.data(),
          .sine = buffers.sine.data(),
          .style = rope.layout == RopeLayout::kHalves ? RopeStyle::kHalves : RopeStyle::kPairs,
          .first = first,
          .dims = rope.dims()};
}

void AttentionLayer::QkNorms(const LayerWeights& weights, int64_t tokens, Activations* buffers) {
  const Attention& a = spec_.attention;
  if (a.qk_norm == QkNorm::kNone) return;
  const bool per_head = a.qk_norm == QkNorm::kPerHead;
  const auto norm = [&](std::vector<float>* x, int64_t heads, const std::vector<float>& weight) {
    const int64_t rows = per_head ? tokens * heads : tokens;
    const int64_t cols = per_head ? a.head_dim : heads * a.head_dim;
    ops_.RmsNorm(x->data(), rows, cols, weight.data(), spec_.norm_epsilon, x->data());
  };
  norm(&buffers->q, a.heads, weights.q_norm);
  norm(&buffers->k, a.kv_heads, weights.k_norm);
}

void AttentionLayer::Run(int64_t layer, const Batch& batch, Activations* buffers) {
  const Attention& a = spec_.attention;
  const LayerWeights& weights = weights_[static_cast<size_t>(layer)];
  Norm(&ops_, spec_, buffers->hidden.data(), batch.size(), weights.attention_norm,
       buffers->normed.data());
  const KvLayout layout = kv_.Layout(layer);
  const AttentionRule rule{.heads = a.heads,
                           .scale = a.scale,
                           .window = a.window(layer),
                           .sinks = OrNull(weights.sinks)};
  a.latent ? Latent(weights, batch, layout, rule, buffers)
           : Grouped(weights, batch, layout, rule, buffers);
  const Product o{
      .weight = weights.o, .bias = OrNull(weights.o_bias), .out = buffers->block_out.data()};
  ops_.MatMul(buffers->attended.data(), batch.size(), {&o, 1});
  ops_.Add(buffers->block_out.data(), batch.size() * spec_.hidden, buffers->hidden.data());
}

void AttentionLayer::Grouped(const LayerWeights& weights, const Batch& batch,
                             const KvLayout& layout, const AttentionRule& rule,
                             Activations* buffers) {
  const Attention& a = spec_.attention;
  const int64_t tokens = batch.size();
  const Product qkv[] = {
      {.weight = weights.q, .bias = OrNull(weights.q_bias), .out = buffers->q.data()},
      {.weight = weights.k, .bias = OrNull(weights.k_bias), .out = buffers->k.data()},
      {.weight = weights.v, .bias = OrNull(weights.v_bias), .out = buffers->v.data()}};
  ops_.MatMul(buffers->normed.data(), tokens, qkv);
  QkNorms(weights, tokens, buffers);
  if (a.clamp > 0) {
    ops_.Clamp(buffers->q.data(), tokens * a.heads * a.head_dim, a.clamp);
    ops_.Clamp(buffers->k.data(), tokens * a.kv_heads * a.head_dim, a.clamp);
    ops_.Clamp(buffers->v.data(), tokens * a.kv_heads * a.head_dim, a.clamp);
  }
  ops_.Rope(buffers->q.data(), tokens, a.heads, a.head_dim, Angles(0, *buffers));
  ops_.Rope(buffers->k.data(), tokens, a.kv_heads, a.head_dim, Angles(0, *buffers));
  ops_.AppendKv(layout, batch.places, buffers->k.data(), buffers->v.data());
  ops_.Attend(layout, batch.places, buffers->q.data(), rule, buffers->attended.data());
}

void AttentionLayer::Latent(const LayerWeights& weights, const Batch& batch, const KvLayout& layout,
                            const AttentionRule& rule, Activations* buffers) {
  const Attention& a = spec_.attention;
  const int64_t tokens = batch.size();
  const int64_t rank = a.latent->kv_rank;
  const int64_t nope = a.latent->nope_dim;
  const int64_t cached = a.cached_key_dim();
  const bool two_steps = a.latent->q_rank > 0;

  const Product down[] = {{.weight = weights.kv_a, .out = buffers->k.data()},
                          {.weight = two_steps ? weights.q_a : weights.q,
                           .out = two_steps ? buffers->q_latent.data() : buffers->q.data()}};
  ops_.MatMul(buffers->normed.data(), tokens, down);
  if (two_steps) {
    ops_.RmsNorm(buffers->q_latent.data(), tokens, a.latent->q_rank, weights.q_a_norm.data(),
                 spec_.norm_epsilon, buffers->q_latent.data());
    const Product up{.weight = weights.q, .out = buffers->q.data()};
    ops_.MatMul(buffers->q_latent.data(), tokens, {&up, 1});
  }
  for (int64_t t = 0; t < tokens; ++t) {  // the latent part of each row only
    float* row = buffers->k.data() + t * cached;
    ops_.RmsNorm(row, 1, rank, weights.kv_a_norm.data(), spec_.norm_epsilon, row);
  }
  ops_.Rope(buffers->k.data(), tokens, 1, cached, Angles(rank, *buffers));
  ops_.AppendKv(layout, batch.places, buffers->k.data(), nullptr);

  ops_.Rope(buffers->q.data(), tokens, a.heads, a.head_dim, Angles(nope, *buffers));
  ops_.MatMulHeads({.weight = weights.k_b,
                    .heads = a.heads,
                    .x = buffers->q.data(),
                    .x_stride = a.head_dim,
                    .out = buffers->q_absorbed.data(),
                    .out_stride = cached},
                   tokens);
  ops_.CopyRows(buffers->q.data() + nope, a.head_dim, tokens * a.heads, a.rope.dims(),
                buffers->q_absorbed.data() + rank, cached);
  ops_.Attend(layout, batch.places, buffers->q_absorbed.data(), rule,
              buffers->attended_latent.data());
  ops_.MatMulHeads({.weight = weights.v_b,
                    .heads = a.heads,
                    .x = buffers->attended_latent.data(),
                    .x_stride = rank,
                    .out = buffers->attended.data(),
                    .out_stride = a.latent->value_dim},
                   tokens);
}

}  // namespace sluice

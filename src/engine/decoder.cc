#include "engine/decoder.h"

#include <algorithm>
#include <cmath>

namespace sluice {

Decoder::Decoder(const Parts& parts, int64_t max_tokens, int64_t logit_rows)
    : spec_(parts.spec),
      weights_(parts.weights),
      kv_(parts.kv),
      ops_(parts.device->ops()),
      moe_(parts.spec, parts.weights.layers(), &parts.device->ops(), parts.core, parts.store,
           parts.trace),
      logit_rows_(logit_rows),
      buffers_(parts.spec, max_tokens, logit_rows) {
  // In float32 as Transformers computes them.
  const auto dim = static_cast<float>(spec_.attention.head_dim);
  for (int64_t i = 0; i < spec_.attention.head_dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / dim;
    inverse_frequencies_.push_back(1.0F / std::pow(spec_.attention.rope_theta, exponent));
  }
}

Status Decoder::Step(const Batch& batch, const OnLogits& on_logits) {
  FillRope(batch);
  ops_.Embed(weights_.embedding(), batch.tokens, buffers_.hidden.data());
  for (int64_t layer = 0; layer < spec_.layers; ++layer) {
    const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
    Attention(layer, weights, batch);
    moe_.Begin(static_cast<int32_t>(layer), batch, &buffers_);
    SLUICE_TRY(moe_.Finish(batch, &buffers_));
  }
  Logits(batch, on_logits);
  return {};
}

void Decoder::FillRope(const Batch& batch) {
  const size_t half = inverse_frequencies_.size();
  for (size_t t = 0; t < batch.places.size(); ++t) {
    const auto position = static_cast<float>(batch.places[t].position);
    for (size_t i = 0; i < half; ++i) {
      const float angle = position * inverse_frequencies_[i];
      buffers_.cosine[t * half + i] = std::cos(angle);
      buffers_.sine[t * half + i] = std::sin(angle);
    }
  }
}

void Decoder::QkNorms(const LayerWeights& weights, int64_t tokens) {
  const Gqa& a = spec_.attention;
  if (a.qk_norm == QkNorm::kNone) return;
  const bool per_head = a.qk_norm == QkNorm::kPerHead;
  const auto norm = [&](std::vector<float>* x, int64_t heads, const std::vector<float>& weight) {
    const int64_t rows = per_head ? tokens * heads : tokens;
    const int64_t cols = per_head ? a.head_dim : heads * a.head_dim;
    ops_.RmsNorm(x->data(), rows, cols, weight.data(), spec_.rms_epsilon, x->data());
  };
  norm(&buffers_.q, a.heads, weights.q_norm);
  norm(&buffers_.k, a.kv_heads, weights.k_norm);
}

void Decoder::Attention(int64_t layer, const LayerWeights& weights, const Batch& batch) {
  const Gqa& a = spec_.attention;
  const int64_t tokens = batch.size();
  const RopeStyle style = a.rope == RopeLayout::kHalves ? RopeStyle::kHalves : RopeStyle::kPairs;
  ops_.RmsNorm(buffers_.hidden.data(), tokens, spec_.hidden, weights.attention_norm.data(),
               spec_.rms_epsilon, buffers_.normed.data());
  const Product qkv[] = {{.weight = weights.q, .out = buffers_.q.data()},
                         {.weight = weights.k, .out = buffers_.k.data()},
                         {.weight = weights.v, .out = buffers_.v.data()}};
  ops_.MatMul(buffers_.normed.data(), tokens, qkv);
  QkNorms(weights, tokens);
  const RopeAngles angles{
      .cosine = buffers_.cosine.data(), .sine = buffers_.sine.data(), .style = style};
  ops_.Rope(buffers_.q.data(), tokens, a.heads, a.head_dim, angles);
  ops_.Rope(buffers_.k.data(), tokens, a.kv_heads, a.head_dim, angles);
  const KvLayout layout = kv_.Layout(layer);
  ops_.AppendKv(layout, batch.places, buffers_.k.data(), buffers_.v.data());
  const float scale = 1.0F / std::sqrt(static_cast<float>(a.head_dim));
  ops_.Attend(layout, batch.places, buffers_.q.data(), a.heads, scale, buffers_.attended.data());
  const Product o{.weight = weights.o, .out = buffers_.block_out.data()};
  ops_.MatMul(buffers_.attended.data(), tokens, {&o, 1});
  ops_.Add(buffers_.block_out.data(), tokens * spec_.hidden, buffers_.hidden.data());
}

void Decoder::Logits(const Batch& batch, const OnLogits& on_logits) {
  const auto wanted = static_cast<int64_t>(batch.wanted.size());
  for (int64_t first = 0; first < wanted; first += logit_rows_) {
    const int64_t rows = std::min(logit_rows_, wanted - first);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = batch.wanted[static_cast<size_t>(first + r)];
      ops_.RmsNorm(buffers_.hidden.data() + token * spec_.hidden, 1, spec_.hidden,
                   weights_.output_norm().data(), spec_.rms_epsilon,
                   buffers_.normed.data() + r * spec_.hidden);
    }
    const Product output{.weight = weights_.output(), .out = buffers_.logits.data()};
    ops_.MatMul(buffers_.normed.data(), rows, {&output, 1});
    for (int64_t r = 0; r < rows; ++r) {
      on_logits(static_cast<size_t>(first + r), std::span(buffers_.logits)
                                                    .subspan(static_cast<size_t>(r * spec_.vocab),
                                                             static_cast<size_t>(spec_.vocab)));
    }
  }
}

}  // namespace sluice

#include "engine/decoder.h"

#include <algorithm>

#include "engine/norm.h"

namespace sluice {

Decoder::Decoder(const Parts& parts, int64_t max_tokens, int64_t logit_rows)
    : spec_(parts.spec),
      weights_(parts.weights),
      ops_(parts.device->ops()),
      attention_(parts.spec, parts.weights, parts.kv, &ops_),
      dense_(parts.spec, &ops_),
      logit_rows_(logit_rows),
      buffers_(parts.spec, max_tokens, logit_rows) {
  if (!spec_.has_experts()) return;
  const std::span layers(weights_.layers());
  moe_.emplace(spec_, layers.subspan(static_cast<size_t>(spec_.dense_layers)), &ops_, parts.core,
               parts.store, parts.trace);
}

Status Decoder::Step(const Batch& batch, const OnLogits& on_logits) {
  attention_.FillRope(batch, &buffers_);
  ops_.Embed(weights_.embedding(), batch.tokens, buffers_.hidden.data());
  for (int64_t layer = 0; layer < spec_.layers; ++layer) {
    attention_.Run(layer, batch, &buffers_);
    if (layer < spec_.dense_layers) {
      const LayerWeights& weights = weights_.layers()[static_cast<size_t>(layer)];
      Norm(&ops_, spec_, buffers_.hidden.data(), batch.size(), weights.ffn_norm,
           buffers_.normed.data());
      dense_.Run(weights, batch, &buffers_);
    } else {
      moe_->Begin(static_cast<int32_t>(layer - spec_.dense_layers), batch, &buffers_);
      SLUICE_TRY(moe_->Finish(batch, &buffers_));
    }
  }
  Logits(batch, on_logits);
  return {};
}

void Decoder::Logits(const Batch& batch, const OnLogits& on_logits) {
  const auto wanted = static_cast<int64_t>(batch.wanted.size());
  for (int64_t first = 0; first < wanted; first += logit_rows_) {
    const int64_t rows = std::min(logit_rows_, wanted - first);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = batch.wanted[static_cast<size_t>(first + r)];
      Norm(&ops_, spec_, buffers_.hidden.data() + token * spec_.hidden, 1, weights_.output_norm(),
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

#include "engine/decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/finite.h"
#include "engine/norm.h"

namespace sluice {
namespace {

// Where numbers ceased to be finite, beside the layers.
constexpr int64_t kEmbedding = -1;
constexpr int64_t kNowhere = -2;

}  // namespace

Decoder::Decoder(const Parts& parts, int64_t max_tokens, int64_t logit_rows)
    : spec_(parts.spec),
      weights_(parts.weights),
      ops_(parts.device->ops()),
      attention_(parts.spec, parts.weights, parts.kv, &ops_),
      dense_(parts.spec, &ops_),
      logit_rows_(logit_rows),
      kv_format_(parts.kv.Layout(0).format),
      buffers_(parts.spec, max_tokens, logit_rows) {
  if (!spec_.has_experts()) return;
  const std::span layers(weights_.layers());
  moe_.emplace(spec_, layers.subspan(static_cast<size_t>(spec_.dense_layers)), &ops_, parts.core,
               parts.store, parts.trace);
}

Status Decoder::Step(const Batch& batch, const OnLogits& on_logits) {
  attention_.FillRope(batch, &buffers_);
  ops_.Embed(weights_.embedding(), batch.tokens, buffers_.hidden.data());
  not_finite_since_.assign(batch.wanted.size(), kNowhere);
  LookForNotFinite(batch, kEmbedding);
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
    LookForNotFinite(batch, layer);
  }
  Logits(batch, on_logits);
  return {};
}

void Decoder::LookForNotFinite(const Batch& batch, int64_t layer) {
  const auto hidden = static_cast<size_t>(spec_.hidden);
  for (size_t i = 0; i < batch.wanted.size(); ++i) {
    const std::span row =
        std::span(buffers_.hidden).subspan(static_cast<size_t>(batch.wanted[i]) * hidden, hidden);
    if (not_finite_since_[i] == kNowhere && !AllFinite(row)) not_finite_since_[i] = layer;
  }
}

Status Decoder::NotFinite(const Batch& batch, size_t wanted) const {
  const auto token = static_cast<size_t>(batch.wanted[wanted]);
  const int64_t since = not_finite_since_[wanted];
  const std::string place = since == kNowhere     ? "in the output matrix"
                            : since == kEmbedding ? "in the embedding"
                                                  : fmt::format("from layer {} on", since);
  return CorruptError(fmt::format(
      "the numbers of token {} at position {} are not finite {}: a weight there is damaged (NaN, "
      "infinite or far too large); compare the file's checksum{}",
      batch.tokens[token], batch.places[token].position, place,
      kv_format_ == KvFormat::kF32 || since < 0 ? "" : ", or try --kv-cache f32"));
}

void Decoder::Logits(const Batch& batch, const OnLogits& on_logits) {
  const auto count = static_cast<int64_t>(batch.wanted.size());
  for (int64_t first = 0; first < count; first += logit_rows_) {
    const int64_t rows = std::min(logit_rows_, count - first);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = batch.wanted[static_cast<size_t>(first + r)];
      Norm(&ops_, spec_, buffers_.hidden.data() + token * spec_.hidden, 1, weights_.output_norm(),
           buffers_.normed.data() + r * spec_.hidden);
    }
    const Product output{.weight = weights_.output(), .out = buffers_.logits.data()};
    ops_.MatMul(buffers_.normed.data(), rows, {&output, 1});
    for (int64_t r = 0; r < rows; ++r) {
      const auto wanted = static_cast<size_t>(first + r);
      const std::span<const float> logits =
          std::span(buffers_.logits)
              .subspan(static_cast<size_t>(r * spec_.vocab), static_cast<size_t>(spec_.vocab));
      const bool finite = not_finite_since_[wanted] == kNowhere && AllFinite(logits);
      if (finite) {
        on_logits(wanted, logits);
      } else {
        on_logits(wanted, NotFinite(batch, wanted));
      }
    }
  }
}

}  // namespace sluice

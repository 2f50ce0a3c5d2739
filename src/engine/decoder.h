// One forward step: embed, layers, logits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "device/device.h"
#include "engine/attention_layer.h"
#include "engine/batch.h"
#include "engine/dense_ffn.h"
#include "engine/kv_cache.h"
#include "engine/moe_layer.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {

class Decoder {
 public:
  // What a decoder works with and does not own. `trace` may be null; of a dense model `core` and
  // `store` are.
  struct Parts {
    const ModelSpec& spec;
    const DenseWeights& weights;
    const KvCache& kv;
    Device* device;
    const DecisionCore* core;
    ExpertStore* store;
    TraceWriter* trace;
  };

  // `max_tokens`, `logit_rows`: sizes of the buffers; steps with more tokens are not possible, more
  // wanted logits are computed in several rounds.
  Decoder(const Parts& parts, int64_t max_tokens, int64_t logit_rows);

  // Runs the batch through all layers and gives `on_logits` the logits [vocab] of each wanted token
  // in turn, or why it has none: a token whose numbers are not finite fails alone, with the layer
  // where they ceased to be. REQUIRES: 1 <= batch.size() <= max_tokens. After a failure of the step
  // the keys and values of the batch's tokens are not to be used.
  using OnLogits = std::function<void(size_t wanted, const Result<std::span<const float>>& logits)>;
  Status Step(const Batch& batch, const OnLogits& on_logits);

 private:
  void Logits(const Batch& batch, const OnLogits& on_logits);
  // Remembers which wanted tokens' hidden states are not finite behind `layer`.
  void LookForNotFinite(const Batch& batch, int64_t layer);
  Status NotFinite(const Batch& batch, size_t wanted) const;

  const ModelSpec& spec_;
  const DenseWeights& weights_;
  Ops& ops_;
  AttentionLayer attention_;
  DenseFfn dense_;
  std::optional<MoeLayer> moe_;  // none in a dense model
  const int64_t logit_rows_;
  const KvFormat kv_format_;
  Activations buffers_;
  std::vector<int64_t> not_finite_since_;  // [wanted]: a layer, or one of the constants in the .cc
};

}  // namespace sluice

// One forward step: embed, layers, logits.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "device/device.h"
#include "engine/batch.h"
#include "engine/kv_cache.h"
#include "engine/moe_layer.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {

class Decoder {
 public:
  // What a decoder works with and does not own. `trace` may be null.
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
  // in turn. REQUIRES: 1 <= batch.size() <= max_tokens. After a failure the keys and values of the
  // batch's tokens are not to be used.
  using OnLogits = std::function<void(size_t wanted, std::span<const float> logits)>;
  Status Step(const Batch& batch, const OnLogits& on_logits);

 private:
  void FillRope(const Batch& batch);
  void Attention(int64_t layer, const LayerWeights& weights, const Batch& batch);
  void QkNorms(const LayerWeights& weights, int64_t tokens);
  void Logits(const Batch& batch, const OnLogits& on_logits);

  const ModelSpec& spec_;
  const DenseWeights& weights_;
  const KvCache& kv_;
  Ops& ops_;
  MoeLayer moe_;
  const int64_t logit_rows_;
  std::vector<float> inverse_frequencies_;  // [head_dim / 2]
  Activations buffers_;
};

}  // namespace sluice

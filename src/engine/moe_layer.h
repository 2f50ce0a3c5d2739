// One mixture-of-experts layer of one batch: route, decide, stage, compute, combine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/decision_core.h"
#include "device/device.h"
#include "engine/batch.h"
#include "engine/dense_ffn.h"
#include "routing/trace.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {

class MoeLayer {
 public:
  // `weights` are of all layers with experts, which are counted from 0; `trace` may be null.
  // Everything outlives the layer.
  MoeLayer(const ModelSpec& spec, std::span<const LayerWeights> weights, Ops* ops,
           const DecisionCore* core, ExpertStore* store, TraceWriter* trace)
      : spec_(spec),
        weights_(weights),
        ops_(*ops),
        core_(*core),
        store_(*store),
        trace_(trace),
        shared_(spec, ops) {}

  // Phase 1: norm, router, the start of every read that has room, and the experts that every token
  // goes through. Waits for nothing.
  void Begin(int32_t layer, const Batch& batch, Activations* buffers);
  // Phase 2: experts as they become ready, then the weighted sum in rank order into
  // buffers->hidden.
  Status Finish(const Batch& batch, Activations* buffers);

 private:
  // The router's logits of x [tokens, hidden].
  void RouterLogits(const LayerWeights& weights, const float* x, int64_t tokens,
                    Activations* buffers);
  GateGuess Gate(int32_t layer, const Batch& batch, Activations* buffers);
  ExpertBiases Biases(int32_t expert) const;

  const ModelSpec& spec_;
  const std::span<const LayerWeights> weights_;
  Ops& ops_;
  const DecisionCore& core_;
  ExpertStore& store_;
  TraceWriter* trace_;
  DenseFfn shared_;
  int32_t layer_ = 0;  // of the open call
  std::vector<ExpertGroup> groups_;
  std::vector<ExpertCall> calls_;
  Routing gate_routing_;
  std::vector<Likely> guesses_;
};

}  // namespace sluice

// One mixture-of-experts layer of one batch: route, decide, stage, compute, combine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/decision_core.h"
#include "device/device.h"
#include "engine/batch.h"
#include "routing/trace.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {

class MoeLayer {
 public:
  // `weights` are of all layers; `trace` may be null. Everything outlives the layer.
  MoeLayer(const ModelSpec& spec, std::span<const LayerWeights> weights, Ops* ops,
           const DecisionCore* core, ExpertStore* store, TraceWriter* trace)
      : spec_(spec), weights_(weights), ops_(*ops), core_(*core), store_(*store), trace_(trace) {}

  // Phase 1: norm, router, and the start of every read that has room. Waits for nothing.
  void Begin(int32_t layer, const Batch& batch, Activations* buffers);
  // Phase 2: experts as they become ready, then the weighted sum in rank order into
  // buffers->hidden.
  Status Finish(const Batch& batch, Activations* buffers);

 private:
  GateGuess Gate(int32_t layer, const Batch& batch, Activations* buffers);

  const ModelSpec& spec_;
  const std::span<const LayerWeights> weights_;
  Ops& ops_;
  const DecisionCore& core_;
  ExpertStore& store_;
  TraceWriter* trace_;
  std::vector<ExpertGroup> groups_;
  std::vector<ExpertCall> calls_;
  Routing gate_routing_;
  std::vector<Likely> guesses_;
};

}  // namespace sluice

// One mixture-of-experts layer of one batch: route, decide, stage, compute, combine.
#pragma once

#include <cstdint>
#include <vector>

#include "device/device.h"
#include "engine/batch.h"
#include "routing/trace.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {

class MoeLayer {
 public:
  // `trace` may be null. Everything outlives the layer.
  MoeLayer(const ModelSpec& spec, Ops* ops, ExpertStore* store, TraceWriter* trace)
      : spec_(spec), ops_(*ops), store_(*store), trace_(trace) {}

  // Phase 1: norm, router, and the start of every read that has room. Waits for nothing.
  void Begin(int32_t layer, const LayerWeights& weights, const Batch& batch, Activations* buffers);
  // Phase 2: experts as they become ready, then the weighted sum in rank order into
  // buffers->hidden.
  Status Finish(const Batch& batch, Activations* buffers);

 private:
  const ModelSpec& spec_;
  Ops& ops_;
  ExpertStore& store_;
  TraceWriter* trace_;
  std::vector<ExpertGroup> groups_;
  std::vector<ExpertCall> calls_;
};

}  // namespace sluice

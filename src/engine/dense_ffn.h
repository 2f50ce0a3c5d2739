// The feed-forward network that every token of a layer goes through: all there is in a dense layer,
// the shared experts beside the others.
#pragma once

#include <vector>

#include "device/ops.h"
#include "engine/batch.h"
#include "model/model_spec.h"
#include "store/dense_weights.h"

namespace sluice {

class DenseFfn {
 public:
  // `ops` outlives it.
  DenseFfn(const ModelSpec& spec, Ops* ops) : spec_(spec), ops_(*ops) {}

  // Adds the network of buffers->normed to buffers->hidden. Uses buffers->block_out.
  void Run(const LayerWeights& weights, const Batch& batch, Activations* buffers);

 private:
  const ModelSpec& spec_;
  Ops& ops_;
  std::vector<int32_t> everyone_;  // 0, 1, ...
};

}  // namespace sluice

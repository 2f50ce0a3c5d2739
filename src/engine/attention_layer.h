// Attention of one layer of one batch, added to the residual stream: grouped-query or latent, as
// the model has it.
#pragma once

#include <cstdint>
#include <vector>

#include "device/device.h"
#include "engine/batch.h"
#include "engine/kv_cache.h"
#include "store/dense_weights.h"

namespace sluice {

class AttentionLayer {
 public:
  // Everything outlives the layer.
  AttentionLayer(const ModelSpec& spec, const DenseWeights& weights, const KvCache& kv, Ops* ops);

  // Once per batch, before the first layer: the angles by which its tokens turn.
  void FillRope(const Batch& batch, Activations* buffers) const;
  void Run(int64_t layer, const Batch& batch, Activations* buffers);

 private:
  void Grouped(const LayerWeights& weights, const Batch& batch, const KvLayout& layout,
               const AttentionRule& rule, Activations* buffers);
  void Latent(const LayerWeights& weights, const Batch& batch, const KvLayout& layout,
              const AttentionRule& rule, Activations* buffers);
  void QkNorms(const LayerWeights& weights, int64_t tokens, Activations* buffers);
  // The first `first` numbers of a head do not turn.
  RopeAngles Angles(int64_t first, const Activations& buffers) const;

  const ModelSpec& spec_;
  const std::vector<LayerWeights>& weights_;
  const KvCache& kv_;
  Ops& ops_;
  std::vector<float> frequencies_;  // [rope dims / 2]
};

}  // namespace sluice

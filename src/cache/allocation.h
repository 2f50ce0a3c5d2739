// How the slots are divided over the layers (`per_layer`), and the activity that the division and
// some admissions look at.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"
#include "cache/policy_spec.h"

namespace sluice {

// How often each expert is chosen, older choices counting less: halved every `half_life` tokens.
class Popularity {
 public:
  Popularity(CacheShape shape, double half_life_tokens);
  void Observe(const LayerCall& call);
  double Of(ExpertKey key) const { return counts_[static_cast<size_t>(key)]; }
  std::span<const double> OfLayer(int32_t layer) const;
  // Shannon entropy of a layer's choices, in bits.
  double Entropy(int32_t layer) const;
  double MeanEntropy() const;
  void Reset();

 private:
  const CacheShape shape_;
  const double growth_;         // of `unit_` per token: choices grow instead of counts shrinking
  std::vector<double> unit_;    // by layer: what a choice counts now
  std::vector<double> counts_;  // by key
};

// How often each depth of a layer's LRU stack was hit: what one more slot would have been worth.
class StackDepths {
 public:
  explicit StackDepths(CacheShape shape);
  void Observe(const LayerCall& call);
  // Accesses of the layer that found their expert `depth` (from 0) other experts deep.
  uint64_t Hits(int32_t layer, int32_t depth) const {
    return hits_[static_cast<size_t>(layer) * static_cast<size_t>(shape_.experts) +
                 static_cast<size_t>(depth)];
  }
  // Halves all counts, so that the next division looks at what is new.
  void Age();

 private:
  const CacheShape shape_;
  std::vector<int16_t> stacks_;  // [layers, experts], most recent first
  std::vector<uint64_t> hits_;   // [layers, experts]
};

// Slots of each layer; their sum is at most `total`, each within [min, max] of the policy and at
// most `experts`. `depths` may be null unless the allocation is kMarginal.
std::vector<int32_t> DivideSlots(const PerLayerSpec& spec, CacheShape shape, int64_t total,
                                 const Popularity& popularity, const StackDepths* depths);

}  // namespace sluice

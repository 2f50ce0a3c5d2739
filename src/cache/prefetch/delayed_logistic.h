// A logistic regression whose labels come later: a prediction's features wait until the layer that
// it speaks of is called, and are learned from then. This is what makes a strategy's numbers
// probabilities: of all experts for which it says 0.5, about half are chosen.
//
// One weight vector for all layers (a layer's own would learn from too little), one per distance.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"
#include "cache/prefetch/online_logistic.h"

namespace sluice {

class DelayedLogistic {
 public:
  // One weight per feature, and where each begins.
  DelayedLogistic(CacheShape shape, std::span<const float> initial);

  // Where to write the features [features, experts] of the next Score.
  std::span<float> Features(int32_t layer, int32_t distance);
  // The probabilities of the features that Features(layer, distance) was given.
  void Score(int32_t layer, int32_t distance, std::span<float> probability);
  // The labels of what was scored for this layer. True if it was scored at distance 1, which is
  // what residuals() then speak of.
  bool Observe(const LayerCall& call);
  void Reset();

  // [experts]: the share of tokens that chose the expert, less what was said.
  std::span<const float> residuals() const { return regressions_[0].residuals(); }

 private:
  // Farther ones share the weights of the farthest.
  static constexpr int32_t kDistances = 4;
  static size_t Bucket(int32_t distance);

  const CacheShape shape_;
  const size_t features_;
  std::vector<OnlineLogistic> regressions_;  // by distance
  std::vector<float> waiting_;               // [layers, kDistances, features, experts]
  std::vector<char> scored_;  // [layers, kDistances]: whether features wait for a label
  std::vector<float> share_;  // scratch [experts]
};

}  // namespace sluice

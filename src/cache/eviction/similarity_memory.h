// Remembers the routing of the last tokens, and says what those whose routing resembles the present
// one needed next.
//
// Layer by layer it adds up how many choices each remembered token has in common with the present
// one. The most similar tokens vote, each for the choices of the tokens that followed it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/eviction/lane_kernels.h"
#include "cache/eviction/rule_support.h"
#include "cache/layer_call.h"

namespace sluice {

class SimilarityMemory {
 public:
  static constexpr size_t kTokens = 1500;  // that are remembered

  // How far a similar token's future counts: `tokens` (at most 16), each `decay` of the one before.
  struct Horizon {
    size_t tokens = 10;
    float decay = 0.85F;
  };
  SimilarityMemory(CacheShape shape, int32_t top_k, Horizon horizon,
                   const LaneKernels& kernels = BestLaneKernels());

  // Every call. Of a call of several tokens all are remembered, and the last is the present one.
  void Observe(const LayerCall& call);
  // How much the similar tokens speak for each expert of the call's layer: [lanes()], 0 to 2.
  // Computed when it is first asked after Observe; valid until the next.
  std::span<const float> Recall();
  void Reset();

  size_t lanes() const { return votes_.size(); }

 private:
  void BeginStep(int32_t tokens);
  uint32_t* Plane(int32_t layer, size_t plane) {
    return &words_[(static_cast<size_t>(layer) * planes_ + plane) * kStride];
  }
  // Positions are indices into arrays of this size. The window slides to its end and is moved back.
  static constexpr size_t kStride = 2 * kTokens + 2 * kLanes;

  const CacheShape shape_;
  const float scale_;  // of the overlap of all layers
  const Horizon horizon_;
  const LaneKernels& kernels_;
  const size_t planes_;  // words of 32 experts
  StepWatch steps_;
  size_t begin_ = 0;        // the first remembered token
  size_t present_ = 0;      // the present token: the last of the step
  size_t step_tokens_ = 0;  // of this step that are kept; 0: nothing has been observed
  int32_t layer_ = 0;
  bool recalled_ = false;
  std::vector<uint32_t> words_;   // [layers, planes, kStride]
  std::vector<int32_t> overlap_;  // [kStride]: with the present token, in the layers so far
  std::vector<float> carried_;    // [kStride]: similarity of the tokens before, a fifth of it
  std::vector<float> next_carried_;
  float decays_[kLanes] = {};    // by distance - 1
  std::vector<float> affinity_;  // [kTokens], from begin_ on, and so all that follow
  std::vector<float> bests_;     // of each kLanes of them
  std::vector<uint32_t> similar_;
  std::vector<float> strengths_;  // of the similar
  std::vector<uint32_t> voters_;
  std::vector<float> weights_;  // [kTokens + 2 lanes]: of the voters
  std::vector<float> votes_;    // [lanes]
};

}  // namespace sluice

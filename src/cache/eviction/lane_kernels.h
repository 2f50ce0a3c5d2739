// The inner loops of `memory` and `learned`, for the instructions that the machine has.
//
// All versions give the same bits: what is done to one element is the same sequence of operations
// everywhere, and sums over elements go through 16 lanes in a fixed order. So a replay on another
// machine decides as the run did.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

// Arrays of [lanes] are padded to a multiple of this.
inline constexpr size_t kLanes = 16;

// Sets of experts of several tokens, as bits: expert e of token q is bit e % 32 of
// words[e / 32 * stride + q].
struct ExpertBits {
  const uint32_t* words = nullptr;
  size_t stride = 0;
  size_t planes = 0;  // words of a token
};

inline constexpr size_t kDecays = 4;
inline constexpr size_t kFeatures = kDecays + 2;  // age and recall beside the averages

struct LaneKernels {
  const char* name;
  // overlap[q] += experts that token q and `chosen` [planes] have in common.
  void (*add_overlap)(ExpertBits bits, const uint32_t* chosen, int32_t* overlap, size_t tokens);
  // affinity[q] = scale * (weight * overlap[q] + carried[q]); best[q / kLanes]: the greatest of
  // each kLanes of them; returns the greatest. `tokens` > 0. Reads and writes whole vectors.
  float (*affinity)(const int32_t* overlap, const float* carried, float weight, float scale,
                    float* affinity, float* best, size_t tokens);
  // values[i] = e^values[i], for values from -80 to 80.
  void (*exp)(float* values, size_t lanes);
  // votes[e] += sum of weights[q] of those tokens q of `voters` that chose e, in their order.
  // Votes: 32 per plane, not negative, as the weights.
  void (*vote)(ExpertBits bits, const uint32_t* voters, size_t voter_count, const float* weights,
               float* votes);
  // The state of one layer's experts after one more token: averages [decays, lanes] and ages, both
  // from `chosen` (1 or 0).
  void (*age)(const float* chosen, float* averages, float* ages, float* context, size_t lanes);
  // features [kFeatures, lanes] of one layer's experts.
  void (*features)(const float* averages, const float* ages, const float* recall, float* features,
                   size_t lanes);
  // z = weights[0] + sum weights[1 + f] features[f] + sum scales[r] table[rows[r]].
  void (*score)(const float* features, const float* weights, const float* table,
                const uint32_t* rows, const float* scales, size_t row_count, float* z,
                size_t lanes);
  // delta = labels - sigmoid(z), 0 from `experts` on; gradient [1 + kFeatures] = sums of delta
  // times each feature.
  void (*gradient)(const float* labels, const float* z, const float* features, size_t experts,
                   float* delta, float* gradient, size_t lanes);
  // table[rows[r]] += rates[r] * delta.
  void (*learn)(float* table, const uint32_t* rows, const float* rates, size_t row_count,
                const float* delta, size_t lanes);
};

// The fastest that this machine runs.
const LaneKernels& BestLaneKernels();
// All that it runs, for tests.
std::span<const LaneKernels* const> UsableLaneKernels();

// The averages of `learned`: what is kept per token, and what is added before the logarithm.
inline constexpr float kDecayRates[kDecays] = {0.7F, 0.9F, 0.97F, 0.995F};
inline constexpr float kDecayFloors[kDecays] = {0.06F, 0.02F, 0.006F, 0.003F};
inline constexpr float kOldest = 1000;        // age beyond which all are equally old
inline constexpr float kContextDecay = 0.7F;  // of earlier choices as context
inline constexpr float kRecallFloor = 0.02F;  // added to a recall before its logarithm

}  // namespace sluice

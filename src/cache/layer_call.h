// What one layer asks of the experts, in the form in which every rule of the decision core sees it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "routing/expert_id.h"
#include "routing/gate_guess.h"

namespace sluice {

// The experts that a policy may see: all of layers x experts.
struct CacheShape {
  int32_t layers = 0;
  int32_t experts = 0;  // per layer

  size_t size() const { return static_cast<size_t>(layers) * static_cast<size_t>(experts); }
  size_t Index(ExpertId id) const {
    return static_cast<size_t>(id.layer) * static_cast<size_t>(experts) +
           static_cast<size_t>(id.expert);
  }
};

// An expert as an index into arrays of CacheShape::size().
using ExpertKey = int32_t;

inline ExpertKey KeyOf(CacheShape shape, ExpertId id) {
  return static_cast<ExpertKey>(shape.Index(id));
}
inline ExpertId IdOf(CacheShape shape, ExpertKey key) {
  return {.layer = key / shape.experts, .expert = key % shape.experts};
}

enum class Phase { kDecode, kPrefill };
inline constexpr int kPhases = 2;

// One layer of one step, as it comes from the engine or out of a trace.
struct LayerRouting {
  int32_t layer = 0;
  int32_t tokens = 0;
  std::span<const int32_t> experts;  // [tokens, top_k], each row distinct, in rank order
  std::span<const float> weights;    // [tokens, top_k]; empty: the trace does not say
  GateGuess gate;
};

// What one call asks of one expert.
struct Demand {
  int32_t expert = 0;
  int32_t tokens = 0;  // that chose it
};

// The same with what the core adds. The first call of a step is that of the lowest layer.
struct LayerCall {
  int32_t layer = 0;
  int32_t tokens = 0;
  int32_t top_k = 0;
  std::span<const int32_t> experts;  // [tokens, top_k], rank order
  std::span<const float> weights;    // [tokens, top_k] or empty
  GateGuess gate;
  std::span<const Demand>
      demands;  // the distinct experts, in the order in which the batch met them
  Phase phase = Phase::kDecode;
  uint64_t step = 0;         // of the model, from 0
  uint64_t call = 0;         // over all layers, from 0
  uint64_t first_token = 0;  // computed before this step; the call's tokens count on from here
};

}  // namespace sluice

// How often each expert of each layer was chosen of late: a moving average per expert, of the
// share of tokens that chose it. Resident or not, every expert has one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"

namespace sluice {

class ChoiceRates {
 public:
  // What a token of the past still counts, against one a token younger.
  ChoiceRates(CacheShape shape, int32_t top_k, float decay)
      : shape_(shape),
        decay_(decay),
        // Until something is known every expert is as likely as any.
        even_(static_cast<float>(top_k) / static_cast<float>(shape.experts)),
        rates_(shape.size(), even_) {}

  void Observe(const LayerCall& call) {
    float kept = 1;
    // Calls of many tokens forget everything before: 1e-3 is nothing.
    for (int32_t i = 0; i < call.tokens && kept > 1e-3F; ++i) kept *= decay_;
    const std::span<float> rates = OfMutable(call.layer);
    for (float& rate : rates) rate *= kept;
    const float each = (1 - kept) / static_cast<float>(call.tokens);
    for (const Demand& demand : call.demands) {
      rates[static_cast<size_t>(demand.expert)] += each * static_cast<float>(demand.tokens);
    }
  }
  std::span<const float> Of(int32_t layer) const {
    return std::span(rates_).subspan(shape_.Index({.layer = layer}),
                                     static_cast<size_t>(shape_.experts));
  }
  float even() const { return even_; }
  void Reset() { rates_.assign(rates_.size(), even_); }

 private:
  std::span<float> OfMutable(int32_t layer) {
    return std::span(rates_).subspan(shape_.Index({.layer = layer}),
                                     static_cast<size_t>(shape_.experts));
  }

  const CacheShape shape_;
  const float decay_;
  const float even_;
  std::vector<float> rates_;  // by key
};

}  // namespace sluice

// Which experts follow which: of the tokens that chose expert `from` in one call, how many chose
// `to` in a later one. 16-bit counts; a row is halved when it is full, so old counts fade.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/layer_call.h"

namespace sluice {

class TransitionTable {
 public:
  explicit TransitionTable(CacheShape shape);

  // A token chose `from` earlier and now, in `layer`, `to`.
  void Count(int32_t layer, std::span<const int32_t> from, std::span<const int32_t> to);
  // Adds to `log_lift` [experts] the sum over `from` of ln(P(e | from) / P(e)), P(e) = `base`.
  void AddLogLift(int32_t layer, std::span<const int32_t> from, std::span<const float> base,
                  std::span<float> log_lift);
  // Adds to `probability` [experts] weight x P(e | from), shrunk towards `base`.
  void AddConditional(int32_t layer, int32_t from, float weight, std::span<const float> base,
                      std::span<float> probability) const;
  // P(to | from) as known from elsewhere, as if it had been seen `times`.
  void Set(int32_t layer, int32_t from, int32_t to, double probability, int32_t times);
  void Reset();

 private:
  size_t Row(int32_t layer, int32_t from) const {
    return static_cast<size_t>(layer) * static_cast<size_t>(shape_.experts) +
           static_cast<size_t>(from);
  }

  const CacheShape shape_;
  std::vector<uint16_t> counts_;  // [layers, experts (from), experts (to)]
  std::vector<uint16_t> times_;   // [layers, experts (from)]
  std::vector<float> product_;    // scratch [experts]
  std::vector<float> inverse_;    // scratch [experts]
};

}  // namespace sluice

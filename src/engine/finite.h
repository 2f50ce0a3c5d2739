// Are numbers finite? Asked of every hidden state and of all logits: a damaged weight must not end
// as an answer.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace sluice {

// Without branches, so that it costs what reading costs: microseconds for a vocabulary.
inline bool AllFinite(std::span<const float> x) {
  constexpr uint32_t kExponent = 0x7F800000;  // all ones: infinite or NaN
  uint32_t special = 0;
  for (const float number : x) {
    special |= static_cast<uint32_t>((std::bit_cast<uint32_t>(number) & kExponent) == kExponent);
  }
  return special == 0;
}

}  // namespace sluice

// A router's answer before its time.
#pragma once

#include <cstdint>
#include <span>

namespace sluice {

// An expert that something holds for likely.
struct Likely {
  int32_t expert = 0;
  float probability = 0;
};

// The router of a later layer, applied to the hidden state that this layer's router saw.
struct GateGuess {
  int32_t layer = -1;               // -1: nobody asked
  std::span<const Likely> experts;  // likeliest first
};

}  // namespace sluice

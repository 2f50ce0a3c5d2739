// How the gate and up of a feed-forward network become the input of its down.
#pragma once

namespace sluice {

enum class FfnActivation {
  kSwiGlu,         // silu(gate) * up
  kClampedSwiGlu,  // with g = min(gate, 7), u = up within [-7, 7]:
                   // (u + 1) * g * sigmoid(1.702 * g)  (gpt-oss)
};

inline constexpr float kSwiGluLimit = 7.0F;
inline constexpr float kSwiGluAlpha = 1.702F;

}  // namespace sluice

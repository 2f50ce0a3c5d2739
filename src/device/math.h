// exp, sigmoid and the activations as every device computes them: the same arithmetic, hence the
// same bits.
#pragma once

#include <bit>
#include <cstdint>

#include "tensor/ffn_activation.h"

namespace sluice {

// e^x to about 1 ulp: x = n ln 2 + r, a polynomial of degree 6 in r, exponent added as bits.
// Below -87.3 it is 0, above 88.7 infinity; NaN stays NaN. No branches: loops over it vectorise.
inline float Exp(float x) {
  constexpr float kLog2E = 1.44269504088896341F;
  constexpr float kLn2High = 0.693359375F;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Minimax coefficients on [-ln2/2, ln2/2] (Cephes expf, S. Moshier).
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound);
  const float scaled = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (exponent << 23));
  const float low = x < -87.0F ? 0.0F : scaled;
  const float high = x > 88.0F ? __builtin_inff() : low;
  return x != x ? x : high;
}

inline float Sigmoid(float x) { return 1.0F / (1.0F + Exp(-x)); }
inline float Silu(float x) { return x / (1.0F + Exp(-x)); }

inline float ClampedSwiGlu(float gate, float up) {
  const float g = gate > kSwiGluLimit ? kSwiGluLimit : gate;
  const float low = up < -kSwiGluLimit ? -kSwiGluLimit : up;
  const float u = low > kSwiGluLimit ? kSwiGluLimit : low;
  return (u + 1.0F) * (g / (1.0F + Exp(-(g * kSwiGluAlpha))));
}

}  // namespace sluice

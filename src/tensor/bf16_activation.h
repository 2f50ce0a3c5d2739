// Activations as BF16 weights multiply them: rounded to BF16, two columns at a time.
//
// The product is what vdpbf16ps computes, which two fused multiply-adds give as well: the second
// column of a pair first, each step rounded to nearest even, and subnormal numbers count as zero
// wherever they appear (inputs, sums, results).
#pragma once

#include <cmath>
#include <cstdint>

#include "base/fp16.h"

namespace sluice {

// What stands beside a last column that has no partner. With a weight of +0 it adds -0, which
// changes no sum.
inline constexpr uint16_t kBf16Padding = 0x8000;

// The specification. out: `cols` numbers, and kBf16Padding if that is odd.
inline void RoundBf16(const float* x, int64_t cols, uint16_t* out) {
  for (int64_t i = 0; i < cols; ++i) out[i] = F32ToBf16(x[i]);
  if (cols % 2 != 0) out[cols] = kBf16Padding;
}

// a * b + c for BF16 numbers a and b, rounded once, subnormal numbers flushed to zeros of their
// sign.
inline float FlushingFma(float a, float b, float c) {
  const auto flush = [](float v) { return std::fabs(v) < 0x1p-126F ? std::copysign(0.0F, v) : v; };
  a = flush(a);
  b = flush(b);
  c = flush(c);
  // A result is subnormal if it is below 2^-126 when rounded to 24 bits: if it is below the middle
  // of 2^-126 and the number before. So near to it, the sum in double is exact.
  const double exact = static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c);
  if (std::fabs(exact) < 0x1p-126 - 0x1p-151) return static_cast<float>(std::copysign(0.0, exact));
  return std::fma(a, b, c);
}

}  // namespace sluice

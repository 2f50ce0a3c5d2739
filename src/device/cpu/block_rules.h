// What becomes of the integer products of a block of 32 numbers. Every quantized format follows one
// of these rules; FormatSpec::dot_q8 of the format is the definition.
#pragma once

namespace sluice {

// With dot = sum of the 32 products, dot0 and dot1 those of the first and second 16; dx, sum_x the
// scale and the sum of the activations:
enum class BlockRule {
  kScale,      // sum = fma(dot, scale * dx, sum)
  kScaleMin,   // the same, then sum = fma(min, dx * sum_x, sum)
  kHalves,     // sum = fma(scale0 * dot0 + scale1 * dot1, d * dx, sum), the scales being integers
  kHalvesMin,  // the same, then sum = fma(dmin * dx, min0 * sum_x0 + min1 * sum_x1, sum)
};

// Numbers per row that a rule takes: scale; scale, min; d, scale0, scale1; the same and dmin, min0,
// min1.
constexpr int RuleNumbers(BlockRule rule) {
  switch (rule) {
    case BlockRule::kScale:
      return 1;
    case BlockRule::kScaleMin:
      return 2;
    case BlockRule::kHalves:
      return 3;
    case BlockRule::kHalvesMin:
      return 6;
  }
  return 0;
}
constexpr bool ByHalves(BlockRule rule) {
  return rule == BlockRule::kHalves || rule == BlockRule::kHalvesMin;
}

}  // namespace sluice

// Scales of a block of weights, searched for the least squared error.
//
// A sub-block gets its scale by trying some around the one that the largest number asks for, each
// improved by least squares for the codes that it leads to. The scales of the sub-blocks become
// small integers times the block's own f16 scale; every integer is then chosen once more among its
// neighbours by the error that it really gives, and the f16 scale by least squares. What the block
// is scored by is always what a reader will decode.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/fp16.h"

namespace sluice {

// To the nearest integer, halves to even. REQUIRES: |x| < 2^22.
inline float RoundSmall(float x) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: a float of this size has no fraction bits
  return (x + kShift) - kShift;
}

inline float RoundToF16(float x) { return F16ToF32(F32ToF16(x)); }

// Integers kLowest..kHighest as codes: Nearest(x) is the code's value.
template <int kLowest, int kHighest>
struct IntegerCodes {
  static constexpr float kExtreme = kLowest;
  // Scales that are tried differ by this share. With few codes their ends matter, with many how
  // well a scale happens to suit the numbers.
  static constexpr float kStep = kLowest < -8 ? 0.013F : 0.025F;
  static float Nearest(float x) {
    return RoundSmall(std::clamp(x, static_cast<float>(kLowest), static_cast<float>(kHighest)));
  }
};

// 1 / x, or 0.
inline float InverseOrZero(float x) { return std::fabs(x) > 1e-30F ? 1 / x : 0; }

template <typename Codes>
float SquaredError(const float* x, int64_t count, float scale) {
  const float inverse = InverseOrZero(scale);
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float error = x[i] - scale * Codes::Nearest(x[i] * inverse);
    sum += error * error;
  }
  return sum;
}

// Of a sub-block's codes c and numbers x: sums of c * x and of c * c.
struct CodeSums {
  float cx = 0;
  float cc = 0;
};
template <typename Codes>
CodeSums SumCodes(const float* x, int64_t count, float scale) {
  const float inverse = InverseOrZero(scale);
  CodeSums sums;
  for (int64_t i = 0; i < count; ++i) {
    const float code = Codes::Nearest(x[i] * inverse);
    sums.cx += code * x[i];
    sums.cc += code * code;
  }
  return sums;
}

inline float LargestOf(const float* x, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  }
  return largest;
}

// The best scale of x ~ scale * code found, of either sign; 0 for zeros.
template <typename Codes>
float SearchScale(const float* x, int64_t count) {
  constexpr int kTries = 9;  // to each side
  const float largest = LargestOf(x, count);
  float best_scale = 0;
  float best_gain = 0;  // how much of the sum of squares is explained
  for (const float sign : {1.0F, -1.0F}) {
    for (int t = -kTries; t <= kTries; ++t) {
      const float tried =
          sign * largest / (Codes::kExtreme * (1 + Codes::kStep * static_cast<float>(t)));
      const CodeSums sums = SumCodes<Codes>(x, count, tried);
      if (sums.cc <= 0 || sums.cx * sums.cx <= best_gain * sums.cc) continue;
      best_gain = sums.cx * sums.cx / sums.cc;
      best_scale = sums.cx / sums.cc;
    }
  }
  return best_scale;
}

// A block of kSubs sub-blocks of kCount: x ~ d * scales[j] * code.
template <int kSubs>
struct ScaledFit {
  uint16_t d = 0;  // f16
  std::array<int, kSubs> scales = {};
  float error = std::numeric_limits<float>::infinity();
};

// REQUIRES: lowest <= 0 <= highest, and lowest has the larger magnitude.
template <typename Codes, int kSubs, int64_t kCount>
ScaledFit<kSubs> FitScales(const float* x, int lowest, int highest) {
  std::array<float, kSubs> wanted = {};
  for (int j = 0; j < kSubs; ++j) wanted[j] = SearchScale<Codes>(x + j * kCount, kCount);
  float d = RoundToF16(LargestOf(wanted.data(), kSubs) / static_cast<float>(lowest));
  ScaledFit<kSubs> best;
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    ScaledFit<kSubs> fit{.d = F32ToF16(d), .scales = {}, .error = 0};
    const float inverse = InverseOrZero(d);
    float up = 0;
    float down = 0;
    for (int j = 0; j < kSubs; ++j) {
      const float* sub = x + j * kCount;
      const int middle = static_cast<int>(RoundSmall(std::clamp(
          wanted[j] * inverse, static_cast<float>(lowest), static_cast<float>(highest))));
      float least = std::numeric_limits<float>::infinity();
      for (int s = std::max(middle - 1, lowest); s <= std::min(middle + 1, highest); ++s) {
        const float error = SquaredError<Codes>(sub, kCount, d * static_cast<float>(s));
        if (error >= least) continue;
        least = error;
        fit.scales[j] = s;
      }
      fit.error += least;
      const auto chosen = static_cast<float>(fit.scales[j]);
      const CodeSums sums = SumCodes<Codes>(sub, kCount, d * chosen);
      up += chosen * sums.cx;
      down += chosen * chosen * sums.cc;
    }
    if (fit.error < best.error) best = fit;
    const float improved = RoundToF16(up * InverseOrZero(down));
    if (improved == d || improved == 0) break;
    d = improved;
  }
  return best;
}

// x ~ scale * code - min with code in 0..highest and min >= 0.
struct ScaleMin {
  float scale = 0;
  float min = 0;
};

inline float CodeFrom(float x, float min, float inverse, float highest) {
  return RoundSmall(std::clamp((x + min) * inverse, 0.0F, highest));
}

inline float SquaredError(const float* x, int64_t count, const ScaleMin& fit, float highest) {
  const float inverse = InverseOrZero(fit.scale);
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float error = x[i] - (fit.scale * CodeFrom(x[i], fit.min, inverse, highest) - fit.min);
    sum += error * error;
  }
  return sum;
}

// The best pair for the codes that `from` leads to, by least squares.
inline ScaleMin ImproveScaleMin(const float* x, int64_t count, const ScaleMin& from,
                                float highest) {
  const float inverse = InverseOrZero(from.scale);
  float c1 = 0;
  float cc = 0;
  float x1 = 0;
  float cx = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float code = CodeFrom(x[i], from.min, inverse, highest);
    c1 += code;
    cc += code * code;
    x1 += x[i];
    cx += code * x[i];
  }
  const auto n = static_cast<float>(count);
  const float determinant = n * cc - c1 * c1;
  if (determinant > 0) {
    const ScaleMin pair{.scale = (n * cx - c1 * x1) / determinant,
                        .min = (c1 * cx - cc * x1) / determinant};
    if (pair.min >= 0 && pair.scale >= 0) return pair;
  }
  // Without a minimum; negative numbers then become 0.
  return {.scale = cc > 0 ? std::max(cx / cc, 0.0F) : 0, .min = 0};
}

inline ScaleMin SearchScaleMin(const float* x, int64_t count, float highest) {
  const auto [low, high] = std::minmax_element(x, x + count);
  const float min = std::max(-*low, 0.0F);
  const float range = *high + min;
  ScaleMin best{.scale = 0, .min = min};
  if (!(range > 0)) return best;
  float least = std::numeric_limits<float>::infinity();
  constexpr int kTries = 20;
  for (int t = 0; t <= kTries; ++t) {
    // From codes that overshoot the range by half a step to codes that leave its ends out.
    const float steps = highest - 0.5F + 0.1F * static_cast<float>(t);
    ScaleMin tried{.scale = range / std::max(steps, 0.5F), .min = min};
    tried = ImproveScaleMin(x, count, tried, highest);
    const float error = SquaredError(x, count, tried, highest);
    if (error >= least) continue;
    least = error;
    best = tried;
  }
  return best;
}

// A block of kSubs sub-blocks of kCount: x ~ d * scales[j] * code - dmin * mins[j].
template <int kSubs>
struct ScaledMinFit {
  uint16_t d = 0;  // f16
  uint16_t dmin = 0;
  std::array<int, kSubs> scales = {};
  std::array<int, kSubs> mins = {};
  float error = std::numeric_limits<float>::infinity();
};

struct ChosenIntegers {
  int scale = 0;
  int min = 0;
  float error = std::numeric_limits<float>::infinity();
};

// Of one sub-block: the best among the neighbours of what it wants, in multiples of `unit`.
inline ChosenIntegers ChooseIntegers(const float* x, int64_t count, const ScaleMin& wanted,
                                     const ScaleMin& unit, float highest, int most) {
  const auto nearest = [most](float value, float step) {
    return static_cast<int>(
        RoundSmall(std::clamp(value * InverseOrZero(step), 0.0F, static_cast<float>(most))));
  };
  const int s0 = nearest(wanted.scale, unit.scale);
  const int m0 = nearest(wanted.min, unit.min);
  ChosenIntegers best;
  for (int s = std::max(s0 - 1, 0); s <= std::min(s0 + 1, most); ++s) {
    for (int m = std::max(m0 - 1, 0); m <= std::min(m0 + 1, most); ++m) {
      const ScaleMin tried{.scale = unit.scale * static_cast<float>(s),
                           .min = unit.min * static_cast<float>(m)};
      const float error = SquaredError(x, count, tried, highest);
      if (error < best.error) best = {.scale = s, .min = m, .error = error};
    }
  }
  return best;
}

// Sums over a block for the least squares of d and dmin.
class BlockSums {
 public:
  void Add(const float* x, int64_t count, const ScaleMin& fit, float highest,
           const ChosenIntegers& chosen) {
    const float inverse = InverseOrZero(fit.scale);
    const auto s = static_cast<float>(chosen.scale);
    const auto m = static_cast<float>(chosen.min);
    for (int64_t i = 0; i < count; ++i) {
      const float a = s * CodeFrom(x[i], fit.min, inverse, highest);
      aa_ += a * a;
      am_ += a * m;
      mm_ += m * m;
      ax_ += a * x[i];
      mx_ += m * x[i];
    }
  }
  // x ~ scale * a - min * m.
  ScaleMin Solve() const {
    const float determinant = aa_ * mm_ - am_ * am_;
    if (!(determinant > 0)) return {.scale = ax_ * InverseOrZero(aa_), .min = 0};
    return {.scale = (ax_ * mm_ - mx_ * am_) / determinant,
            .min = (ax_ * am_ - mx_ * aa_) / determinant};
  }

 private:
  float aa_ = 0;
  float am_ = 0;
  float mm_ = 0;
  float ax_ = 0;
  float mx_ = 0;
};

// Codes are 0..highest; scales and minima are 0..most.
template <int kSubs, int64_t kCount>
ScaledMinFit<kSubs> FitScalesAndMins(const float* x, int highest_code, int most) {
  const auto highest = static_cast<float>(highest_code);
  std::array<ScaleMin, kSubs> wanted;
  ScaleMin unit;
  for (int j = 0; j < kSubs; ++j) {
    wanted[j] = SearchScaleMin(x + j * kCount, kCount, highest);
    unit.scale = std::max(unit.scale, wanted[j].scale);
    unit.min = std::max(unit.min, wanted[j].min);
  }
  unit.scale = RoundToF16(unit.scale / static_cast<float>(most));
  unit.min = RoundToF16(unit.min / static_cast<float>(most));
  ScaledMinFit<kSubs> best;
  constexpr int kRounds = 2;
  for (int round = 0; round < kRounds; ++round) {
    ScaledMinFit<kSubs> fit{.d = F32ToF16(unit.scale),
                            .dmin = F32ToF16(unit.min),
                            .scales = {},
                            .mins = {},
                            .error = 0};
    BlockSums sums;
    for (int j = 0; j < kSubs; ++j) {
      const float* sub = x + j * kCount;
      const ChosenIntegers chosen = ChooseIntegers(sub, kCount, wanted[j], unit, highest, most);
      fit.error += chosen.error;
      fit.scales[j] = chosen.scale;
      fit.mins[j] = chosen.min;
      const ScaleMin used{.scale = unit.scale * static_cast<float>(chosen.scale),
                          .min = unit.min * static_cast<float>(chosen.min)};
      sums.Add(sub, kCount, used, highest, chosen);
    }
    if (fit.error < best.error) best = fit;
    const ScaleMin solved = sums.Solve();
    const ScaleMin improved{.scale = RoundToF16(solved.scale), .min = RoundToF16(solved.min)};
    if (!(improved.scale > 0) || !(improved.min >= 0)) break;
    unit = improved;
  }
  return best;
}

}  // namespace sluice

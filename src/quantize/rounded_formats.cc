// Formats whose scale follows from the largest number of the block: nothing to choose, so the bytes
// are those of ggml and the `gguf` package. Every step is one float32 operation, in their order.
#include <algorithm>
#include <cmath>

#include "base/fp16.h"
#include "quantize/encode.h"

namespace sluice {
namespace {

constexpr int kBlock = 32;

// 1 / d; 0 where that is no number: a block of zeros, or of numbers too small for any scale.
float Inverse(float d) {
  const float inverse = 1 / d;
  return std::isfinite(inverse) ? inverse : 0;
}

// The first number of the largest magnitude.
float Extreme(const float* x) {
  float extreme = x[0];
  for (int i = 1; i < kBlock; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  return extreme;
}

// `codes` are below 16, or below 32 with the fifth bit in `high`.
void PackNibbles(const int* codes, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
  }
}
void PackFifthBits(const int* codes, uint8_t* high) {
  std::fill_n(high, 4, uint8_t{0});
  for (int i = 0; i < kBlock; ++i) {
    high[i / 8] = static_cast<uint8_t>(high[i / 8] | ((codes[i] >> 4) << (i % 8)));
  }
}

// x ~ d * (code - middle), the extreme one at code 0. Returns d.
float RoundAroundZero(const float* x, int middle, int* codes) {
  const float d = Extreme(x) / static_cast<float>(-middle);
  const float inverse = Inverse(d);
  for (int i = 0; i < kBlock; ++i) {
    const float shifted = x[i] * inverse + (static_cast<float>(middle) + 0.5F);
    codes[i] = std::clamp(static_cast<int>(shifted), 0, 2 * middle - 1);
  }
  return d;
}

struct ScaleAndMin {
  float d;
  float min;
};

// x ~ d * code + min, code in 0..highest.
ScaleAndMin RoundFromMinimum(const float* x, int highest, int* codes) {
  const auto [low, high] = std::minmax_element(x, x + kBlock);
  const float min = *low;
  const float d = (*high - min) / static_cast<float>(highest);
  const float inverse = Inverse(d);
  for (int i = 0; i < kBlock; ++i) {
    const float shifted = (x[i] - min) * inverse + 0.5F;
    // Where the difference overflows this is no number, which no cast may see.
    codes[i] = std::isfinite(shifted) ? std::clamp(static_cast<int>(shifted), 0, highest) : 0;
  }
  return {.d = d, .min = min};
}

}  // namespace

template <>
F32::Block Encode<F32>(const float* x) {
  return {*x};
}

template <>
F16::Block Encode<F16>(const float* x) {
  return {F32ToF16(*x)};
}

template <>
BF16::Block Encode<BF16>(const float* x) {
  return {F32ToBf16(*x)};
}

template <>
Q8_0::Block Encode<Q8_0>(const float* x) {
  const float d = std::fabs(Extreme(x)) / 127;
  const float inverse = Inverse(d);
  Q8_0::Block block{};
  block.d = F32ToF16(d);
  for (int i = 0; i < kBlock; ++i) {
    block.q[i] = static_cast<int8_t>(std::round(x[i] * inverse));  // halves away from zero
  }
  return block;
}

template <>
Q4_0::Block Encode<Q4_0>(const float* x) {
  int codes[kBlock];
  Q4_0::Block block{};
  block.d = F32ToF16(RoundAroundZero(x, 8, codes));
  PackNibbles(codes, block.q);
  return block;
}

template <>
Q4_1::Block Encode<Q4_1>(const float* x) {
  int codes[kBlock];
  const ScaleAndMin found = RoundFromMinimum(x, 15, codes);
  Q4_1::Block block{};
  block.d = F32ToF16(found.d);
  block.m = F32ToF16(found.min);
  PackNibbles(codes, block.q);
  return block;
}

template <>
Q5_0::Block Encode<Q5_0>(const float* x) {
  int codes[kBlock];
  Q5_0::Block block{};
  block.d = F32ToF16(RoundAroundZero(x, 16, codes));
  PackFifthBits(codes, block.qh);
  PackNibbles(codes, block.q);
  return block;
}

template <>
Q5_1::Block Encode<Q5_1>(const float* x) {
  int codes[kBlock];
  const ScaleAndMin found = RoundFromMinimum(x, 31, codes);
  Q5_1::Block block{};
  block.d = F32ToF16(found.d);
  block.m = F32ToF16(found.min);
  PackFifthBits(codes, block.qh);
  PackNibbles(codes, block.q);
  return block;
}

}  // namespace sluice

// Activations as the quantized formats multiply them: int8 in blocks of 32 with one scale each.
//
// QuantizeQ8(x): d = max|x| / 127, q = round_to_nearest_even(x * (127 / max|x|)). The products of a
// block are then sums of integers, which no order of addition can change: this is what lets a
// scalar loop, AVX2 and AVX-512 give the same bits. A block with a NaN or an infinity in it has
// such a scale, so that neither disappears in the products.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sluice {

inline constexpr int kQ8BlockElements = 32;

// One row of quantized activations, a structure of arrays. Views do not own.
struct Q8Row {
  int8_t* q = nullptr;          // [cols]
  float* scale = nullptr;       // [cols / 32]
  int32_t* sum = nullptr;       // [cols / 32]  sum of q over the block
  float* scaled_sum = nullptr;  // [cols / 32]  scale * sum
  int32_t* sum16 = nullptr;     // [cols / 16]  sum of q over each half block
};

// One block of a row, as a format's Dot reads it.
struct Q8BlockView {
  const int8_t* q;
  float scale;
  int32_t sum;
  float scaled_sum;
  const int32_t* sum16;
};

inline Q8BlockView Q8Block(const Q8Row& row, int64_t block) {
  return {.q = row.q + block * kQ8BlockElements,
          .scale = row.scale[block],
          .sum = row.sum[block],
          .scaled_sum = row.scaled_sum[block],
          .sum16 = row.sum16 + block * 2};
}

// Bytes of a buffer that holds `cols` (a multiple of 32) activations; a multiple of 64.
constexpr int64_t Q8RowBytes(int64_t cols) {
  return (cols + cols / 32 * 4 * 3 + cols / 16 * 4 + 63) / 64 * 64;
}

// The row that starts at `buffer` (64-byte aligned).
inline Q8Row Q8RowAt(void* buffer, int64_t cols) {
  auto* q = static_cast<int8_t*>(buffer);
  auto* scale = reinterpret_cast<float*>(q + cols);
  auto* sum = reinterpret_cast<int32_t*>(scale + cols / 32);
  auto* scaled_sum = reinterpret_cast<float*>(sum + cols / 32);
  auto* sum16 = reinterpret_cast<int32_t*>(scaled_sum + cols / 32);
  return {.q = q, .scale = scale, .sum = sum, .scaled_sum = scaled_sum, .sum16 = sum16};
}

// The largest |x|; NaN if one is among them. Magnitudes are ordered as their bits, NaN beyond
// infinity.
inline float LargestMagnitude(const float* x, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<int32_t>(x[i]) & 0x7FFFFFFF);
  }
  return std::bit_cast<float>(largest);
}

// The specification; device/cpu has a fast version that gives the same bytes.
inline void QuantizeQ8(const float* x, int64_t cols, const Q8Row& row) {
  for (int64_t block = 0; block < cols / kQ8BlockElements; ++block) {
    const float* in = x + block * kQ8BlockElements;
    int8_t* q = row.q + block * kQ8BlockElements;
    const float largest = LargestMagnitude(in, kQ8BlockElements);
    const float inverse = largest > 0 ? 127.0F / largest : 0.0F;
    row.scale[block] = largest / 127.0F;
    int32_t halves[2] = {0, 0};
    for (int i = 0; i < kQ8BlockElements; ++i) {
      const float rounded = std::nearbyintf(in[i] * inverse);
      // Infinities and NaN leave their mark in the scale and become 0; they never reach the cast.
      q[i] = rounded >= -127.0F && rounded <= 127.0F ? static_cast<int8_t>(rounded) : int8_t{0};
      halves[i / 16] += q[i];
    }
    row.sum16[block * 2] = halves[0];
    row.sum16[block * 2 + 1] = halves[1];
    row.sum[block] = halves[0] + halves[1];
    row.scaled_sum[block] = row.scale[block] * static_cast<float>(row.sum[block]);
  }
}

}  // namespace sluice

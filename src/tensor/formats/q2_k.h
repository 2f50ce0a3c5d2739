// Q2_K: 256 two-bit numbers in 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum
// (low and high nibble of a byte); element = d * scale * q - dmin * min. Each half of 128 keeps its
// numbers in 32 bytes, 32 elements in each pair of bits.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q2_K {
  static constexpr const char* kName = "Q2_K";
  static constexpr uint32_t kGgufType = 10;
  static constexpr int kBlockElements = 256;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 80, .count = 2, .width = 2},
                                            {.offset = 0, .count = 20, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint8_t scales[16];
    uint8_t q[64];
    uint16_t d;
    uint16_t dmin;
  };
  // The two-bit number (0..3) of element i, here and in Q3_K.
  static int Quant(const uint8_t* q, int i) {
    const int lane = i % 128;
    return (q[i / 128 * 32 + lane % 32] >> (lane / 32 * 2)) & 3;
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    const float dmin = F16ToF32(block.dmin);
    for (int i = 0; i < 256; ++i) {
      const int sub_block = i / 16;
      const float scale = d * static_cast<float>(block.scales[sub_block] & 15);
      const float min = dmin * static_cast<float>(block.scales[sub_block] >> 4);
      out[i] = scale * static_cast<float>(Quant(block.q, i)) - min;
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    const float d = F16ToF32(block.d);
    const float dmin = F16ToF32(block.dmin);
    for (int j = 0; j < 8; ++j) {
      // Two sub-blocks share the activation's scale; |dot| < 2^18 and |min| < 2^16 are exact
      // floats.
      int32_t dot = 0;
      int32_t min = 0;
      for (int h = 0; h < 2; ++h) {
        int32_t part = 0;
        for (int i = 0; i < 16; ++i) {
          part += Quant(block.q, j * 32 + h * 16 + i) * x[j].q[h * 16 + i];
        }
        dot += (block.scales[j * 2 + h] & 15) * part;
        min += (block.scales[j * 2 + h] >> 4) * x[j].sum16[h];
      }
      sum = std::fma(static_cast<float>(dot), d * x[j].scale, sum);
      sum = std::fma(-(dmin * x[j].scale), static_cast<float>(min), sum);
    }
    return sum;
  }
};

}  // namespace sluice

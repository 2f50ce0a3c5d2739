// MXFP4 (OCP Microscaling): 32 numbers of 4 bits (E2M1) with one scale that is a power of two
// (E8M0). Nibbles as in Q4_0. The table holds the numbers doubled, so the scale is halved: 2^(e -
// 128).
#pragma once

#include <bit>

#include "tensor/format_traits.h"

namespace sluice {

struct MXFP4 {
  static constexpr const char* kName = "MXFP4";
  static constexpr uint32_t kGgufType = 39;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 1},
                                            {.offset = 1, .count = 4, .width = 4}};
  static constexpr int kPackBlocks = 4;
  static constexpr int8_t kTable[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

  struct Block {
    uint8_t e;
    uint8_t q[16];
  };
  // 2^(e - 128); the first two are subnormal. 255, NaN in the standard, is 2^127 as in ggml.
  static float Scale(uint8_t e) {
    const uint32_t subnormal = 0x00200000U << (e & 1U);
    return std::bit_cast<float>(e < 2 ? subnormal : (e - 1U) << 23);
  }
  static void Decode(const Block& block, float* out) {
    const float d = Scale(block.e);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(kTable[block.q[i] & 15]);
      out[i + 16] = d * static_cast<float>(kTable[block.q[i] >> 4]);
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    int32_t dot = 0;
    for (int i = 0; i < 16; ++i) {
      dot += kTable[block.q[i] & 15] * x->q[i] + kTable[block.q[i] >> 4] * x->q[i + 16];
    }
    return std::fma(static_cast<float>(dot), Scale(block.e) * x->scale, sum);
  }
};

}  // namespace sluice

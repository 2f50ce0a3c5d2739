// IQ4_XS: 256 nibbles in 8 sub-blocks of 32, each as in IQ4_NL, with 6-bit scales; element = d *
// (scale - 32) * table[nibble].
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"
#include "tensor/formats/iq4_nl.h"

namespace sluice {

struct IQ4_XS {
  static constexpr const char* kName = "IQ4_XS";
  static constexpr uint32_t kGgufType = 23;
  static constexpr int kBlockElements = 256;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 2, .width = 2},
                                            {.offset = 4, .count = 33, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t q[128];
  };
  // The scale of sub-block j: a nibble of scales_l and a pair of bits of scales_h.
  static int Scale(const Block& block, int j) {
    const int low = (block.scales_l[j / 2] >> (j % 2 * 4)) & 15;
    const int high = (block.scales_h >> (2 * j)) & 3;
    return (low | (high << 4)) - 32;
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int j = 0; j < 8; ++j) {
      const float scale = d * static_cast<float>(Scale(block, j));
      const int first = j * 16;
      const uint8_t* q = &block.q[first];
      for (int i = 0; i < 16; ++i) {
        out[j * 32 + i] = scale * static_cast<float>(IQ4_NL::kTable[q[i] & 15]);
        out[j * 32 + i + 16] = scale * static_cast<float>(IQ4_NL::kTable[q[i] >> 4]);
      }
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    const float d = F16ToF32(block.d);
    for (int j = 0; j < 8; ++j) {
      const int first = j * 16;
      const int32_t dot = IQ4_NL::TableDot(&block.q[first], x[j]);
      const float scale = d * static_cast<float>(Scale(block, j));
      sum = std::fma(static_cast<float>(dot), scale * x[j].scale, sum);
    }
    return sum;
  }
};

}  // namespace sluice

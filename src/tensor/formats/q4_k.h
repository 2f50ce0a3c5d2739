// Q4_K: 256 nibbles in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum;
// element = d * scale * q - dmin * min. Bytes 32j..32j+31 of q hold sub-block 2j in their low and
// sub-block 2j + 1 in their high nibbles.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q4_K {
  static constexpr const char* kName = "Q4_K";
  static constexpr uint32_t kGgufType = 12;
  static constexpr int kBlockElements = 256;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 2, .width = 2},
                                            {.offset = 4, .count = 35, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t q[128];
  };
  struct ScaleMin {
    int scale;
    int min;
  };
  // The 6-bit pair of sub-block j: bytes 0-3 and 4-7 hold the low ones, the rest is spread.
  static ScaleMin SubBlock(const uint8_t* s, int j) {
    if (j < 4) return {.scale = s[j] & 63, .min = s[j + 4] & 63};
    return {.scale = (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4),
            .min = (s[j + 4] >> 4) | ((s[j] >> 6) << 4)};
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    const float dmin = F16ToF32(block.dmin);
    for (int j = 0; j < 8; ++j) {
      const ScaleMin sub = SubBlock(block.scales, j);
      const float scale = d * static_cast<float>(sub.scale);
      const float min = dmin * static_cast<float>(sub.min);
      const int first = j / 2 * 32;
      const uint8_t* q = &block.q[first];
      for (int i = 0; i < 32; ++i) {
        const int value = (q[i] >> (j % 2 * 4)) & 15;
        out[j * 32 + i] = scale * static_cast<float>(value) - min;
      }
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    const float d = F16ToF32(block.d);
    const float dmin = F16ToF32(block.dmin);
    for (int j = 0; j < 8; ++j) {
      const ScaleMin sub = SubBlock(block.scales, j);
      const int first = j / 2 * 32;
      const uint8_t* q = &block.q[first];
      int32_t dot = 0;
      for (int i = 0; i < 32; ++i) dot += ((q[i] >> (j % 2 * 4)) & 15) * x[j].q[i];
      const float scale = d * static_cast<float>(sub.scale);
      const float min = dmin * static_cast<float>(sub.min);
      sum = std::fma(static_cast<float>(dot), scale * x[j].scale, sum);
      sum = std::fma(-min, x[j].scaled_sum, sum);
    }
    return sum;
  }
};

}  // namespace sluice

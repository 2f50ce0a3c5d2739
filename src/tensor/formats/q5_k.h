// Q5_K: Q4_K with a fifth bit: bit j of byte i of qh belongs to element i of sub-block j.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"
#include "tensor/formats/q4_k.h"

namespace sluice {

struct Q5_K {
  static constexpr const char* kName = "Q5_K";
  static constexpr uint32_t kGgufType = 13;
  static constexpr int kBlockElements = 256;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 2, .width = 2},
                                            {.offset = 4, .count = 43, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t q[128];
  };
  // The five-bit number (0..31) of element i of sub-block j.
  static int Quant(const Block& block, int j, int i) {
    const int low = (block.q[j / 2 * 32 + i] >> (j % 2 * 4)) & 15;
    return low | (((block.qh[i] >> j) & 1) << 4);
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    const float dmin = F16ToF32(block.dmin);
    for (int j = 0; j < 8; ++j) {
      const Q4_K::ScaleMin sub = Q4_K::SubBlock(block.scales, j);
      const float scale = d * static_cast<float>(sub.scale);
      const float min = dmin * static_cast<float>(sub.min);
      for (int i = 0; i < 32; ++i) {
        out[j * 32 + i] = scale * static_cast<float>(Quant(block, j, i)) - min;
      }
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    const float d = F16ToF32(block.d);
    const float dmin = F16ToF32(block.dmin);
    for (int j = 0; j < 8; ++j) {
      const Q4_K::ScaleMin sub = Q4_K::SubBlock(block.scales, j);
      int32_t dot = 0;
      for (int i = 0; i < 32; ++i) dot += Quant(block, j, i) * x[j].q[i];
      const float scale = d * static_cast<float>(sub.scale);
      const float min = dmin * static_cast<float>(sub.min);
      sum = std::fma(static_cast<float>(dot), scale * x[j].scale, sum);
      sum = std::fma(-min, x[j].scaled_sum, sum);
    }
    return sum;
  }
};

}  // namespace sluice

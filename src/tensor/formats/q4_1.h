// Q4_1: 32 nibbles with an f16 scale and an f16 minimum; element j = d * (low nibble of byte j) +
// m, element j + 16 from the high nibbles.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q4_1 {
  static constexpr const char* kName = "Q4_1";
  static constexpr uint32_t kGgufType = 3;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 2, .width = 2},
                                            {.offset = 4, .count = 4, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint16_t d;
    uint16_t m;
    uint8_t q[16];
  };
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    const float m = F16ToF32(block.m);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(block.q[i] & 15) + m;
      out[i + 16] = d * static_cast<float>(block.q[i] >> 4) + m;
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    int32_t dot = 0;
    for (int i = 0; i < 16; ++i) {
      dot += (block.q[i] & 15) * x->q[i] + (block.q[i] >> 4) * x->q[i + 16];
    }
    sum = std::fma(static_cast<float>(dot), F16ToF32(block.d) * x->scale, sum);
    return std::fma(F16ToF32(block.m), x->scaled_sum, sum);
  }
};

}  // namespace sluice

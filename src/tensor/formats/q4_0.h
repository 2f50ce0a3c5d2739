// Q4_0: 32 nibbles with one f16 scale; element j = d * (low nibble of byte j - 8), element j + 16
// from the high nibbles.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q4_0 {
  static constexpr const char* kName = "Q4_0";
  static constexpr uint32_t kGgufType = 2;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 2},
                                            {.offset = 2, .count = 4, .width = 4}};
  static constexpr int kPackBlocks = 2;

  struct Block {
    uint16_t d;
    uint8_t q[16];
  };
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>((block.q[i] & 15) - 8);
      out[i + 16] = d * static_cast<float>((block.q[i] >> 4) - 8);
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    int32_t dot = -8 * x->sum;
    for (int i = 0; i < 16; ++i) {
      dot += (block.q[i] & 15) * x->q[i] + (block.q[i] >> 4) * x->q[i + 16];
    }
    return std::fma(static_cast<float>(dot), F16ToF32(block.d) * x->scale, sum);
  }
};

}  // namespace sluice

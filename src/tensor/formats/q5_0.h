// Q5_0: 32 five-bit numbers with one f16 scale; element = d * (q - 16). Nibbles as in Q4_0; bit j
// of the four bytes qh is the upper bit of element j.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q5_0 {
  static constexpr const char* kName = "Q5_0";
  static constexpr uint32_t kGgufType = 6;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 2},
                                            {.offset = 2, .count = 5, .width = 4}};
  static constexpr int kPackBlocks = 2;

  struct Block {
    uint16_t d;
    uint8_t qh[4];
    uint8_t q[16];
  };
  // The five-bit number (0..31) of element i, here and in Q5_1.
  static int Quant(const uint8_t* q, const uint8_t* qh, int i) {
    const int low = (q[i % 16] >> (i / 16 * 4)) & 15;
    return low | (((qh[i / 8] >> (i % 8)) & 1) << 4);
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int i = 0; i < 32; ++i) {
      out[i] = d * static_cast<float>(Quant(block.q, block.qh, i) - 16);
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    int32_t dot = -16 * x->sum;
    for (int i = 0; i < 32; ++i) dot += Quant(block.q, block.qh, i) * x->q[i];
    return std::fma(static_cast<float>(dot), F16ToF32(block.d) * x->scale, sum);
  }
};

}  // namespace sluice

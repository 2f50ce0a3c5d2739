// Q5_1: 32 five-bit numbers, packed as in Q5_0, with an f16 scale and an f16 minimum; element = d *
// q
// + m.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"
#include "tensor/formats/q5_0.h"

namespace sluice {

struct Q5_1 {
  static constexpr const char* kName = "Q5_1";
  static constexpr uint32_t kGgufType = 7;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 2, .width = 2},
                                            {.offset = 4, .count = 5, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint16_t d;
    uint16_t m;
    uint8_t qh[4];
    uint8_t q[16];
  };
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    const float m = F16ToF32(block.m);
    for (int i = 0; i < 32; ++i) {
      out[i] = d * static_cast<float>(Q5_0::Quant(block.q, block.qh, i)) + m;
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    int32_t dot = 0;
    for (int i = 0; i < 32; ++i) dot += Q5_0::Quant(block.q, block.qh, i) * x->q[i];
    sum = std::fma(static_cast<float>(dot), F16ToF32(block.d) * x->scale, sum);
    return std::fma(F16ToF32(block.m), x->scaled_sum, sum);
  }
};

}  // namespace sluice

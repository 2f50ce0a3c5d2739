// Q8_0: 32 int8 with one f16 scale; element = d * q.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q8_0 {
  static constexpr const char* kName = "Q8_0";
  static constexpr uint32_t kGgufType = 8;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 2},
                                            {.offset = 2, .count = 8, .width = 4}};
  static constexpr int kPackBlocks = 2;

  struct Block {
    uint16_t d;
    int8_t q[32];
  };
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.q[i]);
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    int32_t dot = 0;
    for (int i = 0; i < 32; ++i) dot += block.q[i] * x->q[i];
    return std::fma(static_cast<float>(dot), F16ToF32(block.d) * x->scale, sum);
  }
};

}  // namespace sluice

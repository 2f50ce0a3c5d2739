// Q6_K: 256 six-bit numbers in 16 sub-blocks of 16 with int8 scales; element = d * scale * (q -
// 32). Each half of 128 keeps low nibbles in 64 bytes of ql and upper bit pairs in 32 bytes of qh.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct Q6_K {
  static constexpr const char* kName = "Q6_K";
  static constexpr uint32_t kGgufType = 14;
  static constexpr int kBlockElements = 256;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 208, .count = 1, .width = 2},
                                            {.offset = 0, .count = 52, .width = 4}};
  static constexpr int kPackBlocks = 2;

  struct Block {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
  };
  // The six-bit number (0..63) of element i.
  static int Quant(const Block& block, int i) {
    const int half = i / 128;
    const int lane = i % 128;
    const int low = (block.ql[half * 64 + lane % 64] >> (lane / 64 * 4)) & 15;
    const int high = (block.qh[half * 32 + lane % 32] >> (lane / 32 * 2)) & 3;
    return low | (high << 4);
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int i = 0; i < 256; ++i) {
      const int sub_block = i / 16;
      const float scale = d * static_cast<float>(block.scales[sub_block]);
      out[i] = scale * static_cast<float>(Quant(block, i) - 32);
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    const float d = F16ToF32(block.d);
    for (int j = 0; j < 8; ++j) {
      // Both halves of 32 share the activation's scale, and |dot| < 2^24: still one exact integer.
      int32_t dot = 0;
      for (int h = 0; h < 2; ++h) {
        int32_t part = -32 * x[j].sum16[h];
        for (int i = 0; i < 16; ++i) {
          part += Quant(block, j * 32 + h * 16 + i) * x[j].q[h * 16 + i];
        }
        dot += block.scales[j * 2 + h] * part;
      }
      sum = std::fma(static_cast<float>(dot), d * x[j].scale, sum);
    }
    return sum;
  }
};

}  // namespace sluice

// Q3_K: 256 three-bit numbers in 16 sub-blocks of 16 with 6-bit scales; element = d * (scale - 32)
// * (q - 4). The lower two bits lie as in Q2_K; bit j of byte i of hmask is the upper bit of
// element 32j + i.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"
#include "tensor/formats/q2_k.h"

namespace sluice {

struct Q3_K {
  static constexpr const char* kName = "Q3_K";
  static constexpr uint32_t kGgufType = 11;
  static constexpr int kBlockElements = 256;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 108, .count = 1, .width = 2},
                                            {.offset = 0, .count = 27, .width = 4}};
  static constexpr int kPackBlocks = 2;

  struct Block {
    uint8_t hmask[32];
    uint8_t q[64];
    uint8_t scales[12];
    uint16_t d;
  };
  // The three-bit number (0..7) of element i.
  static int Quant(const Block& block, int i) {
    return Q2_K::Quant(block.q, i) | (((block.hmask[i % 32] >> (i / 32)) & 1) << 2);
  }
  // The scale of sub-block j: bytes 0-7 hold low nibbles, bytes 8-11 upper pairs of bits.
  static int Scale(const Block& block, int j) {
    const int low = (block.scales[j % 8] >> (j / 8 * 4)) & 15;
    const int high = (block.scales[8 + j % 4] >> (j / 4 * 2)) & 3;
    return (low | (high << 4)) - 32;
  }
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int i = 0; i < 256; ++i) {
      const float scale = d * static_cast<float>(Scale(block, i / 16));
      out[i] = scale * static_cast<float>(Quant(block, i) - 4);
    }
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    const float d = F16ToF32(block.d);
    for (int j = 0; j < 8; ++j) {
      // Two sub-blocks share the activation's scale; |dot| < 2^20 is an exact float.
      int32_t dot = 0;
      for (int h = 0; h < 2; ++h) {
        int32_t part = -4 * x[j].sum16[h];
        for (int i = 0; i < 16; ++i) {
          part += Quant(block, j * 32 + h * 16 + i) * x[j].q[h * 16 + i];
        }
        dot += Scale(block, j * 2 + h) * part;
      }
      sum = std::fma(static_cast<float>(dot), d * x[j].scale, sum);
    }
    return sum;
  }
};

}  // namespace sluice

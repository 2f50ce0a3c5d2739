// IQ4_NL: 32 nibbles with one f16 scale; a nibble is an index of a table of unequal steps. Nibbles
// as in Q4_0.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct IQ4_NL {
  static constexpr const char* kName = "IQ4_NL";
  static constexpr uint32_t kGgufType = 20;
  static constexpr int kBlockElements = 32;
  static constexpr Activation kActivation = Activation::kQ8;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 2},
                                            {.offset = 2, .count = 4, .width = 4}};
  static constexpr int kPackBlocks = 2;
  static constexpr int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

  struct Block {
    uint16_t d;
    uint8_t q[16];
  };
  static void Decode(const Block& block, float* out) {
    const float d = F16ToF32(block.d);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(kTable[block.q[i] & 15]);
      out[i + 16] = d * static_cast<float>(kTable[block.q[i] >> 4]);
    }
  }
  // sum of table entries times activations over 32, |dot| < 2^19; here and in IQ4_XS.
  static int32_t TableDot(const uint8_t* q, const Q8BlockView& x) {
    int32_t dot = 0;
    for (int i = 0; i < 16; ++i) {
      dot += kTable[q[i] & 15] * x.q[i] + kTable[q[i] >> 4] * x.q[i + 16];
    }
    return dot;
  }
  static float Dot(const Block& block, const Q8BlockView* x, float sum) {
    return std::fma(static_cast<float>(TableDot(block.q, *x)), F16ToF32(block.d) * x->scale, sum);
  }
};

}  // namespace sluice

// BF16: the upper half of a float.
#pragma once

#include "base/fp16.h"
#include "tensor/format_traits.h"

namespace sluice {

struct BF16 {
  static constexpr const char* kName = "BF16";
  static constexpr uint32_t kGgufType = 30;
  static constexpr int kBlockElements = 1;
  static constexpr Activation kActivation = Activation::kF32;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 2}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    uint16_t value;
  };
  static void Decode(const Block& block, float* out) { *out = Bf16ToF32(block.value); }
};

}  // namespace sluice

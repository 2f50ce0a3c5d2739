// F32: the numbers themselves.
#pragma once

#include "tensor/format_traits.h"

namespace sluice {

struct F32 {
  static constexpr const char* kName = "F32";
  static constexpr uint32_t kGgufType = 0;
  static constexpr int kBlockElements = 1;
  static constexpr Activation kActivation = Activation::kF32;
  static constexpr FormatField kFields[] = {{.offset = 0, .count = 1, .width = 4}};
  static constexpr int kPackBlocks = 1;

  struct Block {
    float value;
  };
  static void Decode(const Block& block, float* out) { *out = block.value; }
};

}  // namespace sluice

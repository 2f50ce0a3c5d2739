// What a format's header has to provide; formats/q4_0.h is a short example.
//
//   kName, kGgufType, kBlockElements   identity and block size
//   struct Block                       the bytes as files hold them
//   Decode(block, out)                 kBlockElements floats, bit for bit as the `gguf` package
//   kActivation                        what it is multiplied with
//   Dot(block, x, sum)                 with kQ8: sum + block . x, the specification of the product;
//                                      x is one Q8BlockView per 32 elements. With kF32 the product
//                                      is sum = fma(decoded[k], x[k], sum), k ascending.
//   kFields, kPackBlocks               how a block divides into units of 1, 2 or 4 bytes, for
//   layouts
//                                      that interleave rows (device/cpu/row_group.h)
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/q8_activation.h"

namespace sluice {

enum class Activation { kF32, kQ8 };

// `count` units of `width` bytes (1, 2 or 4) from `offset` of the block.
struct FormatField {
  int offset;
  int count;
  int width;
};

}  // namespace sluice

// Floats to the blocks of every weight format; the other way is FormatSpec::decode.
//
// F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are defined by rounding: their bytes are those of the
// `gguf` package. The others leave a choice of scales, which is searched (scale_search.h) for the
// least squared error of the block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/format.h"

namespace sluice {

// Encodes `blocks` consecutive blocks; `out` need not be aligned. The same numbers give the same
// bytes on every machine. REQUIRES: every number is finite.
void Quantize(Format format, const float* in, int64_t blocks, std::byte* out);

}  // namespace sluice

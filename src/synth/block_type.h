// Random blocks of every tensor type that a benchmark model may have.
//
// Speed does not need a quantizer: any bits of a quantized block are weights, once its scales are
// sane. The bits are random, the scales are set so that the weights have the wanted root mean
// square and no mean: weights with a mean would add the same vector to every token, layer after
// layer, until all tokens are alike and choose the same experts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "synth/random_words.h"
#include "tensor/format.h"

namespace sluice {

struct BlockType {
  Format format;
  double unit_rms;  // of the weights where the block's own scale is 1
  // Sets scales, and what else random bits may not be, in whole blocks.
  void (*finish)(std::span<std::byte> blocks, float scale, RandomWords* random);
};

const BlockType& BlockTypeOf(Format format);

// Whole blocks of weights with this root mean square. Bits come from `bits` and scales from
// `scales`: two rows with the same scales and partly the same bits are partly the same weights.
void FillBlocks(const BlockType& type, double rms, RandomWords* bits, RandomWords* scales,
                std::span<std::byte> out);

}  // namespace sluice

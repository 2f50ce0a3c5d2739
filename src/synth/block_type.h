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
#include <string_view>

#include "checkpoint/gguf_writer.h"
#include "synth/random_words.h"

namespace sluice {

struct BlockType {
  const char* name;  // as GGUF calls it, in lower case: "q4_k"
  GgufTensorType gguf;
  double unit_rms;       // of the weights where the block's own scale is 1
  const char* fallback;  // the type that llama.cpp takes for rows that blocks of 256 do not divide
  // Sets scales, and what else random bits may not be, in whole blocks.
  void (*finish)(std::span<std::byte> blocks, float scale, RandomWords* random);

  int64_t row_bytes(int64_t cols) const { return cols / gguf.block_elements * gguf.block_bytes; }
};

// Null where there is none of this name.
const BlockType* FindBlockType(std::string_view name);
std::span<const BlockType> AllBlockTypes();

// Whole blocks of weights with this root mean square. Bits come from `bits` and scales from
// `scales`: two rows with the same scales and partly the same bits are partly the same weights.
void FillBlocks(const BlockType& type, double rms, RandomWords* bits, RandomWords* scales,
                std::span<std::byte> out);

}  // namespace sluice

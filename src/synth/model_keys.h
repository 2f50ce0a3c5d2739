// The keys of a benchmark model: its shape under its architecture's names, and a tokenizer of the
// true number of tokens.
#pragma once

#include "checkpoint/gguf_writer.h"
#include "quantize/file_type.h"
#include "synth/model_shape.h"

namespace sluice {

void WriteShapeKeys(const ModelShape& shape, const FileType& file, GgufWriter* out);
// Bytes, short merges, control tokens, and unused tokens up to shape.vocab.
void WriteTokenizerKeys(const ModelShape& shape, GgufWriter* out);

// The fewest tokens that the tokenizer needs.
inline constexpr int64_t kLeastVocab = 384;
// Ids below this are bytes and control tokens; the last kControlTokens of a byte-level vocabulary
// are control tokens.
inline constexpr int64_t kFirstWord = 259;
inline constexpr int64_t kControlTokens = 2;

}  // namespace sluice

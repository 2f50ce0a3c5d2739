// The vocabulary of a model, from wherever its checkpoint keeps it.
#pragma once

#include "checkpoint/checkpoint.h"
#include "checkpoint/metadata.h"
#include "sluice/status.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// From the keys tokenizer.ggml.* of a GGUF file. Models "gpt2" (byte-level), "llama"
// (SentencePiece's merges) and "t5" (SentencePiece's unigram) are known.
Result<Vocabulary> VocabularyFromGguf(const Metadata& metadata);

// The same, or from tokenizer.json and what lies beside it; which tokens end an answer is said by
// generation_config.json, or where that is silent by config.json.
Result<Vocabulary> VocabularyOf(const Checkpoint& checkpoint);

}  // namespace sluice

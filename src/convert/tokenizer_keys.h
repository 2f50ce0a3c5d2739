// A vocabulary as GGUF's keys tokenizer.ggml.*.
#pragma once

#include <string>

#include "convert/key_list.h"
#include "sluice/status.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// `rows`: of the embedding; spare ones become unused tokens. `pre_tokenizer`: GGUF's name of how
// text is split, "" to find it out. Fails where GGUF has no name for what the vocabulary does.
Status AddTokenizerKeys(const Vocabulary& vocabulary, int64_t rows,
                        const std::string& pre_tokenizer, KeyList* keys);

}  // namespace sluice

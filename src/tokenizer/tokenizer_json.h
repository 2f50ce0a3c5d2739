// tokenizer.json, the format of Hugging Face's `tokenizers`: byte pair encodings, over bytes
// ("ByteLevel") and over characters ("Metaspace", or a normaliser that spells spaces U+2581).
#pragma once

#include <string_view>

#include "sluice/status.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// `tokenizer_config_json` is what lies beside it and names bos and eos; it may be empty. What the
// file asks for and nothing here does (another model, normaliser or pre-tokenizer) is kUnsupported
// and named.
Result<Vocabulary> ParseTokenizerJson(std::string_view tokenizer_json,
                                      std::string_view tokenizer_config_json);

}  // namespace sluice

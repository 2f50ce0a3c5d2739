// The parts of tokenizer.json that say what happens to text before merging.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sluice/status.h"
#include "tokenizer/vocabulary.h"

namespace sluice {

// "normalizer"; null does nothing. Sets vocabulary->rules.
Status ReadNormalizer(const nlohmann::json& normalizer, Vocabulary* vocabulary);

// "pre_tokenizer"; null is one word. Sets vocabulary->steps, rules and bpe.
Status ReadPreTokenizer(const nlohmann::json& pre_tokenizer, Vocabulary* vocabulary);

// Fields of a JSON object that may be absent or null: `otherwise` then, and where the type differs.
bool BoolField(const nlohmann::json& object, const char* name, bool otherwise);
std::string StringField(const nlohmann::json& object, const char* name);
// The field or a null that outlives the program; never fails.
const nlohmann::json& Field(const nlohmann::json& object, const char* name);

}  // namespace sluice

// Where a model's files say how a conversation is spelt.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "sluice/status.h"

namespace sluice {

struct ChatTemplateSource {
  std::string origin;  // the key or file, for messages; "": the model has no template
  std::string text;    // Jinja
};

// GGUF: tokenizer.chat_template. Hugging Face: chat_template.jinja, else chat_template.json, else
// tokenizer_config.json; of several with names the one called "default". Fails on files that are
// not what they should be.
Result<ChatTemplateSource> ChatTemplateOf(const Checkpoint& checkpoint);

}  // namespace sluice

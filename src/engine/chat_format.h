// How a conversation is spelt for a model: by the template in its own files.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"
#include "sluice/engine.h"
#include "template/template.h"

namespace sluice {

// The prompt up to where the answer begins, with what the messages say marked. A model without a
// template gets the last message as it is.
Result<jinja::RenderedText> FormatConversation(const Model& model,
                                               std::span<const ChatMessage> messages);

// The same as token ids. Control tokens are those that the template writes. As in Transformers,
// only the template writes the bos token; a model without a template gets the one that its
// tokenizer adds.
Result<std::vector<int32_t>> EncodeConversation(const Model& model,
                                                std::span<const ChatMessage> messages);

}  // namespace sluice

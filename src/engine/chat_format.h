// How a conversation is spelt for a model.
#pragma once

#include <span>
#include <string>

#include "model/model.h"
#include "sluice/engine.h"

namespace sluice {

// Recognises the families of formats by what the model's chat template mentions: ChatML (Qwen),
// [INST] (Mixtral), <|user|> (OLMoE). A model without a template gets the last message as it is.
// Running the template itself comes with the template engine.
Result<std::string> FormatConversation(const Model& model, std::span<const ChatMessage> messages);

}  // namespace sluice

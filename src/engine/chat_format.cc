#include "engine/chat_format.h"

#include <fmt/format.h>

namespace sluice {
namespace {

std::string TemplateOf(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) {
    return checkpoint.metadata.StringOr("tokenizer.chat_template", "").ok()
               ? *checkpoint.metadata.StringOr("tokenizer.chat_template", "")
               : "";
  }
  const Result<Metadata> config =
      MetadataFromJson(checkpoint.tokenizer_config_json, "tokenizer_config.json");
  if (!config.ok()) return "";
  const Result<std::string> text = config->StringOr("chat_template", "");
  return text.ok() ? *text : "";
}

std::string ChatMl(std::span<const ChatMessage> messages) {
  std::string text;
  for (const ChatMessage& m : messages) {
    text += fmt::format("<|im_start|>{}\n{}<|im_end|>\n", m.role, m.content);
  }
  return text + "<|im_start|>assistant\n";
}

// The system message belongs to the first question.
std::string Inst(std::span<const ChatMessage> messages) {
  std::string text;
  std::string system;
  for (const ChatMessage& m : messages) {
    if (m.role == "system") {
      system = m.content + "\n\n";
    } else if (m.role == "user") {
      text += fmt::format("[INST] {}{} [/INST]", system, m.content);
      system.clear();
    } else {
      text += fmt::format(" {}</s>", m.content);
    }
  }
  return text;
}

std::string Tagged(std::span<const ChatMessage> messages) {
  std::string text = "<|endoftext|>";
  for (const ChatMessage& m : messages) {
    text += fmt::format("<|{}|>\n{}{}\n", m.role, m.content,
                        m.role == "assistant" ? "<|endoftext|>" : "");
  }
  return text + "<|assistant|>\n";
}

}  // namespace

Result<std::string> FormatConversation(const Model& model, std::span<const ChatMessage> messages) {
  if (messages.empty()) return InvalidArgumentError("a conversation needs at least one message");
  const std::string chat_template = TemplateOf(model.checkpoint);
  const auto mentions = [&](const char* text) {
    return chat_template.find(text) != std::string::npos;
  };
  if (mentions("<|im_start|>")) return ChatMl(messages);
  if (mentions("[INST]")) return Inst(messages);
  if (mentions("<|assistant|>") || mentions("<|user|>")) return Tagged(messages);
  if (!chat_template.empty()) {
    return UnsupportedError(model.checkpoint.path +
                            ": its chat template is of a kind that is not supported");
  }
  return messages.back().content;
}

}  // namespace sluice

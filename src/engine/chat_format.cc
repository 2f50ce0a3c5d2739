#include "engine/chat_format.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include "model/chat_template_source.h"

namespace sluice {
namespace {

// Templates build control tokens of these ("<|user|>"); any other role is what a person wrote.
constexpr std::array<std::string_view, 7> kRoles{"system",    "user",     "assistant", "tool",
                                                 "developer", "function", "ipython"};

Result<jinja::Value> MessageList(std::span<const ChatMessage> messages) {
  std::vector<jinja::Value> list;
  for (const ChatMessage& message : messages) {
    const bool known = std::find(kRoles.begin(), kRoles.end(), message.role) != kRoles.end();
    jinja::Dict fields;
    SLUICE_TRY(fields.Insert(
        jinja::Value(U"role"),
        jinja::TextFrom(message.role, known ? jinja::Author::kTemplate : jinja::Author::kPerson)));
    SLUICE_TRY(fields.Insert(jinja::Value(U"content"),
                             jinja::TextFrom(message.content, jinja::Author::kPerson)));
    list.emplace_back(std::move(fields));
  }
  return jinja::Value::ListOf(std::move(list));
}

// What Transformers hands to templates.
Result<jinja::Dict> ContextOf(const Model& model, std::span<const ChatMessage> messages) {
  jinja::Dict context;
  if (model.tokenizer != nullptr) {
    const SpecialIds& ids = model.tokenizer->special();
    const std::pair<const char32_t*, std::optional<TokenId>> tokens[] = {{U"bos_token", ids.bos},
                                                                         {U"eos_token", ids.eos},
                                                                         {U"unk_token", ids.unk},
                                                                         {U"pad_token", ids.pad}};
    for (const auto& [name, id] : tokens) {
      if (!id) continue;
      SLUICE_TRY(
          context.Insert(jinja::Value(name), jinja::TextFrom(model.tokenizer->TokenBytes(*id))));
    }
  }
  SLUICE_TRY_ASSIGN(jinja::Value list, MessageList(messages));
  SLUICE_TRY(context.Insert(jinja::Value(U"messages"), std::move(list)));
  SLUICE_TRY(context.Insert(jinja::Value(U"tools"), jinja::None{}));
  SLUICE_TRY(context.Insert(jinja::Value(U"documents"), jinja::None{}));
  SLUICE_TRY(context.Insert(jinja::Value(U"add_generation_prompt"), true));
  return context;
}

}  // namespace

Result<ChatFormat> ChatFormat::Create(const Model* model, ChatTemplateUse use) {
  ChatFormat format(model);
  format.broken_ = format.Find();
  if (use == ChatTemplateUse::kIfAsked) return format;
  SLUICE_TRY(format.broken_);
  if (use == ChatTemplateUse::kNeeded && format.origin_.empty()) {
    return InvalidArgumentError(
        model->checkpoint.path +
        " has no chat template: it takes prompts as they are, without --chat and --system");
  }
  return format;
}

Status ChatFormat::Find() {
  Result<ChatTemplateSource> source = ChatTemplateOf(model_->checkpoint);
  if (!source.ok()) {
    origin_ = "damaged";
    return source.status().Annotate(model_->checkpoint.path);
  }
  origin_ = source->origin;
  if (origin_.empty()) return {};
  Result<jinja::ChatTemplate> parsed = jinja::ChatTemplate::Parse(source->text);
  if (!parsed.ok()) return parsed.status().Annotate(Name());
  template_ = *std::move(parsed);
  return {};
}

std::string ChatFormat::Name() const {
  return model_->checkpoint.path + ": chat template (" + origin_ + ")";
}

Result<jinja::RenderedText> ChatFormat::Format(std::span<const ChatMessage> messages) const {
  if (messages.empty()) return InvalidArgumentError("a conversation needs at least one message");
  SLUICE_TRY(broken_);
  if (!template_) {
    const std::string& text = messages.back().content;
    return jinja::RenderedText{.text = text, .by_person = {{.begin = 0, .end = text.size()}}};
  }
  SLUICE_TRY_ASSIGN(const jinja::Dict context, ContextOf(*model_, messages));
  Result<jinja::RenderedText> rendered =
      template_->Render(context, {.now_seconds = std::time(nullptr)});
  if (rendered.ok()) return rendered;
  const Status status = rendered.status().Annotate(Name());
  // It is the template that uses too much: no budget of this machine would do.
  return status.code() == StatusCode::kResourceExhausted ? CorruptError(status.message()) : status;
}

Result<std::vector<int32_t>> ChatFormat::Encode(std::span<const ChatMessage> messages) const {
  if (model_->tokenizer == nullptr) {
    return UnsupportedError(model_->checkpoint.path + ": the model has no tokenizer");
  }
  const Tokenizer& tokenizer = *model_->tokenizer;
  SLUICE_TRY_ASSIGN(const jinja::RenderedText prompt, Format(messages));
  std::vector<int32_t> ids;
  if (!template_ && tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
  const std::vector<TokenId> text =
      tokenizer.EncodeExcept(prompt.text, SpecialTokens::kParse, prompt.by_person);
  ids.insert(ids.end(), text.begin(), text.end());
  return ids;
}

}  // namespace sluice

#include "model/chat_template_source.h"

#include <utility>

#include "template/template.h"

namespace sluice {
namespace {

const jinja::Value* Field(const jinja::Value& value, const char32_t* name) {
  return value.dict() == nullptr ? nullptr : value.dict()->Find(jinja::Text(name));
}

bool IsText(const jinja::Value* value) { return value != nullptr && value->is_text(); }

// The template of `json`'s "chat_template": a text, or a list of texts with names.
Result<ChatTemplateSource> FromJsonFile(const std::string& json, const std::string& path) {
  if (json.empty()) return ChatTemplateSource{};
  Result<jinja::Value> root = jinja::ValueFromJson(json, jinja::Author::kTemplate);
  if (!root.ok()) return CorruptError(path + ": " + root.status().message());
  const jinja::Value* found = Field(*root, U"chat_template");
  if (found == nullptr || found->is_none()) return ChatTemplateSource{};
  if (found->is_text())
    return ChatTemplateSource{.origin = path, .text = jinja::Utf8(*found->text())};
  const jinja::Sequence* several = found->sequence();
  if (several == nullptr) {
    return CorruptError(path + ": 'chat_template' is neither text nor a list of templates");
  }
  for (const jinja::Value& item : several->items) {
    const jinja::Value* name = Field(item, U"name");
    const jinja::Value* text = Field(item, U"template");
    if (IsText(name) && IsText(text) && *name->text() == U"default") {
      return ChatTemplateSource{.origin = path, .text = jinja::Utf8(*text->text())};
    }
  }
  return CorruptError(path + ": none of its chat templates is called \"default\"");
}

}  // namespace

Result<ChatTemplateSource> ChatTemplateOf(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) {
    constexpr char kKey[] = "tokenizer.chat_template";
    SLUICE_TRY_ASSIGN(std::string text, checkpoint.metadata.StringOr(kKey, ""));
    if (text.empty()) return ChatTemplateSource{};
    return ChatTemplateSource{.origin = kKey, .text = std::move(text)};
  }
  if (!checkpoint.chat_template_jinja.empty()) {
    return ChatTemplateSource{.origin = "chat_template.jinja",
                              .text = checkpoint.chat_template_jinja};
  }
  SLUICE_TRY_ASSIGN(ChatTemplateSource own,
                    FromJsonFile(checkpoint.chat_template_json, "chat_template.json"));
  if (!own.origin.empty()) return own;
  return FromJsonFile(checkpoint.tokenizer_config_json, "tokenizer_config.json");
}

}  // namespace sluice

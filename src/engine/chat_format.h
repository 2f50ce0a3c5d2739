// How a conversation is spelt for a model: by the template in its own files.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"
#include "sluice/engine.h"
#include "sluice/options.h"
#include "template/template.h"

namespace sluice {

// Thread-safety: const methods may run concurrently.
class ChatFormat final {
 public:
  // Finds and parses the template of `model`, which has to outlive this. A model whose template is
  // damaged can still be given prompts: kIfAsked puts the error off to Format(). kIfAny fails with
  // it, and kNeeded (kInvalidArgument) also where there is no template.
  static Result<ChatFormat> Create(const Model* model, ChatTemplateUse use);

  // Where the model says it; "": it has no template.
  const std::string& origin() const { return origin_; }

  // The prompt up to where the answer begins, with what the messages say marked. A model without a
  // template gets the last message as it is. Fails as Engine::FormatChat says.
  Result<jinja::RenderedText> Format(std::span<const ChatMessage> messages) const;

  // The same as token ids. Control tokens are those that the template writes. As in Transformers,
  // only the template writes the bos token; a model without a template gets the one that its
  // tokenizer adds.
  Result<std::vector<int32_t>> Encode(std::span<const ChatMessage> messages) const;

 private:
  explicit ChatFormat(const Model* model) : model_(model) {}
  Status Find();
  std::string Name() const;  // of the template, for messages

  const Model* model_;
  std::string origin_;
  std::optional<jinja::ChatTemplate> template_;
  Status broken_;  // why there is an origin and no template
};

}  // namespace sluice

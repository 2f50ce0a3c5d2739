// ChatTemplate: the Jinja template that says how a model wants a conversation spelt.
//
// The language is what Transformers gives to chat templates: Jinja with trim_blocks, lstrip_blocks,
// break and continue, {% generation %}, raise_exception, strftime_now and its own tojson, in a
// sandbox that lets nothing be changed. Left out, each with a message: other templates ({% include
// %} and the like), integers beyond 64 bits, lipsum(), and the filters random, urlize, pprint,
// wordwrap, striptags and xmlattr. |safe and |escape give plain text: what is added to it later is
// not escaped. Without a message: "self" is not defined, and printing dict.items() and the like, or
// a method, does not show what Python shows.
//
// A template is somebody else's program. It has no way to anything but its values, and what it may
// use of time and memory is bounded (RenderLimits).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"
#include "template/meter.h"
#include "template/text.h"
#include "template/value.h"

namespace sluice::jinja {

struct Program;

struct RenderOptions {
  RenderLimits limits;
  int64_t now_seconds = 0;  // what strftime_now() shows, in local time; since 1970
};

struct RenderedText {
  std::string text;
  // Where in `text` characters are that came with the values and not from the template, in order.
  std::vector<TextSpan> by_person;
};

// Thread-safety: const methods may run concurrently.
class ChatTemplate final {
 public:
  // Fails (kCorrupt) with the line of what is not understood.
  static Result<ChatTemplate> Parse(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // `context`: the variables, by name. Fails with the line; kResourceExhausted at a limit,
  // kInvalidArgument where the template refuses (raise_exception) or misuses its values.
  Result<RenderedText> Render(const Dict& context, const RenderOptions& options) const;

 private:
  explicit ChatTemplate(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

// JSON as a value of templates, its texts by `author`; the order of keys is kept. Fails on what is
// no JSON, on nesting beyond 64 and on integers beyond 64 bits.
Result<Value> ValueFromJson(std::string_view json, Author author);

}  // namespace sluice::jinja

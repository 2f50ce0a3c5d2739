// Templates of any bytes, rendered with a conversation: no crash, no hang, no leak.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "template/template.h"

namespace sluice::jinja {
namespace {

constexpr char kContext[] = R"({
  "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi <|end|> é"},
               {"role": "assistant", "content": null, "tool_calls":
                 [{"function": {"name": "f", "arguments": {"a": [1, 2.5, true]}}}]}],
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}],
  "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "x": "text", "n": 3
})";

}  // namespace
}  // namespace sluice::jinja

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(bytes), size);
  const auto parsed = sluice::jinja::ChatTemplate::Parse(source);
  if (!parsed.ok()) return 0;
  static const sluice::jinja::Value context =
      sluice::jinja::ValueFromJson(sluice::jinja::kContext, sluice::jinja::Author::kPerson).value();
  const auto rendered = parsed->Render(
      *context.dict(), {.limits = {.steps = 20000, .work = 400000, .output = 100000}});
  if (!rendered.ok()) return 0;
  SLUICE_CHECK(rendered->text.size() <= 400000);
  size_t done = 0;
  for (const sluice::TextSpan& span : rendered->by_person) {
    SLUICE_CHECK(span.begin >= done && span.begin < span.end && span.end <= rendered->text.size());
    done = span.end;
  }
  return 0;
}

#include "template/template.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "template/interpreter.h"
#include "template/syntax.h"

namespace sluice::jinja {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxJsonDepth = 64;

Result<Value> FromJson(const Json& json, Author author, int depth) {
  if (depth > kMaxJsonDepth) return InvalidArgumentError("JSON nests deeper than 64");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX)
        return InvalidArgumentError("a JSON number is too large");
      [[fallthrough]];
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return Value(TextFrom(json.get_ref<const std::string&>(), author));
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) {
        SLUICE_TRY_ASSIGN(Value value, FromJson(item, author, depth + 1));
        items.push_back(std::move(value));
      }
      return Value::ListOf(std::move(items));
    }
    case Json::value_t::object: {
      Dict dict;
      for (const auto& [key, item] : json.items()) {
        SLUICE_TRY_ASSIGN(Value value, FromJson(item, author, depth + 1));
        SLUICE_TRY(dict.Insert(TextFrom(key, author), std::move(value)));
      }
      return Value(std::move(dict));
    }
    default:
      return Value(None{});
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source) {
  SLUICE_TRY_ASSIGN(Program program, ParseTemplate(source));
  return ChatTemplate(std::make_unique<const Program>(std::move(program)));
}

Result<RenderedText> ChatTemplate::Render(const Dict& context, const RenderOptions& options) const {
  Interpreter interpreter(*program_, context, options);
  SLUICE_TRY_ASSIGN(const Text text, interpreter.Run());
  RenderedText rendered;
  AppendUtf8Text(text, &rendered.text, &rendered.by_person);
  return rendered;
}

Result<Value> ValueFromJson(std::string_view json, Author author) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return InvalidArgumentError("this is not JSON");
  return FromJson(parsed, author, 0);
}

}  // namespace sluice::jinja

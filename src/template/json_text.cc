// json.dumps() of Python.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "template/text_format.h"

namespace sluice::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Meter* meter) : style_(style), meter_(*meter) {}

  Status Write(const Value& value, int depth) {
    SLUICE_TRY(meter_.Charge(1));
    if (depth > kMaxNesting) return InvalidArgumentError("tojson: the value nests too deeply");
    if (const Text* text = value.text(); text != nullptr) return WriteText(*text);
    if (const Dict* dict = value.dict(); dict != nullptr) return WriteDict(*dict, depth);
    const Sequence* sequence = value.sequence();
    if (sequence != nullptr &&
        (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple)) {
      return WriteList(*sequence, depth);
    }
    if (value.is_none()) return Put(U"null");
    if (value.is_bool()) return Put(IsTrue(value) ? U"true" : U"false");
    if (value.number()) return Put(TextFrom(NumberText(value)));
    if (value.is_undefined()) return InvalidArgumentError("tojson: " + value.undefined_reason());
    return InvalidArgumentError("tojson: a " + value.TypeName() + " has no JSON form");
  }

  Text Take() { return std::move(out_); }

 private:
  static std::string NumberText(const Value& value) {
    if (!value.is_float()) return fmt::format("{}", *value.integer());
    const double number = *value.number();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return FloatText(number);
  }

  Status Put(TextView text) {
    SLUICE_TRY(meter_.Charge(static_cast<int64_t>(text.size())));
    out_ += text;
    return {};
  }

  void PutUnit(uint32_t unit, char32_t author) {
    for (const char c : fmt::format("\\u{:04x}", unit)) {
      out_.push_back(static_cast<char32_t>(c) | author);
    }
  }

  void PutCharacter(char32_t character) {
    static constexpr TextView kSpecial = U"\"\\\n\r\t\f\b";
    static constexpr TextView kLetters = U"\"\\nrtfb";
    const char32_t code = CodeOf(character);
    const char32_t author = AuthorBit(character);
    if (const size_t place = kSpecial.find(code); place != TextView::npos) {
      out_.push_back('\\' | author);
      out_.push_back(kLetters[place] | author);
    } else if (code < 0x20 || (style_.ascii && code > 0x7E && code < 0x10000)) {
      PutUnit(code, author);
    } else if (style_.ascii && code > 0x7E) {
      PutUnit(0xD800 + ((code - 0x10000) >> 10), author);
      PutUnit(0xDC00 + ((code - 0x10000) & 0x3FF), author);
    } else {
      out_.push_back(character);
    }
  }

  Status WriteText(const Text& text) {
    SLUICE_TRY(meter_.Charge(static_cast<int64_t>(text.size()) * 2));
    out_.push_back('"');
    for (const char32_t c : text) PutCharacter(c);
    out_.push_back('"');
    return {};
  }

  Status BreakLine(int depth) {
    if (!style_.indent) return {};
    SLUICE_TRY(Put(U"\n"));
    for (int i = 0; i < depth; ++i) SLUICE_TRY(Put(*style_.indent));
    return {};
  }

  Status WriteList(const Sequence& list, int depth) {
    if (list.items.empty()) return Put(U"[]");
    SLUICE_TRY(Put(U"["));
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) SLUICE_TRY(Put(style_.comma));
      SLUICE_TRY(BreakLine(depth + 1));
      SLUICE_TRY(Write(list.items[i], depth + 1));
    }
    SLUICE_TRY(BreakLine(depth));
    return Put(U"]");
  }

  Result<Text> KeyOf(const Value& key) const {
    if (const Text* text = key.text(); text != nullptr) return *text;
    if (key.is_none()) return Text(U"null");
    if (key.is_bool()) return Text(IsTrue(key) ? U"true" : U"false");
    if (key.number()) return TextFrom(NumberText(key));
    return InvalidArgumentError("tojson: a " + key.TypeName() + " cannot be a key");
  }

  Status WriteDict(const Dict& dict, int depth) {
    std::vector<std::pair<Text, const Value*>> entries;
    for (const auto& [key, value] : dict.entries()) {
      SLUICE_TRY_ASSIGN(Text name, KeyOf(key));
      entries.emplace_back(std::move(name), &value);
    }
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    if (entries.empty()) return Put(U"{}");
    SLUICE_TRY(Put(U"{"));
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) SLUICE_TRY(Put(style_.comma));
      SLUICE_TRY(BreakLine(depth + 1));
      SLUICE_TRY(WriteText(entries[i].first));
      SLUICE_TRY(Put(style_.colon));
      SLUICE_TRY(Write(*entries[i].second, depth + 1));
    }
    SLUICE_TRY(BreakLine(depth));
    return Put(U"}");
  }

  const JsonStyle& style_;
  Meter& meter_;
  Text out_;
};

}  // namespace

Result<Value> FormatJson(const Value& value, const JsonStyle& style, Meter* meter) {
  JsonWriter writer(style, meter);
  SLUICE_TRY(writer.Write(value, 0));
  return Value(writer.Take());
}

}  // namespace sluice::jinja

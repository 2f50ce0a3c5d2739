#include "template/meter.h"

#include <fmt/format.h>

namespace sluice::jinja {

Status Meter::TooMuch(const char* what) {
  return ResourceExhaustedError(fmt::format("the template uses too much: too many {}", what));
}

Status Meter::Charge(int64_t amount) {
  if (amount < 0 || amount > limits_.work) return TooMuch("characters");
  limits_.work -= amount;
  return {};
}

Result<Text> Meter::Show(const Value& value) {
  Text text;
  AppendShown(value, &limits_.work, &text);
  SLUICE_TRY(CheckWork());
  return text;
}

Result<std::vector<Value>> Meter::Items(const Value& value) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  const bool text_items = value.text() != nullptr;
  SLUICE_TRY(Charge(SizeOf(value) * (text_items ? kTextCost + kItemCost : kItemCost)));
  if (const Sequence* sequence = value.sequence(); sequence != nullptr) {
    if (!sequence->consumed) items = sequence->items;
    sequence->consumed = sequence->kind == SequenceKind::kGenerator;
  } else if (const Text* text = value.text(); text != nullptr) {
    items.reserve(text->size());
    for (const char32_t c : *text) items.emplace_back(Text(1, c));
  } else if (const Dict* dict = value.dict(); dict != nullptr) {
    items.reserve(dict->size());
    for (const auto& [key, unused] : dict->entries()) items.push_back(key);
  } else {
    return InvalidArgumentError("a " + value.TypeName() + " cannot be iterated over");
  }
  return items;
}

}  // namespace sluice::jinja

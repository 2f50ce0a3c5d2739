#include "template/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

// A method together with the value that it belongs to.
class BoundMethod final : public Object {
 public:
  using Body = std::function<Result<Value>(const Arguments&, Meter*)>;
  BoundMethod(std::string name, const Value& self, Meter* meter, Body body)
      : name_(std::move(name)), depth_(DepthOf(self) + 1), meter_(*meter), body_(std::move(body)) {}

  std::string TypeName() const override { return "method " + name_; }
  Result<Value> Attribute(const Text& /*name*/) override { return Value(); }
  bool callable() const override { return true; }
  int depth() const override { return depth_; }
  Result<Value> Call(Interpreter* /*interpreter*/, const Arguments& arguments) override {
    Result<Value> result = body_(arguments, &meter_);
    if (!result.ok()) return result.status().Annotate(name_ + "()");
    return result;
  }

 private:
  std::string name_;
  int depth_;
  Meter& meter_;
  Body body_;  // holds the value
};

Value MethodOf(const Text& name, const Value& self, Meter* meter, BoundMethod::Body body) {
  return std::shared_ptr<Object>(
      std::make_shared<BoundMethod>(Utf8(name), self, meter, std::move(body)));
}

template <size_t kCount>
bool IsAmong(const Text& name, const std::array<TextView, kCount>& names) {
  return std::find(names.begin(), names.end(), TextView(name)) != names.end();
}

// What would change a value; Transformers' environment forbids it.
constexpr std::array<TextView, 8> kListChanging{U"append", U"clear",  U"extend",  U"insert",
                                                U"pop",    U"remove", U"reverse", U"sort"};
constexpr std::array<TextView, 5> kDictChanging{U"clear", U"pop", U"popitem", U"setdefault",
                                                U"update"};

Value Forbidden(const Value& value, const Text& name) {
  return Value::UndefinedBecause(fmt::format("{} of a {} would change it, which templates may not",
                                             QuoteForMessage(Utf8(name)), value.TypeName()));
}

Value Absent(const Value& value, const Text& name) {
  return Value::UndefinedBecause(
      fmt::format("a {} has no {}", value.TypeName(), QuoteForMessage(Utf8(name))));
}

Value ViewOf(const Dict& dict, const Text& name) {
  Sequence view{.kind = SequenceKind::kView, .shows_as = "<dict_" + Utf8(name) + ">"};
  view.items.reserve(dict.size());
  for (const auto& [key, value] : dict.entries()) {
    view.items.push_back(name == U"keys"     ? key
                         : name == U"values" ? value
                                             : Value::TupleOf({key, value}));
  }
  return view;
}

std::optional<Value> DictMethod(const Value& value, const Text& name, Meter* meter) {
  if (name == U"get") {
    return MethodOf(
        name, value, meter, [value](const Arguments& arguments, Meter* work) -> Result<Value> {
          SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"key", U"default"}));
          if (bound[0] == nullptr) return Missing("key");
          SLUICE_TRY(work->ChargeFor(*bound[0]));
          const Value* found = value.dict()->Find(*bound[0]);
          if (found != nullptr) return *found;
          return bound[1] == nullptr ? Value(None{}) : *bound[1];
        });
  }
  if (name == U"items" || name == U"keys" || name == U"values") {
    return MethodOf(name, value, meter,
                    [value, name](const Arguments& arguments, Meter* work) -> Result<Value> {
                      SLUICE_TRY(Bind(arguments, {}).status());
                      SLUICE_TRY(work->ChargeFor(value));
                      return ViewOf(*value.dict(), name);
                    });
  }
  if (name == U"copy") {
    return MethodOf(name, value, meter,
                    [value](const Arguments&, Meter*) -> Result<Value> { return value; });
  }
  return std::nullopt;
}

Result<Value> IndexOf(const Value& list, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"value"}));
  if (bound[0] == nullptr) return Missing("value");
  const std::vector<Value>& items = list.sequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (AreEqual(items[i], *bound[0], meter->work())) return Value(static_cast<int64_t>(i));
    SLUICE_TRY(meter->CheckWork());
  }
  return InvalidArgumentError("no such item");
}

Result<Value> CountIn(const Value& list, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"value"}));
  if (bound[0] == nullptr) return Missing("value");
  int64_t count = 0;
  for (const Value& item : list.sequence()->items) {
    count += AreEqual(item, *bound[0], meter->work()) ? 1 : 0;
    SLUICE_TRY(meter->CheckWork());
  }
  return Value(count);
}

std::optional<Value> SequenceMethod(const Value& value, const Text& name, Meter* meter) {
  const SequenceKind kind = value.sequence()->kind;
  if (kind == SequenceKind::kView || kind == SequenceKind::kGenerator) return std::nullopt;
  const auto bind = [&](Method method) {
    return MethodOf(name, value, meter, [value, method](const Arguments& arguments, Meter* work) {
      return method(value, arguments, work);
    });
  };
  if (name == U"index") return bind(&IndexOf);
  if (name == U"count") return bind(&CountIn);
  if (name == U"copy" && kind == SequenceKind::kList) {
    return MethodOf(name, value, meter,
                    [value](const Arguments&, Meter*) -> Result<Value> { return value; });
  }
  return std::nullopt;
}

// A method or other attribute; nullopt: there is none.
Result<std::optional<Value>> OwnAttribute(const Value& value, const Text& name, Meter* meter) {
  std::optional<Value> found;
  if (value.text() != nullptr) {
    if (const Method method = FindTextMethod(name); method != nullptr) {
      found =
          MethodOf(name, value, meter, [value, method](const Arguments& arguments, Meter* work) {
            return method(value, arguments, work);
          });
    }
  } else if (value.dict() != nullptr) {
    if (IsAmong(name, kDictChanging)) {
      return std::optional<Value>(Forbidden(value, name));
    }
    found = DictMethod(value, name, meter);
  } else if (value.sequence() != nullptr) {
    if (value.sequence()->kind == SequenceKind::kList && IsAmong(name, kListChanging)) {
      return std::optional<Value>(Forbidden(value, name));
    }
    found = SequenceMethod(value, name, meter);
  } else if (value.object() != nullptr) {
    SLUICE_TRY_ASSIGN(Value attribute, value.object()->Attribute(name));
    if (!attribute.is_undefined()) found = std::move(attribute);
  }
  return found;
}

// The item at a place counted from the end if it is negative; null out of range.
template <typename Items>
const typename Items::value_type* At(const Items& items, int64_t place) {
  const auto size = static_cast<int64_t>(items.size());
  if (place < 0) place += size;
  if (place < 0 || place >= size) return nullptr;
  return &items[static_cast<size_t>(place)];
}

// nullopt: there is no such item.
std::optional<Value> OwnItem(const Value& value, const Value& key) {
  if (const Dict* dict = value.dict(); dict != nullptr) {
    const Value* found = dict->Find(key);
    if (found != nullptr) return *found;
    return std::nullopt;
  }
  const auto place = key.integer();
  if (!place) return std::nullopt;
  if (const Text* text = value.text(); text != nullptr) {
    const char32_t* found = At(*text, *place);
    if (found != nullptr) return Value(Text(1, *found));
  }
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || sequence->kind == SequenceKind::kView ||
      sequence->kind == SequenceKind::kGenerator) {
    return std::nullopt;
  }
  const Value* found = At(sequence->items, *place);
  if (found != nullptr) return *found;
  return std::nullopt;
}

}  // namespace

Result<Value> AttributeOf(const Value& value, const Text& name, Meter* meter) {
  if (value.is_undefined()) return InvalidArgumentError(value.undefined_reason());
  SLUICE_TRY_ASSIGN(std::optional<Value> own, OwnAttribute(value, name, meter));
  if (own) return *std::move(own);
  if (const Dict* dict = value.dict(); dict != nullptr) {
    const Value* found = dict->Find(name);
    if (found != nullptr) return *found;
  }
  return Absent(value, name);
}

Result<Value> ItemOf(const Value& value, const Value& key, Meter* meter) {
  if (value.is_undefined()) return InvalidArgumentError(value.undefined_reason());
  SLUICE_TRY(meter->ChargeFor(key));
  if (std::optional<Value> item = OwnItem(value, key); item) return *std::move(item);
  if (key.text() == nullptr) {
    return Value::UndefinedBecause("a " + value.TypeName() + " has no such item");
  }
  SLUICE_TRY_ASSIGN(std::optional<Value> own, OwnAttribute(value, *key.text(), meter));
  if (own) return *std::move(own);
  return Absent(value, *key.text());
}

namespace {

// A bound of a slice: nullopt where it is left out.
Result<std::optional<int64_t>> SliceBound(const Value& value) {
  if (value.is_none()) return std::optional<int64_t>();
  if (const auto whole = value.integer(); whole) return std::optional<int64_t>(whole);
  return InvalidArgumentError("a slice needs whole numbers, not a " + value.TypeName());
}

// Python's places of a slice.
std::vector<size_t> SlicePlaces(int64_t size, std::optional<int64_t> begin,
                                std::optional<int64_t> end, int64_t step) {
  const auto clamp = [&](std::optional<int64_t> bound, int64_t otherwise) {
    if (!bound) return otherwise;
    const int64_t place = *bound < 0 ? *bound + size : *bound;
    return std::clamp<int64_t>(place, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
  };
  const int64_t first = clamp(begin, step > 0 ? 0 : size - 1);
  const int64_t last = clamp(end, step > 0 ? size : -1);
  std::vector<size_t> places;
  // Steps beyond the size take one item; bounding them keeps the sum from overflowing.
  step = std::clamp<int64_t>(step, -size - 1, size + 1);
  for (int64_t i = first; step > 0 ? i < last : i > last; i += step) {
    places.push_back(static_cast<size_t>(i));
  }
  return places;
}

}  // namespace

Result<Value> SliceOf(const Value& value, const Value& begin, const Value& end, const Value& step,
                      Meter* meter) {
  if (value.is_undefined()) return InvalidArgumentError(value.undefined_reason());
  SLUICE_TRY(meter->ChargeFor(value));
  const Text* text = value.text();
  const Sequence* sequence = value.sequence();
  if (text == nullptr && (sequence == nullptr || sequence->kind == SequenceKind::kView ||
                          sequence->kind == SequenceKind::kGenerator)) {
    return Value::UndefinedBecause("a " + value.TypeName() + " cannot be sliced");
  }
  // Bounds of a wrong type are what Jinja calls undefined, too.
  const Result<std::optional<int64_t>> from = SliceBound(begin);
  const Result<std::optional<int64_t>> to = SliceBound(end);
  const Result<std::optional<int64_t>> by = SliceBound(step);
  for (const auto* bound : {&from, &to, &by}) {
    if (!bound->ok()) return Value::UndefinedBecause(bound->status().message());
  }
  if (by->value_or(1) == 0) return InvalidArgumentError("the step of a slice cannot be 0");
  Text characters;
  Sequence items;
  for (const size_t place : SlicePlaces(SizeOf(value), *from, *to, by->value_or(1))) {
    if (text != nullptr) {
      characters.push_back((*text)[place]);
    } else {
      items.items.push_back(sequence->items[place]);
    }
  }
  if (text != nullptr) return Value(std::move(characters));
  items.kind = sequence->kind == SequenceKind::kRange ? SequenceKind::kList : sequence->kind;
  return Value(std::move(items));
}

Result<BoundArguments> Bind(const Arguments& arguments, std::initializer_list<TextView> names) {
  BoundArguments bound;
  bound.values_.resize(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    return InvalidArgumentError(fmt::format("{} arguments, at most {} are taken",
                                            arguments.positional.size(), names.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound.values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto* place = std::find(names.begin(), names.end(), TextView(name));
    if (place == names.end()) {
      return InvalidArgumentError("no argument is called " + QuoteForMessage(Utf8(name)));
    }
    const Value*& slot = bound.values_[static_cast<size_t>(place - names.begin())];
    if (slot != nullptr) {
      return InvalidArgumentError("argument " + QuoteForMessage(Utf8(name)) + " is given twice");
    }
    slot = &value;
  }
  return bound;
}

bool BoundArguments::Truth(size_t place, bool otherwise) const {
  return values_[place] == nullptr ? otherwise : IsTrue(*values_[place]);
}

Result<int64_t> BoundArguments::Integer(size_t place, int64_t otherwise) const {
  if (values_[place] == nullptr || values_[place]->is_none()) return otherwise;
  if (const auto whole = values_[place]->integer(); whole) return *whole;
  if (values_[place]->is_undefined()) {
    return InvalidArgumentError(values_[place]->undefined_reason());
  }
  return InvalidArgumentError("a whole number is needed, not a " + values_[place]->TypeName());
}

Result<Text> BoundArguments::TextOr(size_t place, const char32_t* otherwise) const {
  if (values_[place] == nullptr || values_[place]->is_none()) return Text(otherwise);
  if (const Text* text = values_[place]->text(); text != nullptr) return *text;
  return InvalidArgumentError("a str is needed, not a " + values_[place]->TypeName());
}

Status Missing(const char* name) {
  return InvalidArgumentError(fmt::format("argument \"{}\" is missing", name));
}

}  // namespace sluice::jinja

// Python's notions of truth, equality, order and spelling, for the values of templates.
#include "template/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

Text Ascii(std::string_view text) { return {text.begin(), text.end()}; }

std::optional<Text> NumberKey(double number) {
  if (std::abs(number) < kExactIntegers && number == std::floor(number)) {
    return Ascii(fmt::format("i{}", static_cast<int64_t>(number)));
  }
  return Ascii(fmt::format("f{}", number));
}

void Put(TextView text, int64_t* room, Text* out) {
  *room -= static_cast<int64_t>(text.size());
  if (*room >= 0) *out += text;
}

void AppendEscaped(char32_t character, char32_t quote, int64_t* room, Text* out) {
  const char32_t code = CodeOf(character);
  Text escaped;
  if (code == '\n') {
    escaped = U"\\n";
  } else if (code == '\r') {
    escaped = U"\\r";
  } else if (code == '\t') {
    escaped = U"\\t";
  } else if (code == '\\' || code == quote) {
    escaped = {U'\\', code};
  } else if (!IsPrintable(character)) {
    const char* form = code < 0x100 ? "\\x{:02x}" : code < 0x10000 ? "\\u{:04x}" : "\\U{:08x}";
    escaped = Ascii(fmt::format(fmt::runtime(form), static_cast<uint32_t>(code)));
  } else {
    escaped = {character};
  }
  for (char32_t& c : escaped) c |= AuthorBit(character);
  Put(escaped, room, out);
}

void AppendQuoted(const Text& text, int64_t* room, Text* out) {
  const bool doubled = text.find(U'\'') != Text::npos && text.find(U'"') == Text::npos;
  const char32_t quote = doubled ? U'"' : U'\'';
  Put({&quote, 1}, room, out);
  for (const char32_t c : text) {
    if (*room < 0) return;
    AppendEscaped(c, quote, room, out);
  }
  Put({&quote, 1}, room, out);
}

void AppendItems(const Sequence& sequence, int64_t* room, Text* out, int depth) {
  const bool tuple = sequence.kind == SequenceKind::kTuple;
  Put(tuple ? U"(" : U"[", room, out);
  for (size_t i = 0; i < sequence.items.size() && *room >= 0; ++i) {
    if (i > 0) Put(U", ", room, out);
    AppendRepr(sequence.items[i], room, out, depth + 1);
  }
  if (tuple && sequence.items.size() == 1) Put(U",", room, out);
  Put(tuple ? U")" : U"]", room, out);
}

void AppendEntries(const Dict& dict, int64_t* room, Text* out, int depth) {
  Put(U"{", room, out);
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (*room < 0) return;
    if (!first) Put(U", ", room, out);
    first = false;
    AppendRepr(key, room, out, depth + 1);
    Put(U": ", room, out);
    AppendRepr(value, room, out, depth + 1);
  }
  Put(U"}", room, out);
}

bool SameItems(const std::vector<Value>& a, const std::vector<Value>& b, int64_t* work, int depth) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!AreEqual(a[i], b[i], work, depth + 1)) return false;
  }
  return true;
}

bool SameEntries(const Dict& a, const Dict& b, int64_t* work, int depth) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.Find(key);
    if (other == nullptr || !AreEqual(value, *other, work, depth + 1)) return false;
  }
  return true;
}

Status NotOrdered(const Value& a, const Value& b) {
  if (a.is_undefined()) return InvalidArgumentError(a.undefined_reason());
  if (b.is_undefined()) return InvalidArgumentError(b.undefined_reason());
  return InvalidArgumentError(
      fmt::format("{} and {} cannot be compared", a.TypeName(), b.TypeName()));
}

template <typename T>
int Sign(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

Value::Value(Dict dict) : storage_(std::make_shared<const Dict>(std::move(dict))) {}
Value::Value(Sequence sequence) {
  for (const Value& item : sequence.items) {
    sequence.depth = std::max(sequence.depth, DepthOf(item) + 1);
  }
  storage_ = std::make_shared<const Sequence>(std::move(sequence));
}

Value Value::UndefinedBecause(std::string reason) {
  Value value;
  value.storage_ = Undefined{std::make_shared<const std::string>(std::move(reason))};
  return value;
}
Value Value::ListOf(std::vector<Value> items) {
  return Sequence{.items = std::move(items), .kind = SequenceKind::kList};
}
Value Value::TupleOf(std::vector<Value> items) {
  return Sequence{.items = std::move(items), .kind = SequenceKind::kTuple};
}

std::optional<int64_t> Value::integer() const {
  if (const bool* truth = std::get_if<bool>(&storage_)) return *truth ? 1 : 0;
  if (const int64_t* number = std::get_if<int64_t>(&storage_)) return *number;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* number = std::get_if<double>(&storage_)) return *number;
  if (const auto whole = integer(); whole) return static_cast<double>(*whole);
  return std::nullopt;
}

const Text* Value::text() const {
  const auto* text = std::get_if<std::shared_ptr<const Text>>(&storage_);
  return text == nullptr ? nullptr : text->get();
}
const Sequence* Value::sequence() const {
  const auto* sequence = std::get_if<std::shared_ptr<const Sequence>>(&storage_);
  return sequence == nullptr ? nullptr : sequence->get();
}
const Dict* Value::dict() const {
  const auto* dict = std::get_if<std::shared_ptr<const Dict>>(&storage_);
  return dict == nullptr ? nullptr : dict->get();
}
Object* Value::object() const {
  const auto* object = std::get_if<std::shared_ptr<Object>>(&storage_);
  return object == nullptr ? nullptr : object->get();
}

const std::string& Value::undefined_reason() const {
  static const std::string plain = "a value that is not there was used";
  const auto* undefined = std::get_if<Undefined>(&storage_);
  return undefined == nullptr || undefined->reason == nullptr ? plain : *undefined->reason;
}

bool Value::IsSameAs(const Value& other) const {
  if (storage_.index() != other.storage_.index()) return false;
  if (const Text* own = text(); own != nullptr) return own == other.text() || *own == *other.text();
  if (const Sequence* own = sequence(); own != nullptr) return own == other.sequence();
  if (const Dict* own = dict(); own != nullptr) return own == other.dict();
  if (const Object* own = object(); own != nullptr) return own == other.object();
  int64_t work = 1;
  return AreEqual(*this, other, &work);
}

std::string Value::TypeName() const {
  if (const Object* own = object(); own != nullptr) return own->TypeName();
  if (const Sequence* own = sequence(); own != nullptr) {
    static constexpr std::array<const char*, 5> kNames{"list", "tuple", "range", "dict view",
                                                       "generator"};
    return kNames[static_cast<size_t>(own->kind)];
  }
  static constexpr std::array<const char*, 8> kNames{"Undefined", "NoneType", "bool", "int",
                                                     "float",     "str",      "list", "dict"};
  return kNames[storage_.index()];
}

std::optional<Text> KeyText(const Value& value) {
  if (const Text* text = value.text(); text != nullptr) return U's' + *text;
  if (value.is_none()) return U"n";
  if (value.is_undefined()) return U"u";
  if (const auto whole = value.integer(); whole) return Ascii(fmt::format("i{}", *whole));
  if (const auto number = value.number(); number) return NumberKey(*number);
  const Sequence* tuple = value.sequence();
  if (tuple == nullptr || tuple->kind != SequenceKind::kTuple) return std::nullopt;
  Text key = U"t";
  for (const Value& item : tuple->items) {
    const std::optional<Text> part = KeyText(item);
    if (!part || part->size() + key.size() > kMaxTupleKey) return std::nullopt;
    key += Ascii(fmt::format("{}:", part->size())) + *part;
  }
  return key;
}

Status Dict::Insert(Value key, Value value) {
  std::optional<Text> text = KeyText(key);
  if (!text) return InvalidArgumentError("a " + key.TypeName() + " cannot be the key of a dict");
  depth_ = std::max({depth_, DepthOf(key) + 1, DepthOf(value) + 1});
  const auto [place, added] = places_.try_emplace(*std::move(text), entries_.size());
  if (added) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
  return {};
}

const Value* Dict::Find(const Value& key) const {
  const std::optional<Text> text = KeyText(key);
  if (!text) return nullptr;
  const auto found = places_.find(*text);
  return found == places_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::Find(const Text& key) const {
  const auto found = places_.find(U's' + key);
  return found == places_.end() ? nullptr : &entries_[found->second].second;
}

Result<Value> Object::Call(Interpreter* /*interpreter*/, const Arguments& /*arguments*/) {
  return InvalidArgumentError("a " + TypeName() + " cannot be called");
}
bool Object::SetAttribute(const Text& /*name*/, const Value& /*value*/) { return false; }

int DepthOf(const Value& value) {
  if (const Sequence* sequence = value.sequence(); sequence != nullptr) return sequence->depth;
  if (const Dict* dict = value.dict(); dict != nullptr) return dict->depth();
  return value.object() == nullptr ? 0 : value.object()->depth();
}

bool IsTrue(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const auto number = value.number(); number) return *number != 0;
  if (const Text* text = value.text(); text != nullptr) return !text->empty();
  if (const Dict* dict = value.dict(); dict != nullptr) return dict->size() > 0;
  if (const Sequence* sequence = value.sequence(); sequence != nullptr) {
    return sequence->kind == SequenceKind::kGenerator || !sequence->items.empty();
  }
  return true;
}

Result<int64_t> LengthOf(const Value& value) {
  if (value.is_undefined()) return int64_t{0};
  if (const Text* text = value.text(); text != nullptr) return static_cast<int64_t>(text->size());
  if (const Dict* dict = value.dict(); dict != nullptr) return static_cast<int64_t>(dict->size());
  if (const Sequence* sequence = value.sequence();
      sequence != nullptr && sequence->kind != SequenceKind::kGenerator) {
    return static_cast<int64_t>(sequence->items.size());
  }
  return InvalidArgumentError("a " + value.TypeName() + " has no length");
}

bool AreEqual(const Value& a, const Value& b, int64_t* work, int depth) {
  *work -= 1;
  if (depth > kMaxNesting || *work < 0) return false;
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.text() != nullptr && b.text() != nullptr) {
    if (a.text()->size() == b.text()->size()) *work -= SizeOf(a);
    return *a.text() == *b.text();
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    return SameEntries(*a.dict(), *b.dict(), work, depth);
  }
  if (a.sequence() != nullptr && b.sequence() != nullptr) {
    if (a.sequence() == b.sequence()) return true;
    const SequenceKind kind = a.sequence()->kind;
    if (kind != b.sequence()->kind || kind == SequenceKind::kGenerator) return false;
    return SameItems(a.sequence()->items, b.sequence()->items, work, depth);
  }
  if (a.object() != nullptr) return a.object() == b.object();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

Result<int> Order(const Value& a, const Value& b, int64_t* work, int depth) {
  *work -= 1;
  if (depth > kMaxNesting || *work < 0) return NotOrdered(a, b);
  if (a.integer() && b.integer()) return Sign(*a.integer(), *b.integer());
  if (a.number() && b.number()) return Sign(*a.number(), *b.number());
  if (a.text() != nullptr && b.text() != nullptr) {
    *work -= std::min(SizeOf(a), SizeOf(b));
    return Sign(a.text()->compare(*b.text()), 0);
  }
  const Sequence* left = a.sequence();
  const Sequence* right = b.sequence();
  const bool ordered = left != nullptr && right != nullptr && left->kind == right->kind &&
                       (left->kind == SequenceKind::kList || left->kind == SequenceKind::kTuple);
  if (!ordered) return NotOrdered(a, b);
  for (size_t i = 0; i < left->items.size() && i < right->items.size(); ++i) {
    if (AreEqual(left->items[i], right->items[i], work, depth + 1)) continue;
    return Order(left->items[i], right->items[i], work, depth + 1);
  }
  return Sign(left->items.size(), right->items.size());
}

int64_t SizeOf(const Value& value) {
  if (const Text* text = value.text(); text != nullptr) return static_cast<int64_t>(text->size());
  if (const Dict* dict = value.dict(); dict != nullptr) return static_cast<int64_t>(dict->size());
  const Sequence* sequence = value.sequence();
  return sequence == nullptr ? 1 : static_cast<int64_t>(sequence->items.size());
}

int64_t CostOf(const Value& value) {
  if (value.dict() != nullptr) return SizeOf(value) * kEntryCost;
  return value.sequence() != nullptr ? SizeOf(value) * kItemCost : SizeOf(value);
}

std::string FloatText(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number,
                                 std::chars_format::scientific);
  std::string shortest(digits.data(), end.ptr);
  // Python writes an exponent below 1e-4 and from 1e16 on; its digits are the shortest, too.
  const int exponent = std::stoi(shortest.substr(shortest.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return shortest;
  const auto plain =
      std::to_chars(digits.data(), digits.data() + digits.size(), number, std::chars_format::fixed);
  std::string text(digits.data(), plain.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

void AppendRepr(const Value& value, int64_t* room, Text* out, int depth) {
  if (depth > kMaxNesting) return Put(U"...", room, out);
  if (const Text* text = value.text(); text != nullptr) return AppendQuoted(*text, room, out);
  if (const Dict* dict = value.dict(); dict != nullptr) {
    return AppendEntries(*dict, room, out, depth);
  }
  const Sequence* sequence = value.sequence();
  if (sequence != nullptr && sequence->shows_as.empty()) {
    return AppendItems(*sequence, room, out, depth);
  }
  if (sequence != nullptr) return Put(TextFrom(sequence->shows_as), room, out);
  if (value.is_undefined()) return Put(U"Undefined", room, out);
  if (value.is_none()) return Put(U"None", room, out);
  if (value.is_bool()) return Put(*value.integer() != 0 ? U"True" : U"False", room, out);
  if (value.is_float()) return Put(Ascii(FloatText(*value.number())), room, out);
  if (value.integer()) return Put(Ascii(fmt::format("{}", *value.integer())), room, out);
  Put(TextFrom("<" + value.TypeName() + ">"), room, out);
}

void AppendShown(const Value& value, int64_t* room, Text* out) {
  if (value.is_undefined()) return;
  if (const Text* text = value.text(); text != nullptr) return Put(*text, room, out);
  AppendRepr(value, room, out);
}

Value AuthoredBy(const Value& value, Author author) {
  if (const Text* text = value.text(); text != nullptr) {
    Text copy = *text;
    for (char32_t& c : copy) c = CodeOf(c) | (author == Author::kPerson ? kPersonBit : 0);
    return copy;
  }
  if (const Sequence* sequence = value.sequence(); sequence != nullptr) {
    Sequence copy{.kind = sequence->kind, .shows_as = sequence->shows_as};
    for (const Value& item : sequence->items) copy.items.push_back(AuthoredBy(item, author));
    return copy;
  }
  if (const Dict* dict = value.dict(); dict != nullptr) {
    Dict copy;
    for (const auto& [key, item] : dict->entries()) {
      // Keys of a dict are keys of its copy.
      (void)copy.Insert(AuthoredBy(key, author), AuthoredBy(item, author)).ok();
    }
    return copy;
  }
  return value;
}

}  // namespace sluice::jinja

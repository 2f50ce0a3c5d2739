// Methods of str.
#include <algorithm>
#include <utility>

#include "template/access.h"
#include "template/text_format.h"

namespace sluice::jinja {
namespace {

Result<Value> TextList(const std::vector<TextView>& parts, Meter* meter) {
  SLUICE_TRY(meter->Charge(static_cast<int64_t>(parts.size()) * (kTextCost + kItemCost)));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const TextView part : parts) items.emplace_back(Text(part));
  return Value::ListOf(std::move(items));
}

// Before a method reads a text and its first argument, and makes about as much.
Status ChargeBoth(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY(meter->ChargeFor(self));
  return arguments.positional.empty() ? Status() : meter->ChargeFor(arguments.positional.front());
}

template <Text (*kChange)(TextView)>
Result<Value> Changed(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY(meter->ChargeFor(self));
  return Value(kChange(*self.text()));
}

template <Side kSide>
Result<Value> Stripped(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"chars"}));
  SLUICE_TRY_ASSIGN(const Text characters, bound.TextOr(0, U""));
  SLUICE_TRY(ChargeBoth(self, arguments, meter));
  const bool nothing = bound[0] != nullptr && bound[0]->text() != nullptr && characters.empty();
  return Value(nothing ? *self.text() : Text(Strip(*self.text(), characters, kSide)));
}

// Words between runs of whitespace.
std::vector<TextView> Words(TextView text, int64_t limit) {
  std::vector<TextView> words;
  text = Strip(text, {}, Side::kLeft);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(words.size()) == limit) {
      words.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !IsSpace(text[end])) ++end;
    words.push_back(text.substr(0, end));
    text = Strip(text.substr(end), {}, Side::kLeft);
  }
  return words;
}

std::vector<TextView> WordsFromRight(TextView text, int64_t limit) {
  std::vector<TextView> words;
  text = Strip(text, {}, Side::kRight);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(words.size()) == limit) {
      words.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0 && !IsSpace(text[begin - 1])) --begin;
    words.push_back(text.substr(begin));
    text = Strip(text.substr(0, begin), {}, Side::kRight);
  }
  std::reverse(words.begin(), words.end());
  return words;
}

std::vector<TextView> Parts(TextView text, TextView separator, int64_t limit) {
  const TextFinder finder(separator);
  std::vector<TextView> parts;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t found = finder.Find(text, begin);
    if (found == TextView::npos) break;
    parts.push_back(text.substr(begin, found - begin));
    begin = found + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<TextView> PartsFromRight(const Text& text, const Text& separator, int64_t limit) {
  const Text backwards(text.rbegin(), text.rend());
  const Text mirror(separator.rbegin(), separator.rend());
  std::vector<TextView> parts;
  for (const TextView part : Parts(backwards, mirror, limit)) {
    const auto from_end = static_cast<size_t>(part.data() - backwards.data()) + part.size();
    parts.push_back(TextView(text).substr(text.size() - from_end, part.size()));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <Side kFrom>
Result<Value> Split(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"sep", U"maxsplit"}));
  SLUICE_TRY_ASSIGN(const Text separator, bound.TextOr(0, U""));
  SLUICE_TRY_ASSIGN(const int64_t limit, bound.Integer(1, -1));
  SLUICE_TRY(ChargeBoth(self, arguments, meter));
  if (bound[0] == nullptr || bound[0]->is_none()) {
    return TextList(
        kFrom == Side::kLeft ? Words(*self.text(), limit) : WordsFromRight(*self.text(), limit),
        meter);
  }
  if (separator.empty()) return InvalidArgumentError("the separator is empty");
  return TextList(kFrom == Side::kLeft ? Parts(*self.text(), separator, limit)
                                       : PartsFromRight(*self.text(), separator, limit),
                  meter);
}

template <Side kFrom>
Result<Value> Partition(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"sep"}));
  SLUICE_TRY_ASSIGN(const Text separator, bound.TextOr(0, U""));
  if (separator.empty()) return InvalidArgumentError("the separator is empty");
  SLUICE_TRY(ChargeBoth(self, arguments, meter));
  const Text& text = *self.text();
  const TextFinder finder(separator);
  const size_t found = kFrom == Side::kLeft ? finder.Find(text) : finder.FindLast(text);
  if (found == Text::npos) {
    return kFrom == Side::kLeft ? Value::TupleOf({text, Text(), Text()})
                                : Value::TupleOf({Text(), Text(), text});
  }
  return Value::TupleOf({text.substr(0, found), text.substr(found, separator.size()),
                         text.substr(found + separator.size())});
}

Result<Value> Lines(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"keepends"}));
  SLUICE_TRY(meter->ChargeFor(self));
  return TextList(
      SplitLines(*self.text(), bound.Truth(0, false) ? LineBreaks::kKeep : LineBreaks::kDrop),
      meter);
}

template <bool (*kMatches)(TextView, TextView)>
Result<Value> HasAffix(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"affix", U"start", U"end"}));
  if (bound[0] == nullptr) return Missing("prefix");
  const Value none(None{});
  SLUICE_TRY_ASSIGN(const Value within,
                    SliceOf(self, bound[1] == nullptr ? none : *bound[1],
                            bound[2] == nullptr ? none : *bound[2], none, meter));
  if (within.text() == nullptr) return InvalidArgumentError("start and end are whole numbers");
  const Sequence* several = bound[0]->sequence();
  SLUICE_TRY(meter->ChargeFor(*bound[0]));
  std::vector<Value> affixes{*bound[0]};
  if (several != nullptr && several->kind == SequenceKind::kTuple) affixes = several->items;
  for (const Value& affix : affixes) {
    if (affix.text() == nullptr) {
      return InvalidArgumentError("a str is needed, not a " + affix.TypeName());
    }
    SLUICE_TRY(meter->ChargeFor(affix));
    if (kMatches(*within.text(), *affix.text())) return Value(true);
  }
  return Value(false);
}

bool StartsWith(TextView text, TextView affix) { return text.starts_with(affix); }
bool EndsWith(TextView text, TextView affix) { return text.ends_with(affix); }

enum class Answer { kFirst, kLast, kCount };
enum class Absence { kMinusOne, kFails };

template <Answer kAnswer, Absence kAbsence>
Result<Value> Found(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"sub", U"start", U"end"}));
  if (bound[0] == nullptr) return Missing("sub");
  SLUICE_TRY_ASSIGN(const Text what, bound.TextOr(0, U""));
  SLUICE_TRY(ChargeBoth(self, arguments, meter));
  const auto size = static_cast<int64_t>(self.text()->size());
  SLUICE_TRY_ASSIGN(int64_t begin, bound.Integer(1, 0));
  SLUICE_TRY_ASSIGN(int64_t end, bound.Integer(2, size));
  begin = std::max<int64_t>(begin < 0 ? begin + size : begin, 0);
  end = std::clamp<int64_t>(end < 0 ? end + size : end, 0, size);
  const TextFinder finder(what);
  size_t found = TextView::npos;
  if (begin <= end) {
    const TextView within =
        TextView(*self.text()).substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    if (kAnswer == Answer::kCount) return Value(static_cast<int64_t>(finder.Count(within)));
    found = kAnswer == Answer::kFirst ? finder.Find(within) : finder.FindLast(within);
  } else if (kAnswer == Answer::kCount) {
    return Value(int64_t{0});
  }
  if (found != TextView::npos) return Value(static_cast<int64_t>(found) + begin);
  if (kAbsence == Absence::kFails) return InvalidArgumentError("no such text");
  return Value(int64_t{-1});
}

Result<Value> Replaced(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"old", U"new", U"count"}));
  if (bound[0] == nullptr || bound[1] == nullptr) return Missing("new");
  SLUICE_TRY_ASSIGN(const Text from, bound.TextOr(0, U""));
  SLUICE_TRY_ASSIGN(const Text to, bound.TextOr(1, U""));
  SLUICE_TRY_ASSIGN(const int64_t limit, bound.Integer(2, -1));
  SLUICE_TRY(ChargeBoth(self, arguments, meter));
  const auto places = static_cast<int64_t>(TextFinder(from).Count(*self.text()));
  SLUICE_TRY(meter->Charge(places * static_cast<int64_t>(to.size())));
  return Value(ReplaceText(*self.text(), from, to, limit));
}

Result<Value> Joined(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"iterable"}));
  if (bound[0] == nullptr) return Missing("iterable");
  SLUICE_TRY(meter->ChargeFor(*bound[0]));
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, meter->Items(*bound[0]));
  Text joined;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].text() == nullptr) {
      return InvalidArgumentError("only texts can be joined, not a " + items[i].TypeName());
    }
    SLUICE_TRY(meter->Charge(SizeOf(items[i]) + SizeOf(self)));
    if (i > 0) joined += *self.text();
    joined += *items[i].text();
  }
  return Value(std::move(joined));
}

template <Side kSide>
Result<Value> WithoutAffix(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"affix"}));
  if (bound[0] == nullptr) return Missing("prefix");
  SLUICE_TRY_ASSIGN(const Text affix, bound.TextOr(0, U""));
  SLUICE_TRY(ChargeBoth(self, arguments, meter));
  TextView text = *self.text();
  if (kSide == Side::kLeft && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (kSide == Side::kRight && text.ends_with(affix)) text.remove_suffix(affix.size());
  return Value(Text(text));
}

enum class Place { kLeft, kRight, kCenter, kZeros };

template <Place kPlace>
Result<Value> Padded(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"width", U"fillchar"}));
  if (bound[0] == nullptr) return Missing("width");
  SLUICE_TRY_ASSIGN(const int64_t width, bound.Integer(0, 0));
  SLUICE_TRY_ASSIGN(const Text fill, bound.TextOr(1, kPlace == Place::kZeros ? U"0" : U" "));
  if (fill.size() != 1) return InvalidArgumentError("a single character fills");
  const Text& text = *self.text();
  const int64_t missing = width > SizeOf(self) ? width - SizeOf(self) : 0;
  SLUICE_TRY(meter->Charge(missing + SizeOf(self)));
  int64_t left = 0;
  if (kPlace == Place::kRight || kPlace == Place::kZeros) left = missing;
  if (kPlace == Place::kCenter) left = missing / 2 + (missing & width & 1);
  const bool sign = kPlace == Place::kZeros && !text.empty() &&
                    (CodeOf(text.front()) == '-' || CodeOf(text.front()) == '+');
  const size_t kept = sign ? 1 : 0;
  return Value(text.substr(0, kept) + Text(static_cast<size_t>(left), fill.front()) +
               text.substr(kept) + Text(static_cast<size_t>(missing - left), fill.front()));
}

template <bool (*kHas)(char32_t)>
Result<Value> AllAre(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY(meter->ChargeFor(self));
  const Text& text = *self.text();
  return Value(!text.empty() && std::all_of(text.begin(), text.end(), kHas));
}

bool IsAlphanumeric(char32_t c) { return IsAlpha(c) || IsNumeric(c); }
bool IsAsciiCharacter(char32_t c) { return CodeOf(c) < 0x80; }

Result<Value> IsAscii(const Value& self, const Arguments& arguments, Meter* meter) {
  if (self.text()->empty()) return Value(true);
  return AllAre<&IsAsciiCharacter>(self, arguments, meter);
}

// Some character is of the case, none of the other.
template <bool (*kHas)(char32_t), bool (*kLacks)(char32_t)>
Result<Value> IsInCase(const Value& self, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY(meter->ChargeFor(self));
  const Text& text = *self.text();
  return Value(std::any_of(text.begin(), text.end(), kHas) &&
               std::none_of(text.begin(), text.end(), kLacks));
}

Text SwapCase(TextView text) {
  Text out;
  for (const char32_t c : text) {
    const TextView one(&c, 1);
    out += IsUpper(c) ? Lower(one) : Upper(one);
  }
  return out;
}

Result<Value> Formatted(const Value& self, const Arguments& arguments, Meter* meter) {
  return FormatBraces(*self.text(), arguments, meter);
}

struct NamedMethod {
  TextView name;
  Method method;
};

constexpr NamedMethod kMethods[] = {
    {U"capitalize", &Changed<&Capitalize>},
    {U"casefold", &Changed<&Lower>},
    {U"center", &Padded<Place::kCenter>},
    {U"count", &Found<Answer::kCount, Absence::kMinusOne>},
    {U"endswith", &HasAffix<&EndsWith>},
    {U"find", &Found<Answer::kFirst, Absence::kMinusOne>},
    {U"format", &Formatted},
    {U"index", &Found<Answer::kFirst, Absence::kFails>},
    {U"isalnum", &AllAre<&IsAlphanumeric>},
    {U"isalpha", &AllAre<&IsAlpha>},
    {U"isascii", &IsAscii},
    {U"isdecimal", &AllAre<&IsDecimal>},
    {U"isdigit", &AllAre<&IsDecimal>},
    {U"islower", &IsInCase<&IsLower, &IsUpper>},
    {U"isnumeric", &AllAre<&IsNumeric>},
    {U"isprintable", &AllAre<&IsPrintable>},
    {U"isspace", &AllAre<&IsSpace>},
    {U"isupper", &IsInCase<&IsUpper, &IsLower>},
    {U"join", &Joined},
    {U"ljust", &Padded<Place::kLeft>},
    {U"lower", &Changed<&Lower>},
    {U"lstrip", &Stripped<Side::kLeft>},
    {U"partition", &Partition<Side::kLeft>},
    {U"removeprefix", &WithoutAffix<Side::kLeft>},
    {U"removesuffix", &WithoutAffix<Side::kRight>},
    {U"replace", &Replaced},
    {U"rfind", &Found<Answer::kLast, Absence::kMinusOne>},
    {U"rindex", &Found<Answer::kLast, Absence::kFails>},
    {U"rjust", &Padded<Place::kRight>},
    {U"rpartition", &Partition<Side::kRight>},
    {U"rsplit", &Split<Side::kRight>},
    {U"rstrip", &Stripped<Side::kRight>},
    {U"split", &Split<Side::kLeft>},
    {U"splitlines", &Lines},
    {U"startswith", &HasAffix<&StartsWith>},
    {U"strip", &Stripped<Side::kBoth>},
    {U"swapcase", &Changed<&SwapCase>},
    {U"title", &Changed<&TitleCase>},
    {U"upper", &Changed<&Upper>},
    {U"zfill", &Padded<Place::kZeros>},
};

}  // namespace

Method FindTextMethod(const Text& name) {
  for (const NamedMethod& candidate : kMethods) {
    if (candidate.name == name) return candidate.method;
  }
  return nullptr;
}

}  // namespace sluice::jinja

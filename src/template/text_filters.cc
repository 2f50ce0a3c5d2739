// Filters on single values: text, numbers, defaults, JSON.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "template/access.h"
#include "template/interpreter.h"
#include "template/objects.h"
#include "template/text_format.h"

namespace sluice::jinja {
namespace {

// The subject as str() shows it; most text filters take anything.
Result<Text> Soft(const Value& subject, Interpreter* interpreter) {
  return interpreter->meter()->Show(subject);
}

template <Text (*kChange)(TextView)>
Result<Value> Changed(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const Text text, Soft(subject, interpreter));
  return Value(kChange(text));
}

// Jinja's own idea of titles: words begin after spaces, hyphens and opening brackets.
Text TitleFilter(TextView text) {
  constexpr TextView kBegins = U"-({[<";
  Text out;
  size_t i = 0;
  while (i < text.size()) {
    const auto between = [&](size_t at) {
      return IsSpace(text[at]) || kBegins.find(text[at]) != TextView::npos;
    };
    const bool separator = between(i);
    size_t end = i;
    while (end < text.size() && between(end) == separator) ++end;
    const TextView part = text.substr(i, end - i);
    out += Upper(part.substr(0, 1)) + Lower(part.substr(1));
    i = end;
  }
  return out;
}

Result<Value> Trim(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"chars"}));
  SLUICE_TRY_ASSIGN(const Text text, Soft(subject, interpreter));
  SLUICE_TRY_ASSIGN(const Text characters, bound.TextOr(0, U""));
  SLUICE_TRY(interpreter->meter()->Charge(static_cast<int64_t>(characters.size())));
  const bool nothing = bound[0] != nullptr && bound[0]->text() != nullptr && characters.empty();
  return Value(nothing ? text : Text(Strip(text, characters, Side::kBoth)));
}

Result<Value> Default(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"default_value", U"boolean"}));
  const bool wanting = subject.is_undefined() || (bound.Truth(1, false) && !IsTrue(subject));
  if (!wanting) return subject;
  return bound[0] == nullptr ? Value(Text()) : *bound[0];
}

Result<Value> String(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(Text text, Soft(subject, interpreter));
  return Value(std::move(text));
}

Result<Value> Safe(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  return String(subject, arguments, interpreter);  // nothing is escaped to begin with
}

Result<Value> Escape(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const Text text, Soft(subject, interpreter));
  SLUICE_TRY(interpreter->meter()->Charge(static_cast<int64_t>(text.size()) * 5));
  constexpr std::pair<char32_t, TextView> kEscapes[] = {
      {'&', U"&amp;"}, {'<', U"&lt;"}, {'>', U"&gt;"}, {'\'', U"&#39;"}, {'"', U"&#34;"}};
  Text out;
  for (const char32_t c : text) {
    TextView escaped(&c, 1);
    for (const auto& [character, name] : kEscapes) {
      if (CodeOf(c) == character) escaped = name;
    }
    for (const char32_t part : escaped) out.push_back(CodeOf(part) | AuthorBit(c));
  }
  return Value(std::move(out));
}

Result<Value> Replace(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"old", U"new", U"count"}));
  if (bound[0] == nullptr || bound[1] == nullptr) return Missing("new");
  Meter* meter = interpreter->meter();
  SLUICE_TRY_ASSIGN(const Text text, meter->Show(subject));
  SLUICE_TRY_ASSIGN(const Text from, meter->Show(*bound[0]));
  SLUICE_TRY_ASSIGN(const Text to, meter->Show(*bound[1]));
  SLUICE_TRY_ASSIGN(const int64_t limit, bound.Integer(2, -1));
  const auto places = static_cast<int64_t>(TextFinder(from).Count(text));
  SLUICE_TRY(meter->Charge(places * static_cast<int64_t>(to.size())));
  return Value(ReplaceText(text, from, to, limit));
}

Result<Value> Indent(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"width", U"first", U"blank"}));
  if (subject.text() == nullptr) {
    return InvalidArgumentError("a str is needed, not a " + subject.TypeName());
  }
  Text indent;
  if (bound[0] != nullptr && bound[0]->text() != nullptr) {
    indent = *bound[0]->text();
  } else {
    SLUICE_TRY_ASSIGN(const int64_t width, bound.Integer(0, 4));
    SLUICE_TRY(interpreter->meter()->Charge(std::max<int64_t>(width, 0)));
    indent = Text(static_cast<size_t>(std::max<int64_t>(width, 0)), U' ');
  }
  const bool blank = bound.Truth(2, false);
  const Text text = *subject.text() + U"\n";
  const std::vector<TextView> lines = SplitLines(text, LineBreaks::kDrop);
  SLUICE_TRY(interpreter->meter()->Charge(static_cast<int64_t>(lines.size()) *
                                          static_cast<int64_t>(indent.size() + 1)));
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.push_back('\n');
    if (i == 0 ? bound.Truth(1, false) : blank || !lines[i].empty()) out += indent;
    out += lines[i];
  }
  return Value(std::move(out));
}

Result<Value> Center(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"width"}));
  SLUICE_TRY_ASSIGN(const int64_t width, bound.Integer(0, 80));
  SLUICE_TRY_ASSIGN(Text text, Soft(subject, interpreter));
  Arguments centered;
  centered.positional.emplace_back(width);
  return FindTextMethod(U"center")(Value(std::move(text)), centered, interpreter->meter());
}

Result<Value> Truncate(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound,
                    Bind(arguments, {U"length", U"killwords", U"end", U"leeway"}));
  SLUICE_TRY_ASSIGN(const int64_t length, bound.Integer(0, 255));
  SLUICE_TRY_ASSIGN(const Text end, bound.TextOr(2, U"..."));
  SLUICE_TRY_ASSIGN(const int64_t leeway, bound.Integer(3, 5));
  if (subject.text() == nullptr) {
    return InvalidArgumentError("a str is needed, not a " + subject.TypeName());
  }
  const Text& text = *subject.text();
  const auto end_size = static_cast<int64_t>(end.size());
  if (length < end_size || leeway < 0) return InvalidArgumentError("the length is too small");
  if (static_cast<int64_t>(text.size()) - length <= leeway) return subject;
  const int64_t kept = length - end_size;
  Text cut = text.substr(0, static_cast<size_t>(kept));
  if (!bound.Truth(1, false)) cut = cut.substr(0, std::min(cut.rfind(U' '), cut.size()));
  return Value(cut + end);
}

Result<Value> WordCount(const Value& subject, const Arguments& arguments,
                        Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const Text text, Soft(subject, interpreter));
  int64_t words = 0;
  bool within = false;
  for (const char32_t c : text) {
    const bool word = c == '_' || IsAlpha(c) || IsNumeric(c);
    words += word && !within ? 1 : 0;
    within = word;
  }
  return Value(words);
}

// A number that a text spells, as int() or float() of Python read it.
std::string PlainNumber(const Text& text) {
  std::string plain;
  for (const char32_t c : Strip(text, {}, Side::kBoth)) {
    plain.push_back(CodeOf(c) < 0x80 ? static_cast<char>(CodeOf(c)) : '?');
  }
  if (plain.starts_with('+') && !plain.starts_with("+-")) plain.erase(0, 1);
  // Underscores stand between digits.
  std::string digits;
  for (size_t i = 0; i < plain.size(); ++i) {
    const bool between = i > 0 && i + 1 < plain.size() && std::isdigit(plain[i - 1]) != 0 &&
                         std::isdigit(plain[i + 1]) != 0;
    if (plain[i] != '_' || !between) digits.push_back(plain[i]);
  }
  return digits;
}

// Whether a decimal number that no double holds is too near to 0, not too far from it.
bool IsTiny(std::string_view number) {
  const size_t mark = std::min(number.find_first_of("eE"), number.size());
  const std::string_view digits = number.substr(0, mark);
  const size_t point = std::min(digits.find('.'), digits.size());
  const size_t first = std::min(digits.find_first_of("123456789"), digits.size());
  int64_t exponent = 0;
  if (mark < number.size()) {
    std::string_view power = number.substr(mark + 1);
    const bool negative = power.starts_with('-');
    if (power.starts_with('+')) power.remove_prefix(1);
    const auto read = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (read.ec != std::errc() || std::abs(exponent) > (int64_t{1} << 40)) return negative;
  }
  return static_cast<int64_t>(point) - static_cast<int64_t>(first) + exponent < 0;
}

std::optional<double> ReadFloat(const Text& text) {
  std::string plain = PlainNumber(text);
  if (plain.empty()) return std::nullopt;
  double number = 0;
  const char* end = plain.data() + plain.size();
  const auto read = std::from_chars(plain.data(), end, number);
  if (read.ptr != end) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) {
    return std::copysign(IsTiny(plain) ? 0.0 : HUGE_VAL, plain.starts_with('-') ? -1.0 : 1.0);
  }
  if (read.ec != std::errc()) return std::nullopt;
  return number;
}

std::optional<int64_t> ReadWhole(const Text& text, int base) {
  std::string plain = PlainNumber(text);
  const bool negative = plain.starts_with('-');
  const size_t digits = negative ? 1 : 0;
  const std::string prefix = plain.substr(digits, 2);
  const bool named = (base == 16 && (prefix == "0x" || prefix == "0X")) ||
                     (base == 8 && (prefix == "0o" || prefix == "0O")) ||
                     (base == 2 && (prefix == "0b" || prefix == "0B"));
  if (named) plain.erase(digits, 2);
  int64_t number = 0;
  const char* end = plain.data() + plain.size();
  const auto read = std::from_chars(plain.data(), end, number, base);
  if (read.ec != std::errc() || read.ptr != end || plain.empty()) return std::nullopt;
  return number;
}

std::optional<int64_t> Truncated(double number) {
  if (!(std::abs(number) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(number);
}

Result<Value> Int(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"default", U"base"}));
  SLUICE_TRY_ASSIGN(const int64_t base, bound.Integer(1, 10));
  if (base < 2 || base > 36) return InvalidArgumentError("the base of a number is 2 to 36");
  if (subject.is_undefined()) return InvalidArgumentError(subject.undefined_reason());
  std::optional<int64_t> whole = subject.integer();
  if (!whole && subject.is_float()) whole = Truncated(*subject.number());
  if (const Text* text = subject.text(); text != nullptr) {
    whole = ReadWhole(*text, static_cast<int>(base));
    if (const auto number = ReadFloat(*text); !whole && number) whole = Truncated(*number);
  }
  if (whole) return Value(*whole);
  return bound[0] == nullptr ? Value(int64_t{0}) : *bound[0];
}

Result<Value> Float(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"default"}));
  if (subject.is_undefined()) return InvalidArgumentError(subject.undefined_reason());
  std::optional<double> number = subject.number();
  if (const Text* text = subject.text(); text != nullptr) number = ReadFloat(*text);
  if (number) return Value(*number);
  return bound[0] == nullptr ? Value(0.0) : *bound[0];
}

Result<Value> Absolute(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY(Bind(arguments, {}).status());
  if (subject.is_float()) return Value(std::abs(*subject.number()));
  if (const auto whole = subject.integer(); whole && *whole != INT64_MIN) {
    return Value(std::abs(*whole));
  }
  return InvalidArgumentError("a number is needed, not a " + subject.TypeName());
}

// `number` to the nearest multiple of 10 to the `zeros`; of two that are equally near, to the even
// one.
Result<Value> RoundWhole(int64_t number, int64_t zeros) {
  const bool negative = number < 0;
  const uint64_t size =
      negative ? ~static_cast<uint64_t>(number) + 1 : static_cast<uint64_t>(number);
  if (zeros > 19) return Value(int64_t{0});
  uint64_t unit = 1;
  for (int64_t i = 0; i < zeros; ++i) unit *= 10;
  const uint64_t rest = size % unit;
  const bool odd = size / unit % 2 == 1;
  const bool up = rest > unit - rest || (rest == unit - rest && odd);
  const uint64_t rounded = size - rest + (up ? unit : 0);
  if (rounded > INT64_MAX) return InvalidArgumentError("a number grows beyond 64 bits");
  const auto whole = static_cast<int64_t>(rounded);
  return Value(negative ? -whole : whole);
}

Result<Value> RoundToward(double (*toward)(double), double number, double scale) {
  const double rounded = toward(number * scale) / scale;
  if (!std::isfinite(rounded)) return InvalidArgumentError("a number is out of range");
  return Value(rounded);
}

Result<Value> Round(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"precision", U"method"}));
  SLUICE_TRY_ASSIGN(const int64_t precision, bound.Integer(0, 0));
  SLUICE_TRY_ASSIGN(const Text method, bound.TextOr(1, U"common"));
  if (!subject.number()) {
    return InvalidArgumentError("a number is needed, not a " + subject.TypeName());
  }
  const double number = *subject.number();
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == U"ceil") return RoundToward(&std::ceil, number, scale);
  if (method == U"floor") return RoundToward(&std::floor, number, scale);
  if (method != U"common") return InvalidArgumentError("the method is common, ceil or floor");
  if (!subject.is_float()) {
    if (precision >= 0) return Value(*subject.integer());
    return RoundWhole(*subject.integer(), precision < -20 ? 20 : -precision);
  }
  if (precision > 300 || !std::isfinite(number)) return subject;
  if (precision < -308) return Value(std::copysign(0.0, number));
  // To the even one of two tens that are equally near.
  if (precision < 0) return Value(std::nearbyint(number * scale) / scale);
  // The nearest decimal, as printing finds it, is what Python's round() gives.
  const std::string digits = fmt::format("{:.{}f}", number, precision);
  double rounded = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), rounded);
  return Value(rounded);
}

Result<Value> Format(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const Text form, Soft(subject, interpreter));
  if (arguments.named.empty()) {
    return FormatPercent(form, Value::TupleOf(arguments.positional), interpreter->meter());
  }
  if (!arguments.positional.empty()) {
    return InvalidArgumentError("values are given by place or by name, not both");
  }
  Dict named;
  for (const auto& [name, value] : arguments.named) SLUICE_TRY(named.Insert(name, value));
  return FormatPercent(form, Value(std::move(named)), interpreter->meter());
}

Result<Value> ToJson(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound,
                    Bind(arguments, {U"ensure_ascii", U"indent", U"separators", U"sort_keys"}));
  JsonStyle style{.ascii = bound.Truth(0, false), .sort_keys = bound.Truth(3, false)};
  if (bound[1] != nullptr && bound[1]->text() != nullptr) {
    style.indent = *bound[1]->text();
  } else if (bound[1] != nullptr && !bound[1]->is_none()) {
    SLUICE_TRY_ASSIGN(const int64_t width, bound.Integer(1, 0));
    if (width > 1000) return InvalidArgumentError("the indent is too wide");
    style.indent = Text(static_cast<size_t>(std::max<int64_t>(width, 0)), U' ');
  }
  if (style.indent) style.comma = U",";
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    SLUICE_TRY_ASSIGN(const std::vector<Value> separators, interpreter->meter()->Items(*bound[2]));
    if (separators.size() != 2 || separators[0].text() == nullptr ||
        separators[1].text() == nullptr) {
      return InvalidArgumentError("separators are two texts");
    }
    style.comma = *separators[0].text();
    style.colon = *separators[1].text();
  }
  return FormatJson(subject, style, interpreter->meter());
}

Result<Value> Attr(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"name"}));
  if (bound[0] == nullptr || bound[0]->text() == nullptr) return Missing("name");
  // An attribute only, never an item.
  if (subject.dict() != nullptr && subject.dict()->Find(*bound[0]) != nullptr) {
    const Value method = Value(Dict());
    return AttributeOf(method, *bound[0]->text(), interpreter->meter());
  }
  return AttributeOf(subject, *bound[0]->text(), interpreter->meter());
}

Result<Value> UrlEncode(const Value& subject, const Arguments& arguments,
                        Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const Text text, Soft(subject, interpreter));
  SLUICE_TRY(interpreter->meter()->Charge(static_cast<int64_t>(text.size()) * 12));
  Text out;
  for (const char32_t c : text) {
    for (const char byte : Utf8({&c, 1})) {
      const auto unit = static_cast<uint8_t>(byte);
      const bool plain = std::isalnum(unit) != 0 || TextView(U"_.-~/").find(unit) != TextView::npos;
      for (const char shown : plain ? std::string(1, byte) : fmt::format("%{:02X}", unit)) {
        out.push_back(static_cast<char32_t>(shown) | AuthorBit(c));
      }
    }
  }
  return Value(std::move(out));
}

Result<Value> FileSize(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"binary"}));
  const std::optional<double> bytes =
      subject.text() != nullptr ? ReadFloat(*subject.text()) : subject.number();
  if (!bytes) return InvalidArgumentError("a number is needed, not a " + subject.TypeName());
  const bool binary = bound.Truth(0, false);
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return Value(Text(U"1 Byte"));
  if (*bytes < base) return Value(TextFrom(fmt::format("{:.0f} Bytes", std::trunc(*bytes))));
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  size_t power = 0;
  while (power + 1 < kPrefixes.size() && *bytes >= unit * base) {
    unit *= base;
    ++power;
  }
  const char prefix = binary && power == 0 ? 'K' : kPrefixes[power];
  return Value(TextFrom(fmt::format("{:.1f} {}{}B", *bytes / unit, prefix, binary ? "i" : "")));
}

struct NamedTextFilter {
  TextView name;
  Filter filter;
};

constexpr NamedTextFilter kTextFilters[] = {
    {U"abs", &Absolute},
    {U"attr", &Attr},
    {U"capitalize", &Changed<&Capitalize>},
    {U"center", &Center},
    {U"d", &Default},
    {U"default", &Default},
    {U"e", &Escape},
    {U"escape", &Escape},
    {U"filesizeformat", &FileSize},
    {U"float", &Float},
    {U"forceescape", &Escape},
    {U"format", &Format},
    {U"indent", &Indent},
    {U"int", &Int},
    {U"lower", &Changed<&Lower>},
    {U"replace", &Replace},
    {U"round", &Round},
    {U"safe", &Safe},
    {U"string", &String},
    {U"title", &Changed<&TitleFilter>},
    {U"tojson", &ToJson},
    {U"trim", &Trim},
    {U"truncate", &Truncate},
    {U"upper", &Changed<&Upper>},
    {U"urlencode", &UrlEncode},
    {U"wordcount", &WordCount},
};

}  // namespace

Filter FindTextFilter(const Text& name) {
  for (const NamedTextFilter& candidate : kTextFilters) {
    if (candidate.name == name) return candidate.filter;
  }
  return nullptr;
}

}  // namespace sluice::jinja

// Jinja's lexer with the settings of Transformers: trim_blocks, lstrip_blocks, no line statements.
#include "template/lexer.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

// As Jinja: line breaks are "\n", and one at the very end is dropped.
Text NormalizedSource(std::string_view source) {
  const Text raw = TextFrom(source);
  Text text;
  text.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\r') {
      if (i + 1 < raw.size() && raw[i + 1] == '\n') ++i;
      text.push_back('\n');
    } else {
      text.push_back(raw[i]);
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

int DigitOf(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return 99;
}

bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsNameCharacter(char32_t c) { return c == '_' || IsClass(c, kLetter | kNumber | kMark); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizedSource(source)) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) SLUICE_TRY(Outside());
    Add(TokenType::kEnd, {});
    return std::move(tokens_);
  }

 private:
  Status Fail(const std::string& what) const {
    return CorruptError(fmt::format("line {}: {}", line_, what));
  }

  bool Looking(TextView text) const { return TextView(source_).substr(at_).starts_with(text); }

  void Add(TokenType type, Text text) {
    tokens_.push_back({.type = type, .line = line_, .text = std::move(text)});
  }

  void Advance(size_t count) {
    for (size_t i = 0; i < count; ++i) line_ += source_[at_ + i] == '\n' ? 1 : 0;
    at_ += count;
  }

  void SkipSpace() {
    while (at_ < source_.size() && IsSpace(source_[at_])) Advance(1);
  }

  // Text up to the next tag, and the tag's beginning.
  Status Outside() {
    const size_t begin = at_;
    size_t end = begin;
    while (end < source_.size() && !IsTagStart(end)) ++end;
    if (end == source_.size()) {
      AddText(begin, end);
      Advance(end - begin);
      return {};
    }
    const char32_t kind = source_[end + 1];
    size_t inside = end + 2;
    const char32_t sign = TakeSign(&inside);
    AddText(begin, Trimmed(begin, end, sign, kind != '{'));
    Advance(inside - begin);
    if (kind == '#') return Comment();
    if (kind == '{') return Inside(TokenType::kPrintBegin, TokenType::kPrintEnd);
    if (AtRaw()) return Raw();
    return Inside(TokenType::kTagBegin, TokenType::kTagEnd);
  }

  bool IsTagStart(size_t place) const {
    if (source_[place] != '{' || place + 1 >= source_.size()) return false;
    const char32_t next = source_[place + 1];
    return next == '{' || next == '%' || next == '#';
  }

  // The end of the text before a tag, after its whitespace control.
  size_t Trimmed(size_t begin, size_t end, char32_t sign, bool may_strip_line) const {
    size_t trimmed = end;
    while (trimmed > begin && IsSpace(source_[trimmed - 1]) &&
           (sign == '-' || source_[trimmed - 1] != '\n')) {
      --trimmed;
    }
    if (sign == '-') return trimmed;
    const bool line_start = trimmed == 0 || source_[trimmed - 1] == '\n';
    return sign == 0 && may_strip_line && line_start ? trimmed : end;
  }

  void AddText(size_t begin, size_t end) {
    if (end > begin) Add(TokenType::kText, source_.substr(begin, end - begin));
  }

  Status Comment() {
    const size_t close = source_.find(U"#}", at_);
    if (close == Text::npos) return Fail("a comment {# is not closed");
    const char32_t sign = close > at_ ? source_[close - 1] : 0;
    Advance(close + 2 - at_);
    AfterTag(sign);
    return {};
  }

  // What a tag's end swallows of the text behind it.
  void AfterTag(char32_t sign) {
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      Advance(1);
    }
  }

  // Just behind "{%" and a sign: is it "raw %}"?
  bool AtRaw() const {
    const size_t name = PastSpace(at_);
    if (!TextView(source_).substr(name).starts_with(U"raw")) return false;
    const TextView rest = TextView(source_).substr(PastSpace(name + 3));
    return rest.starts_with(U"%}") || rest.starts_with(U"-%}");
  }

  struct RawEnd {
    char32_t before = 0;  // whitespace control in front of "endraw"
    char32_t after = 0;
    size_t end = 0;  // of the tag
  };

  // Takes '-' or '+' at `*place`.
  char32_t TakeSign(size_t* place) const {
    const char32_t sign = *place < source_.size() ? source_[*place] : 0;
    if (sign != '-' && sign != '+') return 0;
    ++*place;
    return sign;
  }
  size_t PastSpace(size_t place) const {
    while (place < source_.size() && IsSpace(source_[place])) ++place;
    return place;
  }

  // Whether the "{%" at `tag` begins {% endraw %}.
  std::optional<RawEnd> RawEndAt(size_t tag) const {
    RawEnd raw;
    size_t i = tag + 2;
    raw.before = TakeSign(&i);
    i = PastSpace(i);
    if (!TextView(source_).substr(i).starts_with(U"endraw")) return std::nullopt;
    i = PastSpace(i + 6);
    raw.after = TakeSign(&i);
    if (!TextView(source_).substr(i).starts_with(U"%}")) return std::nullopt;
    raw.end = i + 2;
    return raw;
  }

  Status Raw() {
    const size_t close = source_.find(U"%}", at_);
    const bool strip = source_[close - 1] == '-';
    const int opened = line_;
    Advance(close + 2 - at_);
    if (strip) SkipSpace();
    for (size_t tag = source_.find(U"{%", at_); tag != Text::npos;
         tag = source_.find(U"{%", tag + 2)) {
      const std::optional<RawEnd> raw = RawEndAt(tag);
      if (!raw) continue;
      AddText(at_, Trimmed(at_, tag, raw->before, true));
      Advance(raw->end - at_);
      AfterTag(raw->after);
      return {};
    }
    line_ = opened;
    return Fail("a {% raw %} is not closed");
  }

  // The tokens of a tag, up to its end.
  Status Inside(TokenType begin, TokenType end) {
    Add(begin, {});
    const TextView close = end == TokenType::kPrintEnd ? U"}}" : U"%}";
    Text open;  // brackets
    while (true) {
      SkipSpace();
      if (at_ >= source_.size()) return Fail("a tag is not closed");
      const char32_t sign = source_[at_];
      const bool signed_end = sign == '-' || (sign == '+' && end == TokenType::kTagEnd);
      if (open.empty() && (Looking(close) || (signed_end && IsCloseAt(at_ + 1, close)))) {
        Add(end, {});
        Advance(Looking(close) ? 2 : 3);
        if (sign == '-' || end == TokenType::kTagEnd) AfterTag(sign);
        return {};
      }
      SLUICE_TRY(Word(&open));
    }
  }

  bool IsCloseAt(size_t place, TextView close) const {
    return TextView(source_).substr(place).starts_with(close);
  }

  Status Word(Text* open) {
    const char32_t c = source_[at_];
    if (IsDigit(c)) return Number();
    if (IsNameCharacter(c)) {
      size_t end = at_;
      while (end < source_.size() && IsNameCharacter(source_[end])) ++end;
      if (end - at_ > kMaxNameCharacters) return Fail("a name is too long");
      Add(TokenType::kName, source_.substr(at_, end - at_));
      Advance(end - at_);
      return {};
    }
    if (c == '\'' || c == '"') return String();
    return OperatorAt(open);
  }

  Status OperatorAt(Text* open) {
    static constexpr std::array<TextView, 6> kLong{U"//", U"**", U"==", U"!=", U">=", U"<="};
    for (const TextView op : kLong) {
      if (!Looking(op)) continue;
      Add(TokenType::kOperator, Text(op));
      Advance(op.size());
      return {};
    }
    const char32_t c = source_[at_];
    if (TextView(U"+-/*%~[](){}><=.:|,;").find(c) == TextView::npos) {
      return Fail("unexpected character " + QuoteForMessage(Utf8({&c, 1})));
    }
    if (c == '(') open->push_back(')');
    if (c == '[') open->push_back(']');
    if (c == '{') open->push_back('}');
    if (c == ')' || c == ']' || c == '}') {
      if (open->empty() || open->back() != c) {
        return Fail("unexpected " + QuoteForMessage(Utf8({&c, 1})));
      }
      open->pop_back();
    }
    Add(TokenType::kOperator, Text(1, c));
    Advance(1);
    return {};
  }

  // Digits with single underscores between them, from `place`; its end.
  size_t Digits(size_t place, int base) const {
    size_t end = place;
    while (end < source_.size()) {
      const bool underscore = source_[end] == '_' && end > place;
      const size_t digit = underscore ? end + 1 : end;
      if (digit >= source_.size() || DigitOf(source_[digit]) >= base) break;
      end = digit + 1;
    }
    return end;
  }

  std::string Plain(size_t begin, size_t end) const {
    std::string digits;
    for (size_t i = begin; i < end; ++i) {
      if (source_[i] != '_') digits.push_back(static_cast<char>(source_[i]));
    }
    return digits;
  }

  std::optional<size_t> FloatEnd() const {
    if (at_ > 0 && source_[at_ - 1] == '.') return std::nullopt;
    const size_t whole = Digits(at_, 10);
    size_t end = whole;
    if (end < source_.size() && source_[end] == '.') {
      const size_t fraction = Digits(end + 1, 10);
      if (fraction > end + 1) end = fraction;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) {
        ++exponent;
      }
      const size_t digits = Digits(exponent, 10);
      if (digits > exponent) end = digits;
    }
    if (end == whole) return std::nullopt;
    return end;
  }

  Status Number() {
    Token token{.type = TokenType::kInteger, .line = line_};
    size_t end = 0;
    bool read = false;
    if (const std::optional<size_t> float_end = FloatEnd(); float_end) {
      end = *float_end;
      token.type = TokenType::kFloat;
      read = Read(Plain(at_, end), &token.number, std::chars_format::general);
    } else {
      const int base = BaseAt();
      const size_t begin = base == 10 ? at_ : at_ + 2;
      // A decimal number that begins with 0 is nothing but zeros.
      end = Digits(begin, base == 10 && source_[at_] == '0' ? 1 : base);
      read = Read(Plain(begin, end), &token.integer, base);
    }
    if (!read) return Fail("this number cannot be read");
    Advance(end - at_);
    tokens_.push_back(std::move(token));
    return {};
  }

  template <typename T, typename How>
  static bool Read(const std::string& digits, T* number, How how) {
    return std::from_chars(digits.data(), digits.data() + digits.size(), *number, how).ec ==
           std::errc();
  }

  int BaseAt() const {
    if (source_[at_] != '0' || at_ + 1 >= source_.size()) return 10;
    const char32_t letter = source_[at_ + 1] | 0x20;
    return letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
  }

  Status String() {
    const char32_t quote = source_[at_];
    const int line = line_;
    Text text;
    size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] != '\\') {
        text.push_back(source_[i++]);
        continue;
      }
      SLUICE_TRY(Escape(&i, &text));
    }
    if (i >= source_.size()) return Fail("a string is not closed");
    Advance(i + 1 - at_);
    tokens_.push_back({.type = TokenType::kString, .line = line, .text = std::move(text)});
    return {};
  }

  // Python's escapes; what is none keeps its backslash.
  Status Escape(size_t* place, Text* text) const {
    static constexpr TextView kNames = U"abfnrtv\\'\"";
    static constexpr TextView kMeanings = U"\a\b\f\n\r\t\v\\'\"";
    const size_t i = *place + 1;
    const char32_t c = i < source_.size() ? source_[i] : 0;
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    *place = i + 1;
    if (const size_t known = kNames.find(c); known != TextView::npos) {
      text->push_back(kMeanings[known]);
    } else if (digits > 0) {
      return EscapedCode(place, {.digits = digits, .base = 16, .exact = true}, text);
    } else if (DigitOf(c) < 8) {
      *place = i;
      return EscapedCode(place, {.digits = 3, .base = 8, .exact = false}, text);
    } else if (c == 'N') {
      return Fail("\\N{...} in a string is not supported");
    } else if (c != '\n') {  // a line that goes on is nothing
      text->push_back('\\');
      *place = i;
    }
    return {};
  }

  struct CodeForm {
    size_t digits = 0;
    int base = 16;
    bool exact = false;  // no fewer digits
  };
  Status EscapedCode(size_t* place, const CodeForm& form, Text* text) const {
    uint32_t code = 0;
    size_t count = 0;
    for (; count < form.digits && *place < source_.size(); ++count, ++*place) {
      const int digit = DigitOf(source_[*place]);
      if (digit >= form.base) break;
      code = code * static_cast<uint32_t>(form.base) + static_cast<uint32_t>(digit);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if ((form.exact && count < form.digits) || code > 0x10FFFF || surrogate) {
      return Fail("an escape in a string names no character");
    }
    text->push_back(code);
    return {};
  }

  const Text source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> LexTemplate(std::string_view source) { return Lexer(source).Run(); }

}  // namespace sluice::jinja

// One pass over the bytes. ';' counts as a blank, as in MoE-PolicyLang.
#include "policy/lexer.h"

#include <fmt/format.h>

#include <cctype>

namespace sluice {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool IsNamePart(char c) { return IsNameStart(c) || IsDigit(c); }

class Lexer {
 public:
  Lexer(std::string_view source, Diagnostics* diagnostics)
      : source_(source), diagnostics_(diagnostics) {}

  Words Run() {
    if (source_.starts_with("\xEF\xBB\xBF")) Advance(3);  // a byte order mark says nothing
    while (SkipBlanks()) {
      if (diagnostics_->full()) break;
      Next();
    }
    Push(LexemeKind::kEnd, 0);
    return std::move(words_);
  }

 private:
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  Place Here(size_t length) const {
    return {.offset = static_cast<uint32_t>(at_),
            .length = static_cast<uint32_t>(length),
            .line = line_,
            .column = static_cast<int32_t>(at_ - line_begin_) + 1};
  }
  void Advance(size_t bytes) {
    for (size_t i = 0; i < bytes; ++i, ++at_) {
      if (source_[at_] != '\n') continue;
      ++line_;
      line_begin_ = at_ + 1;
      line_has_token_ = false;
    }
  }
  void Push(LexemeKind kind, size_t length) {
    words_.tokens.push_back({kind, source_.substr(at_, length), Here(length)});
    line_has_token_ = true;
    Advance(length);
  }

  // False at the end.
  bool SkipBlanks() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '\f' || c == '\v') {
        Advance(1);
      } else if (c == '#') {
        size_t end = source_.find('\n', at_);
        if (end == std::string_view::npos) end = source_.size();
        std::string_view text = source_.substr(at_, end - at_);
        while (text.ends_with('\r') || text.ends_with(' ') || text.ends_with('\t')) {
          text.remove_suffix(1);
        }
        words_.comments.push_back({text, Here(text.size()), !line_has_token_});
        Advance(end - at_);
      } else {
        return true;
      }
    }
    return false;
  }

  void Next() {
    const char c = Peek();
    if (IsNameStart(c)) {
      size_t length = 1;
      while (IsNamePart(Peek(length))) ++length;
      return Push(LexemeKind::kName, length);
    }
    const bool number_follows = IsDigit(Peek(1)) || (Peek(1) == '.' && IsDigit(Peek(2)));
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1))) || (c == '-' && number_follows)) {
      return Push(LexemeKind::kNumber, NumberLength());
    }
    if (c == '"') return String();
    ReadSymbol(c);
  }

  // 12, 1.5, .5, 1., 2e-3, but of "12..47" only 12.
  size_t NumberLength() const {
    size_t length = Peek() == '-' ? 1 : 0;
    while (IsDigit(Peek(length))) ++length;
    if (Peek(length) == '.' && Peek(length + 1) != '.') {
      ++length;
      while (IsDigit(Peek(length))) ++length;
    }
    if (Peek(length) == 'e' || Peek(length) == 'E') {
      const size_t sign = Peek(length + 1) == '+' || Peek(length + 1) == '-' ? 1 : 0;
      if (IsDigit(Peek(length + 1 + sign))) {
        length += 1 + sign;
        while (IsDigit(Peek(length))) ++length;
      }
    }
    return length;
  }

  void String() {
    size_t length = 1;
    while (Peek(length) != '"') {
      if (at_ + length >= source_.size() || Peek(length) == '\n') {
        diagnostics_->Add("E101", Here(length), "a string that does not end",
                          "close it with \" on the same line");
        return Push(LexemeKind::kString, length);
      }
      const bool escape =
          Peek(length) == '\\' && (Peek(length + 1) == '"' || Peek(length + 1) == '\\');
      length += escape ? 2 : 1;
    }
    Push(LexemeKind::kString, length + 1);
  }

  void ReadSymbol(char c) {
    const char next = Peek(1);
    switch (c) {
      case '{':
        return Push(LexemeKind::kOpenBrace, 1);
      case '}':
        return Push(LexemeKind::kCloseBrace, 1);
      case '[':
        return Push(LexemeKind::kOpenBracket, 1);
      case ']':
        return Push(LexemeKind::kCloseBracket, 1);
      case '(':
        return Push(LexemeKind::kOpenParenthesis, 1);
      case ')':
        return Push(LexemeKind::kCloseParenthesis, 1);
      case ':':
        return Push(LexemeKind::kColon, 1);
      case ',':
        return Push(LexemeKind::kComma, 1);
      case '|':
        return Push(LexemeKind::kPipe, 1);
      case '+':
        return Push(LexemeKind::kPlus, 1);
      case '*':
        return Push(LexemeKind::kStar, 1);
      case '%':
        return Push(LexemeKind::kPercent, 1);
      case '.':
        return next == '.' ? Push(LexemeKind::kDotDot, 2) : Push(LexemeKind::kDot, 1);
      case '<':
      case '>':
        return Push(LexemeKind::kCompare, next == '=' ? 2 : 1);
      case '!':
        if (next == '=') return Push(LexemeKind::kCompare, 2);
        return Unknown();
      case '=':
        if (next != '=') return Push(LexemeKind::kEquals, 1);
        diagnostics_->Add("E101", Here(2), "there is no '=='",
                          "measured numbers are seldom equal: compare with <, >, <=, >= or !=");
        return Push(LexemeKind::kCompare, 2);
      default:
        return Unknown();
    }
  }

  void Unknown() {
    size_t length = 1;  // a whole character, and what follows of the same kind
    while ((static_cast<unsigned char>(Peek(length)) & 0x80U) != 0) ++length;
    const auto first = static_cast<unsigned char>(Peek());
    const bool printable = first >= 0x20 && first != 0x7F && length <= 16;
    diagnostics_->Add("E101", Here(length),
                      printable && first < 0x80 ? fmt::format("unexpected character '{}'", Peek())
                                                : fmt::format("unexpected byte 0x{:02x}", first),
                      "outside comments and strings a policy is plain ASCII");
    Advance(length);
  }

  std::string_view source_;
  Diagnostics* diagnostics_;
  Words words_;
  size_t at_ = 0;
  size_t line_begin_ = 0;
  int32_t line_ = 1;
  bool line_has_token_ = false;
};

}  // namespace

Words ReadWords(std::string_view source, Diagnostics* diagnostics) {
  return Lexer(source, diagnostics).Run();
}

std::string Unquote(std::string_view text) {
  std::string plain;
  if (text.starts_with('"')) text.remove_prefix(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') break;
    const bool escape =
        text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
    if (escape) ++i;
    plain += text[i];
  }
  return plain;
}

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace sluice

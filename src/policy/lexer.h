// Text to words. Nothing is reserved here: the parser knows which words mean something where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/diagnostics.h"

namespace sluice {

enum class LexemeKind {
  kEnd,
  kName,
  kNumber,
  kString,
  kOpenBrace,
  kCloseBrace,
  kOpenBracket,
  kCloseBracket,
  kOpenParenthesis,
  kCloseParenthesis,
  kEquals,
  kColon,
  kComma,
  kDot,
  kDotDot,
  kPipe,
  kPlus,
  kStar,
  kPercent,
  kCompare,
};

struct Lexeme {
  LexemeKind kind = LexemeKind::kEnd;
  std::string_view text;  // as written, of the source; a string with its quotes
  Place place;
};

// "# ..." up to the end of its line.
struct Comment {
  std::string_view text;
  Place place;
  bool own_line = false;  // nothing but blanks before it
};

struct Words {
  std::vector<Lexeme> tokens;  // the last one is kEnd
  std::vector<Comment> comments;
};

// REQUIRES: source outlives the words. Unreadable characters are reported and left out.
Words ReadWords(std::string_view source, Diagnostics* diagnostics);

// A string token without its quotes and escapes.
std::string Unquote(std::string_view text);
std::string Quote(std::string_view text);

}  // namespace sluice

// The words of a template.
#pragma once

#include <string_view>
#include <vector>

#include "sluice/status.h"
#include "template/text.h"

namespace sluice::jinja {

enum class TokenType {
  kText,        // what is outside of tags, whitespace control applied
  kPrintBegin,  // {{
  kPrintEnd,
  kTagBegin,  // {%
  kTagEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  int line = 0;
  Text text;  // a string without its quotes, escapes resolved
  double number = 0;
  int64_t integer = 0;
};

// Of a variable, filter or attribute.
inline constexpr size_t kMaxNameCharacters = 4096;

// Whitespace as trim_blocks and lstrip_blocks have it. The last token is kEnd.
Result<std::vector<Token>> LexTemplate(std::string_view source);

}  // namespace sluice::jinja

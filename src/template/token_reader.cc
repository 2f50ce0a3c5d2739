#include "template/token_reader.h"

#include <fmt/format.h>

#include "tokenizer/unicode.h"

namespace sluice::jinja {

TokenReader::TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  for (const char32_t* name : {U"loop", U"varargs", U"kwargs", U"caller"}) IdOf(name);
}

Token TokenReader::Take() {
  Token token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenReader::SkipOperator(TextView what) {
  if (!AtOperator(what)) return false;
  Take();
  return true;
}

bool TokenReader::SkipName(TextView what) {
  if (!AtName(what)) return false;
  Take();
  return true;
}

Status TokenReader::ExpectOperator(TextView what) {
  if (SkipOperator(what)) return {};
  return Fail(fmt::format("expected \"{}\", not {}", Utf8(what), Describe(current())));
}

Status TokenReader::ExpectName(TextView what) {
  if (SkipName(what)) return {};
  return Fail(fmt::format("expected \"{}\", not {}", Utf8(what), Describe(current())));
}

Status TokenReader::ExpectType(TokenType type) {
  if (!AtType(type)) return Fail("unexpected " + Describe(current()));
  Take();
  return {};
}

Result<Token> TokenReader::TakeName() {
  if (!AtType(TokenType::kName)) return Fail("expected a name, not " + Describe(current()));
  return Take();
}

std::string TokenReader::Describe(const Token& token) {
  switch (token.type) {
    case TokenType::kEnd:
      return "the end of the template";
    case TokenType::kPrintEnd:
    case TokenType::kTagEnd:
      return "the end of the tag";
    case TokenType::kInteger:
    case TokenType::kFloat:
      return "a number";
    case TokenType::kText:
    case TokenType::kPrintBegin:
    case TokenType::kTagBegin:
      return "text";
    default:
      return QuoteForMessage(Utf8(token.text));
  }
}

Status TokenReader::FailAt(int line, const std::string& what) {
  return CorruptError(fmt::format("line {}: {}", line, what));
}

NameId TokenReader::IdOf(const Text& name) {
  const auto [place, added] = ids_.try_emplace(name, static_cast<NameId>(names_.size()));
  if (added) names_.push_back(Utf8(name));
  return place->second;
}

}  // namespace sluice::jinja

// TokenReader: the tokens of a template, one after the other, as both parsers take them.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "template/lexer.h"
#include "template/syntax.h"

namespace sluice::jinja {

class TokenReader {
 public:
  explicit TokenReader(std::vector<Token> tokens);

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  Token Take();

  bool AtOperator(TextView what) const { return Is(current(), TokenType::kOperator, what); }
  bool AtName(TextView what) const { return Is(current(), TokenType::kName, what); }
  bool AtType(TokenType type) const { return current().type == type; }
  bool SkipOperator(TextView what);
  bool SkipName(TextView what);
  Status ExpectOperator(TextView what);
  Status ExpectName(TextView what);
  Status ExpectType(TokenType type);
  Result<Token> TakeName();

  static bool Is(const Token& token, TokenType type, TextView text) {
    return token.type == type && token.text == text;
  }
  static std::string Describe(const Token& token);
  Status Fail(const std::string& what) const { return FailAt(line(), what); }
  static Status FailAt(int line, const std::string& what);

  NameId IdOf(const Text& name);
  std::vector<std::string> TakeNames() { return std::move(names_); }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<Text, NameId, TextHash> ids_;
};

}  // namespace sluice::jinja

// Expressions of a template: Jinja's precedences, from its own grammar.
#pragma once

#include <span>

#include "template/syntax.h"
#include "template/token_reader.h"

namespace sluice::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader* tokens) : tokens_(*tokens) {}

  enum class Choices { kAllowed, kLeftForCaller };  // a if b else c
  enum class Fields { kAllowed, kRefused };         // ns.x as a target

  Result<ExpressionPtr> Parse(Choices choices = Choices::kAllowed);
  // The same, or a tuple without brackets.
  Result<ExpressionPtr> ParseTuple(Choices choices);
  // What {% set %} and {% for %} assign to: names, tuples of these, fields of namespaces.
  Result<ExpressionPtr> ParseTarget(Fields fields);
  // Filters on a block's text: | name(...) | name ...; null where there are none.
  enum class Bar { kBeforeAll, kNotBeforeFirst };
  Result<ExpressionPtr> ParseBlockFilters(Bar first);
  Result<CallArguments> ParseArguments();

  // Which of varargs, kwargs and caller have been mentioned since this was set.
  MacroExtras mentioned;

 private:
  Result<ExpressionPtr> ParseOr();
  Result<ExpressionPtr> ParseAnd();
  Result<ExpressionPtr> ParseNot();
  Result<ExpressionPtr> ParseCompare();
  Result<ExpressionPtr> ParseSum();
  Result<ExpressionPtr> ParseConcat();
  Result<ExpressionPtr> ParseProduct();
  Result<ExpressionPtr> ParsePower();
  enum class Filters { kTaken, kLeft };
  Result<ExpressionPtr> ParseUnary(Filters filters);
  Result<ExpressionPtr> ParsePrimary();
  Result<ExpressionPtr> ParseName();
  Result<ExpressionPtr> ParseBrackets();
  Result<ExpressionPtr> ParseList();
  Result<ExpressionPtr> ParseDict();
  Result<ExpressionPtr> ParsePostfix(ExpressionPtr node);
  Result<ExpressionPtr> ParseSubscript(ExpressionPtr node);
  Result<ExpressionPtr> ParseSubscribed();
  Result<ExpressionPtr> ParseCall(ExpressionPtr callee);
  Result<ExpressionPtr> ParseFilters(ExpressionPtr node);
  Result<ExpressionPtr> ParseFilter(ExpressionPtr node);
  Result<ExpressionPtr> ParseTest(ExpressionPtr node);
  Result<ExpressionPtr> ParseSimpleTarget(Fields fields);
  Result<Text> ParseDottedName();

  using Parser = Result<ExpressionPtr> (ExpressionParser::*)();
  struct NamedOperator {
    const char32_t* text;
    Operator meaning;
  };
  Result<ExpressionPtr> ParseLeft(std::span<const NamedOperator> operators, Parser operand);
  Result<ExpressionPtr> ParseWords(const char32_t* word, ExpressionKind kind, Parser operand);

  ExpressionPtr Node(ExpressionKind kind, int line) const;
  // `node` with the depth that its children give it; fails where the tree is too deep.
  Result<ExpressionPtr> Finish(ExpressionPtr node) const;

  TokenReader& tokens_;
  int nesting_ = 0;
};

}  // namespace sluice::jinja

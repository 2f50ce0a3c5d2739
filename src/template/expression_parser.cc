#include "template/expression_parser.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr char kTooDeep[] = "this expression nests too deeply";

}  // namespace

ExpressionPtr ExpressionParser::Node(ExpressionKind kind, int line) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  return node;
}

Result<ExpressionPtr> ExpressionParser::Finish(ExpressionPtr node) const {
  const auto count = [&](const ExpressionPtr& child) {
    if (child != nullptr) node->depth = std::max(node->depth, child->depth + 1);
  };
  for (const ExpressionPtr& child : node->children) count(child);
  for (const ExpressionPtr& argument : node->arguments.positional) count(argument);
  for (const auto& [name, argument] : node->arguments.named) count(argument);
  count(node->arguments.more_positional);
  count(node->arguments.more_named);
  if (node->depth > kMaxTreeDepth) return TokenReader::FailAt(node->line, kTooDeep);
  return node;
}

Result<ExpressionPtr> ExpressionParser::Parse(Choices choices) {
  if (nesting_ >= kMaxTreeDepth) return tokens_.Fail(kTooDeep);
  ++nesting_;
  Result<ExpressionPtr> node = ParseOr();
  while (node.ok() && choices == Choices::kAllowed && tokens_.SkipName(U"if")) {
    ExpressionPtr choice = Node(ExpressionKind::kChoice, tokens_.line());
    SLUICE_TRY_ASSIGN(ExpressionPtr condition, ParseOr());
    ExpressionPtr otherwise;
    if (tokens_.SkipName(U"else")) {
      SLUICE_TRY_ASSIGN(otherwise, Parse());
    }
    choice->children.push_back(std::move(condition));
    choice->children.push_back(*std::move(node));
    choice->children.push_back(std::move(otherwise));
    node = Finish(std::move(choice));
  }
  --nesting_;
  return node;
}

Result<ExpressionPtr> ExpressionParser::ParseTuple(Choices choices) {
  ExpressionPtr tuple = Node(ExpressionKind::kTuple, tokens_.line());
  bool comma = false;
  while (true) {
    const bool end = tokens_.AtType(TokenType::kPrintEnd) || tokens_.AtType(TokenType::kTagEnd) ||
                     tokens_.AtOperator(U")");
    if (end) break;
    SLUICE_TRY_ASSIGN(ExpressionPtr item, Parse(choices));
    tuple->children.push_back(std::move(item));
    if (!tokens_.SkipOperator(U",")) break;
    comma = true;
  }
  if (comma) return Finish(std::move(tuple));
  if (tuple->children.empty()) {
    return tokens_.Fail("expected an expression, not " + TokenReader::Describe(tokens_.current()));
  }
  return std::move(tuple->children.front());
}

Result<ExpressionPtr> ExpressionParser::ParseSimpleTarget(Fields fields) {
  if (tokens_.SkipOperator(U"(")) {
    SLUICE_TRY_ASSIGN(ExpressionPtr inner, ParseTarget(fields));
    SLUICE_TRY(tokens_.ExpectOperator(U")"));
    return inner;
  }
  const int line = tokens_.line();
  SLUICE_TRY_ASSIGN(const Token name, tokens_.TakeName());
  for (const TextView constant : {U"true", U"false", U"none", U"True", U"False", U"None"}) {
    if (name.text == constant) return TokenReader::FailAt(line, "a constant cannot be assigned to");
  }
  ExpressionPtr target = Node(ExpressionKind::kName, line);
  target->id = tokens_.IdOf(name.text);
  if (fields == Fields::kAllowed && tokens_.SkipOperator(U".")) {
    SLUICE_TRY_ASSIGN(const Token field, tokens_.TakeName());
    target->kind = ExpressionKind::kNamespaceField;
    target->name = field.text;
  }
  return target;
}

Result<ExpressionPtr> ExpressionParser::ParseTarget(Fields fields) {
  if (nesting_ >= kMaxTreeDepth) return tokens_.Fail(kTooDeep);
  ++nesting_;
  ExpressionPtr tuple = Node(ExpressionKind::kTuple, tokens_.line());
  bool comma = false;
  do {
    if (!tuple->children.empty()) comma = true;
    const bool end = tokens_.AtType(TokenType::kTagEnd) || tokens_.AtOperator(U")");
    if (comma && end) break;
    SLUICE_TRY_ASSIGN(ExpressionPtr item, ParseSimpleTarget(fields));
    tuple->children.push_back(std::move(item));
  } while (tokens_.SkipOperator(U","));
  --nesting_;
  if (comma) return Finish(std::move(tuple));
  return std::move(tuple->children.front());
}

Result<ExpressionPtr> ExpressionParser::ParseWords(const char32_t* word, ExpressionKind kind,
                                                   Parser operand) {
  SLUICE_TRY_ASSIGN(ExpressionPtr left, (this->*operand)());
  while (tokens_.AtName(word)) {
    ExpressionPtr node = Node(kind, tokens_.line());
    tokens_.Take();
    SLUICE_TRY_ASSIGN(ExpressionPtr right, (this->*operand)());
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    SLUICE_TRY_ASSIGN(left, Finish(std::move(node)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseOr() {
  return ParseWords(U"or", ExpressionKind::kOr, &ExpressionParser::ParseAnd);
}

Result<ExpressionPtr> ExpressionParser::ParseAnd() {
  return ParseWords(U"and", ExpressionKind::kAnd, &ExpressionParser::ParseNot);
}

Result<ExpressionPtr> ExpressionParser::ParseNot() {
  std::vector<int> lines;
  while (tokens_.AtName(U"not")) lines.push_back(tokens_.Take().line);
  SLUICE_TRY_ASSIGN(ExpressionPtr node, ParseCompare());
  for (; !lines.empty(); lines.pop_back()) {
    ExpressionPtr negated = Node(ExpressionKind::kNot, lines.back());
    negated->children.push_back(std::move(node));
    SLUICE_TRY_ASSIGN(node, Finish(std::move(negated)));
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::ParseCompare() {
  static constexpr std::array<NamedOperator, 6> kOperators{{{U"==", Operator::kEqual},
                                                            {U"!=", Operator::kNotEqual},
                                                            {U"<", Operator::kLess},
                                                            {U"<=", Operator::kLessEqual},
                                                            {U">", Operator::kGreater},
                                                            {U">=", Operator::kGreaterEqual}}};
  ExpressionPtr node = Node(ExpressionKind::kCompare, tokens_.line());
  SLUICE_TRY_ASSIGN(ExpressionPtr first, ParseSum());
  node->children.push_back(std::move(first));
  while (true) {
    const auto* found = std::find_if(
        kOperators.begin(), kOperators.end(),
        [this](const NamedOperator& candidate) { return tokens_.AtOperator(candidate.text); });
    if (found != kOperators.end()) {
      node->operators.push_back(found->meaning);
    } else if (tokens_.AtName(U"in")) {
      node->operators.push_back(Operator::kIn);
    } else if (tokens_.AtName(U"not") && TokenReader::Is(tokens_.next(), TokenType::kName, U"in")) {
      tokens_.Take();
      node->operators.push_back(Operator::kNotIn);
    } else {
      break;
    }
    tokens_.Take();
    SLUICE_TRY_ASSIGN(ExpressionPtr operand, ParseSum());
    node->children.push_back(std::move(operand));
  }
  if (node->operators.empty()) return std::move(node->children.front());
  return Finish(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::ParseLeft(std::span<const NamedOperator> operators,
                                                  Parser operand) {
  SLUICE_TRY_ASSIGN(ExpressionPtr left, (this->*operand)());
  while (true) {
    const auto found = std::find_if(
        operators.begin(), operators.end(),
        [this](const NamedOperator& candidate) { return tokens_.AtOperator(candidate.text); });
    if (found == operators.end()) return left;
    ExpressionPtr node = Node(ExpressionKind::kArithmetic, tokens_.line());
    tokens_.Take();
    node->operators.push_back(found->meaning);
    SLUICE_TRY_ASSIGN(ExpressionPtr right, (this->*operand)());
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    SLUICE_TRY_ASSIGN(left, Finish(std::move(node)));
  }
}

Result<ExpressionPtr> ExpressionParser::ParseSum() {
  static constexpr std::array<NamedOperator, 2> kSums{
      {{U"+", Operator::kAdd}, {U"-", Operator::kSubtract}}};
  return ParseLeft(kSums, &ExpressionParser::ParseConcat);
}

Result<ExpressionPtr> ExpressionParser::ParseConcat() {
  ExpressionPtr node = Node(ExpressionKind::kConcat, tokens_.line());
  do {
    SLUICE_TRY_ASSIGN(ExpressionPtr part, ParseProduct());
    node->children.push_back(std::move(part));
  } while (tokens_.SkipOperator(U"~"));
  if (node->children.size() == 1) return std::move(node->children.front());
  return Finish(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::ParseProduct() {
  static constexpr std::array<NamedOperator, 4> kProducts{{{U"*", Operator::kMultiply},
                                                           {U"/", Operator::kDivide},
                                                           {U"//", Operator::kFloorDivide},
                                                           {U"%", Operator::kModulo}}};
  return ParseLeft(kProducts, &ExpressionParser::ParsePower);
}

// From the left, which is Jinja's and not Python's.
Result<ExpressionPtr> ExpressionParser::ParsePower() {
  static constexpr std::array<NamedOperator, 1> kPowers{{{U"**", Operator::kPower}}};
  SLUICE_TRY_ASSIGN(ExpressionPtr left, ParseUnary(Filters::kTaken));
  while (tokens_.AtOperator(U"**")) {
    ExpressionPtr node = Node(ExpressionKind::kArithmetic, tokens_.line());
    tokens_.Take();
    node->operators.push_back(kPowers.front().meaning);
    SLUICE_TRY_ASSIGN(ExpressionPtr right, ParseUnary(Filters::kTaken));
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    SLUICE_TRY_ASSIGN(left, Finish(std::move(node)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseUnary(Filters filters) {
  if (nesting_ >= kMaxTreeDepth) return tokens_.Fail(kTooDeep);
  ++nesting_;
  ExpressionPtr node;
  const bool minus = tokens_.AtOperator(U"-");
  if (minus || tokens_.AtOperator(U"+")) {
    ExpressionPtr sign =
        Node(minus ? ExpressionKind::kNegative : ExpressionKind::kPositive, tokens_.line());
    tokens_.Take();
    SLUICE_TRY_ASSIGN(ExpressionPtr operand, ParseUnary(Filters::kLeft));
    sign->children.push_back(std::move(operand));
    SLUICE_TRY_ASSIGN(node, Finish(std::move(sign)));
  } else {
    SLUICE_TRY_ASSIGN(node, ParsePrimary());
  }
  SLUICE_TRY_ASSIGN(node, ParsePostfix(std::move(node)));
  if (filters == Filters::kTaken) {
    SLUICE_TRY_ASSIGN(node, ParseFilters(std::move(node)));
  }
  --nesting_;
  return node;
}

Result<ExpressionPtr> ExpressionParser::ParseName() {
  Token token = tokens_.Take();
  ExpressionPtr node = Node(ExpressionKind::kConstant, token.line);
  if (token.text == U"true" || token.text == U"True") {
    node->constant = true;
  } else if (token.text == U"false" || token.text == U"False") {
    node->constant = false;
  } else if (token.text == U"none" || token.text == U"None") {
    node->constant = None{};
  } else {
    node->kind = ExpressionKind::kName;
    node->id = tokens_.IdOf(token.text);
    mentioned.varargs = mentioned.varargs || node->id == kVarargsName;
    mentioned.kwargs = mentioned.kwargs || node->id == kKwargsName;
    mentioned.caller = mentioned.caller || node->id == kCallerName;
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::ParsePrimary() {
  const int line = tokens_.line();
  switch (tokens_.current().type) {
    case TokenType::kName:
      return ParseName();
    case TokenType::kString: {
      Text text;
      while (tokens_.AtType(TokenType::kString)) text += tokens_.Take().text;
      ExpressionPtr node = Node(ExpressionKind::kConstant, line);
      node->constant = std::move(text);
      return node;
    }
    case TokenType::kInteger:
    case TokenType::kFloat: {
      const Token token = tokens_.Take();
      ExpressionPtr node = Node(ExpressionKind::kConstant, line);
      node->constant =
          token.type == TokenType::kInteger ? Value(token.integer) : Value(token.number);
      return node;
    }
    default:
      break;
  }
  return ParseBrackets();
}

Result<ExpressionPtr> ExpressionParser::ParseBrackets() {
  const int line = tokens_.line();
  if (tokens_.SkipOperator(U"(")) {
    if (tokens_.SkipOperator(U")")) return Node(ExpressionKind::kTuple, line);
    SLUICE_TRY_ASSIGN(ExpressionPtr node, ParseTuple(Choices::kAllowed));
    SLUICE_TRY(tokens_.ExpectOperator(U")"));
    return node;
  }
  if (tokens_.AtOperator(U"[")) return ParseList();
  if (tokens_.AtOperator(U"{")) return ParseDict();
  return tokens_.Fail("unexpected " + TokenReader::Describe(tokens_.current()));
}

Result<ExpressionPtr> ExpressionParser::ParseList() {
  ExpressionPtr node = Node(ExpressionKind::kList, tokens_.Take().line);
  while (!tokens_.AtOperator(U"]")) {
    if (!node->children.empty()) {
      SLUICE_TRY(tokens_.ExpectOperator(U","));
      if (tokens_.AtOperator(U"]")) break;
    }
    SLUICE_TRY_ASSIGN(ExpressionPtr item, Parse());
    node->children.push_back(std::move(item));
  }
  SLUICE_TRY(tokens_.ExpectOperator(U"]"));
  return Finish(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::ParseDict() {
  ExpressionPtr node = Node(ExpressionKind::kDict, tokens_.Take().line);
  while (!tokens_.AtOperator(U"}")) {
    if (!node->children.empty()) {
      SLUICE_TRY(tokens_.ExpectOperator(U","));
      if (tokens_.AtOperator(U"}")) break;
    }
    SLUICE_TRY_ASSIGN(ExpressionPtr key, Parse());
    SLUICE_TRY(tokens_.ExpectOperator(U":"));
    SLUICE_TRY_ASSIGN(ExpressionPtr value, Parse());
    node->children.push_back(std::move(key));
    node->children.push_back(std::move(value));
  }
  SLUICE_TRY(tokens_.ExpectOperator(U"}"));
  return Finish(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::ParsePostfix(ExpressionPtr node) {
  while (true) {
    if (tokens_.AtOperator(U".") || tokens_.AtOperator(U"[")) {
      SLUICE_TRY_ASSIGN(node, ParseSubscript(std::move(node)));
    } else if (tokens_.AtOperator(U"(")) {
      SLUICE_TRY_ASSIGN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::ParseSubscript(ExpressionPtr node) {
  ExpressionPtr subscript = Node(ExpressionKind::kSubscript, tokens_.line());
  const bool dot = tokens_.Take().text == U".";
  subscript->children.push_back(std::move(node));
  if (dot) {
    const Token field = tokens_.Take();
    if (field.type == TokenType::kName) {
      subscript->kind = ExpressionKind::kAttribute;
      subscript->name = field.text;
    } else if (field.type == TokenType::kInteger) {
      ExpressionPtr place = Node(ExpressionKind::kConstant, field.line);
      place->constant = field.integer;
      subscript->children.push_back(std::move(place));
    } else {
      return TokenReader::FailAt(field.line, "expected a name or a number after \".\"");
    }
    return Finish(std::move(subscript));
  }
  ExpressionPtr several = Node(ExpressionKind::kTuple, tokens_.line());
  while (!tokens_.AtOperator(U"]")) {
    if (!several->children.empty()) SLUICE_TRY(tokens_.ExpectOperator(U","));
    SLUICE_TRY_ASSIGN(ExpressionPtr place, ParseSubscribed());
    several->children.push_back(std::move(place));
  }
  tokens_.Take();
  if (several->children.size() == 1) {
    subscript->children.push_back(std::move(several->children.front()));
  } else {
    SLUICE_TRY_ASSIGN(several, Finish(std::move(several)));
    subscript->children.push_back(std::move(several));
  }
  return Finish(std::move(subscript));
}

Result<ExpressionPtr> ExpressionParser::ParseSubscribed() {
  ExpressionPtr slice = Node(ExpressionKind::kSlice, tokens_.line());
  slice->children.resize(3);
  if (!tokens_.AtOperator(U":")) {
    SLUICE_TRY_ASSIGN(ExpressionPtr begin, Parse());
    if (!tokens_.AtOperator(U":")) return begin;
    slice->children[0] = std::move(begin);
  }
  for (size_t i = 1; i < 3 && tokens_.SkipOperator(U":"); ++i) {
    const bool left_out =
        tokens_.AtOperator(U":") || tokens_.AtOperator(U"]") || tokens_.AtOperator(U",");
    if (left_out) continue;
    SLUICE_TRY_ASSIGN(slice->children[i], Parse());
  }
  return Finish(std::move(slice));
}

Result<CallArguments> ExpressionParser::ParseArguments() {
  CallArguments arguments;
  SLUICE_TRY(tokens_.ExpectOperator(U"("));
  for (bool first = true; !tokens_.AtOperator(U")"); first = false) {
    if (!first) {
      SLUICE_TRY(tokens_.ExpectOperator(U","));
      if (tokens_.AtOperator(U")")) break;
    }
    const bool starred = arguments.more_positional != nullptr || arguments.more_named != nullptr;
    bool in_order = arguments.more_named == nullptr;
    if (tokens_.SkipOperator(U"*")) {
      in_order = !starred;
      SLUICE_TRY_ASSIGN(arguments.more_positional, Parse());
    } else if (tokens_.SkipOperator(U"**")) {
      SLUICE_TRY_ASSIGN(arguments.more_named, Parse());
    } else if (tokens_.AtType(TokenType::kName) &&
               TokenReader::Is(tokens_.next(), TokenType::kOperator, U"=")) {
      if (arguments.named.size() == kMaxParameters) return tokens_.Fail("too many named arguments");
      const Text name = tokens_.Take().text;
      tokens_.Take();
      SLUICE_TRY_ASSIGN(ExpressionPtr value, Parse());
      for (const auto& [other, unused] : arguments.named) in_order = in_order && other != name;
      arguments.named.emplace_back(name, std::move(value));
    } else {
      in_order = !starred && arguments.named.empty();
      SLUICE_TRY_ASSIGN(ExpressionPtr value, Parse());
      arguments.positional.push_back(std::move(value));
    }
    if (!in_order) return tokens_.Fail("the arguments of a call are in a wrong order");
  }
  SLUICE_TRY(tokens_.ExpectOperator(U")"));
  return arguments;
}

Result<ExpressionPtr> ExpressionParser::ParseCall(ExpressionPtr callee) {
  ExpressionPtr node = Node(ExpressionKind::kCall, tokens_.line());
  node->children.push_back(std::move(callee));
  SLUICE_TRY_ASSIGN(node->arguments, ParseArguments());
  return Finish(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::ParseFilters(ExpressionPtr node) {
  while (true) {
    if (tokens_.SkipOperator(U"|")) {
      SLUICE_TRY_ASSIGN(node, ParseFilter(std::move(node)));
    } else if (tokens_.AtName(U"is")) {
      SLUICE_TRY_ASSIGN(node, ParseTest(std::move(node)));
    } else if (tokens_.AtOperator(U"(")) {
      SLUICE_TRY_ASSIGN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<Text> ExpressionParser::ParseDottedName() {
  SLUICE_TRY_ASSIGN(Token name, tokens_.TakeName());
  while (tokens_.SkipOperator(U".")) {
    SLUICE_TRY_ASSIGN(const Token more, tokens_.TakeName());
    name.text += U"." + more.text;
  }
  return std::move(name.text);
}

Result<ExpressionPtr> ExpressionParser::ParseFilter(ExpressionPtr node) {
  ExpressionPtr filter = Node(ExpressionKind::kFilter, tokens_.line());
  SLUICE_TRY_ASSIGN(filter->name, ParseDottedName());
  if (node != nullptr) filter->children.push_back(std::move(node));
  if (tokens_.AtOperator(U"(")) {
    SLUICE_TRY_ASSIGN(filter->arguments, ParseArguments());
  }
  return Finish(std::move(filter));
}

Result<ExpressionPtr> ExpressionParser::ParseBlockFilters(Bar first) {
  ExpressionPtr node;
  while (first == Bar::kNotBeforeFirst || tokens_.SkipOperator(U"|")) {
    first = Bar::kBeforeAll;
    SLUICE_TRY_ASSIGN(node, ParseFilter(std::move(node)));
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::ParseTest(ExpressionPtr node) {
  const int line = tokens_.Take().line;
  const bool negated = tokens_.SkipName(U"not");
  ExpressionPtr test = Node(ExpressionKind::kTest, line);
  SLUICE_TRY_ASSIGN(test->name, ParseDottedName());
  test->children.push_back(std::move(node));
  const bool word = tokens_.AtType(TokenType::kName) && !tokens_.AtName(U"else") &&
                    !tokens_.AtName(U"or") && !tokens_.AtName(U"and");
  const bool operand = word || tokens_.AtType(TokenType::kString) ||
                       tokens_.AtType(TokenType::kInteger) || tokens_.AtType(TokenType::kFloat) ||
                       tokens_.AtOperator(U"[") || tokens_.AtOperator(U"{");
  if (tokens_.AtOperator(U"(")) {
    SLUICE_TRY_ASSIGN(test->arguments, ParseArguments());
  } else if (operand) {
    if (tokens_.AtName(U"is")) return tokens_.Fail("tests cannot be chained with \"is\"");
    SLUICE_TRY_ASSIGN(ExpressionPtr argument, ParsePrimary());
    SLUICE_TRY_ASSIGN(argument, ParsePostfix(std::move(argument)));
    test->arguments.positional.push_back(std::move(argument));
  }
  SLUICE_TRY_ASSIGN(test, Finish(std::move(test)));
  if (!negated) return test;
  ExpressionPtr negation = Node(ExpressionKind::kNot, line);
  negation->children.push_back(std::move(test));
  return Finish(std::move(negation));
}

}  // namespace sluice::jinja

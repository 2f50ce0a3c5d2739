// Statements of a template: text, {{ prints }} and {% tags %}.
#include <utility>

#include "template/expression_parser.h"
#include "template/syntax.h"
#include "template/token_reader.h"
#include "tokenizer/unicode.h"

namespace sluice::jinja {
namespace {

using Bar = ExpressionParser::Bar;
using Choices = ExpressionParser::Choices;
using Fields = ExpressionParser::Fields;

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(&tokens_) {}

  Result<Program> Run() {
    Program program;
    SLUICE_TRY_ASSIGN(program.body, ParseBlock({}));
    program.names = tokens_.TakeNames();
    return program;
  }

 private:
  using EndTags = std::vector<TextView>;

  // Statements up to one of the tags in `ends`, whose name is the current token then; up to the end
  // of the template if there are none.
  Result<Block> ParseBlock(const EndTags& ends) {
    if (++nesting_ > kMaxTreeDepth) return tokens_.Fail("blocks nest too deeply");
    Block block;
    while (true) {
      Statement statement{.line = tokens_.line()};
      if (tokens_.AtType(TokenType::kEnd)) {
        if (ends.empty()) break;
        return tokens_.Fail("the template ends where {% " + Utf8(ends.back()) + " %} is missing");
      }
      if (tokens_.AtType(TokenType::kText)) {
        statement.text = tokens_.Take().text;
        block.push_back(std::move(statement));
        continue;
      }
      if (tokens_.AtType(TokenType::kPrintBegin)) {
        tokens_.Take();
        statement.kind = StatementKind::kPrint;
        SLUICE_TRY_ASSIGN(ExpressionPtr shown, expressions_.ParseTuple(Choices::kAllowed));
        statement.expressions.push_back(std::move(shown));
        SLUICE_TRY(tokens_.ExpectType(TokenType::kPrintEnd));
        block.push_back(std::move(statement));
        continue;
      }
      SLUICE_TRY(tokens_.ExpectType(TokenType::kTagBegin));
      if (AtOneOf(ends)) break;
      SLUICE_TRY_ASSIGN(Statement parsed, ParseTag());
      SLUICE_TRY(tokens_.ExpectType(TokenType::kTagEnd));
      block.push_back(std::move(parsed));
    }
    --nesting_;
    return block;
  }

  bool AtOneOf(const EndTags& ends) const {
    for (const TextView end : ends) {
      if (tokens_.AtName(end)) return true;
    }
    return false;
  }

  // The rest of an opening tag, then its block, up to and with the name of the end tag.
  Result<Block> ParseBody(const EndTags& ends) {
    tokens_.SkipOperator(U":");
    SLUICE_TRY(tokens_.ExpectType(TokenType::kTagEnd));
    return ParseBlock(ends);
  }
  Result<Block> ParseBodyTo(TextView end) {
    SLUICE_TRY_ASSIGN(Block body, ParseBody({end}));
    tokens_.Take();
    return body;
  }

  // The same where break and continue do not reach the loop around it.
  Result<Block> ParseFunctionBody(TextView end) {
    const int loops = std::exchange(loops_, 0);
    Result<Block> body = ParseBodyTo(end);
    loops_ = loops;
    return body;
  }

  using TagParser = Status (StatementParser::*)(Statement*);

  Result<Statement> ParseTag() {
    static constexpr std::pair<TextView, TagParser> kTags[] = {
        {U"for", &StatementParser::ParseFor},
        {U"if", &StatementParser::ParseIf},
        {U"set", &StatementParser::ParseSet},
        {U"macro", &StatementParser::ParseMacro},
        {U"call", &StatementParser::ParseCall},
        {U"filter", &StatementParser::ParseFilter},
        {U"with", &StatementParser::ParseWith},
        {U"print", &StatementParser::ParsePrint},
        {U"block", &StatementParser::ParseNamedBlock},
        {U"generation", &StatementParser::ParseGeneration},
        {U"break", &StatementParser::ParseJump},
        {U"continue", &StatementParser::ParseJump},
    };
    SLUICE_TRY_ASSIGN(const Token name, tokens_.TakeName());
    Statement statement{.line = name.line};
    for (const auto& [tag, parse] : kTags) {
      if (name.text != tag) continue;
      statement.name = name.text;
      SLUICE_TRY((this->*parse)(&statement));
      return statement;
    }
    for (const TextView other : {U"include", U"import", U"from", U"extends"}) {
      if (name.text == other) {
        return TokenReader::FailAt(
            name.line, "{% " + Utf8(other) + " %}: there are no other templates to read");
      }
    }
    return TokenReader::FailAt(name.line,
                               "tag " + QuoteForMessage(Utf8(name.text)) + " is not expected here");
  }

  Status ParseFor(Statement* loop) {
    loop->kind = StatementKind::kFor;
    SLUICE_TRY_ASSIGN(loop->target, expressions_.ParseTarget(Fields::kRefused));
    SLUICE_TRY(tokens_.ExpectName(U"in"));
    SLUICE_TRY_ASSIGN(loop->expression, expressions_.ParseTuple(Choices::kLeftForCaller));
    if (tokens_.SkipName(U"if")) {
      SLUICE_TRY_ASSIGN(loop->condition, expressions_.Parse());
    }
    loop->recursive = tokens_.SkipName(U"recursive");
    ++loops_;
    SLUICE_TRY_ASSIGN(loop->body, ParseBody({U"else", U"endfor"}));
    --loops_;
    if (tokens_.Take().text == U"endfor") return {};
    SLUICE_TRY_ASSIGN(loop->otherwise, ParseBodyTo(U"endfor"));
    return {};
  }

  Status ParseIf(Statement* statement) {
    statement->kind = StatementKind::kIf;
    Text tag = U"if";
    while (tag != U"endif") {
      Branch branch;
      if (tag != U"else") {
        SLUICE_TRY_ASSIGN(branch.condition, expressions_.ParseTuple(Choices::kLeftForCaller));
        SLUICE_TRY_ASSIGN(branch.body, ParseBody({U"elif", U"else", U"endif"}));
      } else {
        SLUICE_TRY_ASSIGN(branch.body, ParseBody({U"endif"}));
      }
      statement->branches.push_back(std::move(branch));
      tag = tokens_.Take().text;
    }
    return {};
  }

  Status ParseSet(Statement* statement) {
    statement->kind = StatementKind::kSet;
    SLUICE_TRY_ASSIGN(statement->target, expressions_.ParseTarget(Fields::kAllowed));
    if (tokens_.SkipOperator(U"=")) {
      SLUICE_TRY_ASSIGN(statement->expression, expressions_.ParseTuple(Choices::kAllowed));
      return {};
    }
    statement->kind = StatementKind::kSetBlock;
    SLUICE_TRY_ASSIGN(statement->expression, expressions_.ParseBlockFilters(Bar::kBeforeAll));
    SLUICE_TRY_ASSIGN(statement->body, ParseBodyTo(U"endset"));
    return {};
  }

  Status ParseParameters(Statement* macro) {
    SLUICE_TRY(tokens_.ExpectOperator(U"("));
    while (!tokens_.AtOperator(U")")) {
      if (!macro->parameters.empty()) SLUICE_TRY(tokens_.ExpectOperator(U","));
      SLUICE_TRY_ASSIGN(const Token name, tokens_.TakeName());
      Parameter parameter{.id = tokens_.IdOf(name.text), .name = name.text};
      if (macro->parameters.size() == kMaxParameters) return tokens_.Fail("too many parameters");
      for (const Parameter& other : macro->parameters) {
        if (other.id == parameter.id) return tokens_.Fail("two parameters have the same name");
      }
      if (tokens_.SkipOperator(U"=")) {
        SLUICE_TRY_ASSIGN(parameter.otherwise, expressions_.Parse());
      } else if (!macro->parameters.empty() && macro->parameters.back().otherwise != nullptr) {
        return tokens_.Fail("a parameter without a default follows one that has it");
      }
      macro->parameters.push_back(std::move(parameter));
    }
    tokens_.Take();
    return {};
  }

  // What a body mentions is also mentioned by what is around it.
  Status ParseMacroBody(Statement* macro, TextView end) {
    std::vector<Value> names;
    for (const Parameter& parameter : macro->parameters) names.emplace_back(parameter.name);
    macro->shown_name = Value(macro->name);
    macro->shown_parameters = Value::TupleOf(std::move(names));
    const MacroExtras outer = std::exchange(expressions_.mentioned, {});
    SLUICE_TRY_ASSIGN(macro->body, ParseFunctionBody(end));
    macro->extras = expressions_.mentioned;
    expressions_.mentioned = {.varargs = outer.varargs || macro->extras.varargs,
                              .kwargs = outer.kwargs || macro->extras.kwargs,
                              .caller = outer.caller || macro->extras.caller};
    return {};
  }

  Status ParseMacro(Statement* macro) {
    macro->kind = StatementKind::kMacro;
    SLUICE_TRY_ASSIGN(const Token name, tokens_.TakeName());
    macro->name = name.text;
    macro->id = tokens_.IdOf(name.text);
    SLUICE_TRY(ParseParameters(macro));
    return ParseMacroBody(macro, U"endmacro");
  }

  Status ParseCall(Statement* call) {
    call->kind = StatementKind::kCall;
    call->name = U"caller";
    if (tokens_.AtOperator(U"(")) SLUICE_TRY(ParseParameters(call));
    SLUICE_TRY_ASSIGN(call->expression, expressions_.Parse());
    if (call->expression->kind != ExpressionKind::kCall) {
      return TokenReader::FailAt(call->line, "{% call %} needs a call");
    }
    return ParseMacroBody(call, U"endcall");
  }

  Status ParseFilter(Statement* statement) {
    statement->kind = StatementKind::kFilter;
    SLUICE_TRY_ASSIGN(statement->expression, expressions_.ParseBlockFilters(Bar::kNotBeforeFirst));
    SLUICE_TRY_ASSIGN(statement->body, ParseBodyTo(U"endfilter"));
    return {};
  }

  Status ParseWith(Statement* statement) {
    statement->kind = StatementKind::kWith;
    while (!tokens_.AtType(TokenType::kTagEnd)) {
      if (!statement->targets.empty()) SLUICE_TRY(tokens_.ExpectOperator(U","));
      SLUICE_TRY_ASSIGN(const Token name, tokens_.TakeName());
      auto target = std::make_unique<Expression>();
      target->kind = ExpressionKind::kName;
      target->line = name.line;
      target->id = tokens_.IdOf(name.text);
      statement->targets.push_back(std::move(target));
      SLUICE_TRY(tokens_.ExpectOperator(U"="));
      SLUICE_TRY_ASSIGN(ExpressionPtr value, expressions_.Parse());
      statement->expressions.push_back(std::move(value));
    }
    SLUICE_TRY_ASSIGN(statement->body, ParseBodyTo(U"endwith"));
    return {};
  }

  Status ParsePrint(Statement* statement) {
    statement->kind = StatementKind::kPrint;
    while (!tokens_.AtType(TokenType::kTagEnd)) {
      if (!statement->expressions.empty()) SLUICE_TRY(tokens_.ExpectOperator(U","));
      SLUICE_TRY_ASSIGN(ExpressionPtr shown, expressions_.Parse());
      statement->expressions.push_back(std::move(shown));
    }
    return {};
  }

  // Nothing can extend this template: a named block is what it holds.
  Status ParseNamedBlock(Statement* block) {
    block->kind = StatementKind::kScope;
    SLUICE_TRY_ASSIGN(const Token name, tokens_.TakeName());
    tokens_.SkipName(U"scoped");
    tokens_.SkipName(U"required");
    SLUICE_TRY_ASSIGN(block->body, ParseFunctionBody(U"endblock"));
    tokens_.SkipName(name.text);
    return {};
  }

  Status ParseGeneration(Statement* block) {
    block->kind = StatementKind::kScope;
    SLUICE_TRY_ASSIGN(block->body, ParseFunctionBody(U"endgeneration"));
    return {};
  }

  Status ParseJump(Statement* jump) {
    if (loops_ == 0) {
      return TokenReader::FailAt(jump->line, "{% " + Utf8(jump->name) + " %} outside of a loop");
    }
    jump->kind = jump->name == U"break" ? StatementKind::kBreak : StatementKind::kContinue;
    return {};
  }

  TokenReader tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;  // around the current statement, within its macro
};

}  // namespace

Result<Program> ParseTemplate(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return UnsupportedError("the template has more than 1 MiB");
  }
  SLUICE_TRY_ASSIGN(std::vector<Token> tokens, LexTemplate(source));
  return StatementParser(std::move(tokens)).Run();
}

}  // namespace sluice::jinja

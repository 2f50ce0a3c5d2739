// The tree of a template: what the parser makes and the interpreter walks.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "template/value.h"

namespace sluice::jinja {

// A variable's name, as a number: names are compared in every look-up.
using NameId = int;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<Text, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // *expression
  ExpressionPtr more_named;       // **expression
};

enum class ExpressionKind {
  kConstant,
  kName,       // id
  kList,       // children
  kTuple,      // children
  kDict,       // children: key, value, key, value, ...
  kAttribute,  // children[0].name
  kSubscript,  // children[0][children[1]]
  kSlice,      // of a subscript: begin, end, step; null where left out
  kCall,       // children[0](arguments)
  kFilter,     // children[0] | name(arguments); no child: the block's own text
  kTest,       // children[0] is name(arguments)
  kNot,
  kAnd,
  kOr,
  kNegative,
  kPositive,
  kChoice,          // children: condition, then, else (may be null)
  kArithmetic,      // operators[0] between two children
  kConcat,          // ~
  kCompare,         // operators[i] between children i and i + 1
  kNamespaceField,  // id.name as a target of {% set %}
};

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 0;
  int depth = 1;  // of the tree below and with this; at most kMaxTreeDepth
  Value constant;
  NameId id = 0;
  Text name;
  std::vector<ExpressionPtr> children;
  std::vector<Operator> operators;
  CallArguments arguments;
};

struct Parameter {
  NameId id = 0;
  Text name;
  ExpressionPtr otherwise;  // null: undefined where it is not given
};

struct Statement;
using Block = std::vector<Statement>;

// What a macro's body takes beside its parameters, because it mentions it.
struct MacroExtras {
  bool varargs = false;
  bool kwargs = false;
  bool caller = false;
};

enum class StatementKind {
  kText,      // text
  kPrint,     // expressions
  kFor,       // target in expression (if condition): body, otherwise; recursive
  kIf,        // branches: condition, body; a null condition is {% else %}
  kSet,       // target = expression
  kSetBlock,  // target = the text of body, through `expression` (filters) if there is one
  kMacro,     // name, parameters, body
  kCall,      // expression is the call; body is what caller() gives
  kFilter,    // body's text through `expression`
  kWith,      // targets = expressions, body
  kScope,     // body: {% block %}, {% generation %}
  kBreak,
  kContinue,
};

struct Branch {
  ExpressionPtr condition;
  Block body;
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  Text text;
  Text name;
  NameId id = 0;
  ExpressionPtr target;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<ExpressionPtr> targets;
  std::vector<ExpressionPtr> expressions;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  Value shown_name;  // of a macro: what .name and .arguments give, made once
  Value shown_parameters;
  MacroExtras extras;
  bool recursive = false;
  Block body;
  Block otherwise;
};

// A parsed template. Names that the interpreter itself binds come first in `names`.
struct Program {
  std::vector<std::string> names;  // by NameId
  Block body;
};
enum ReservedName : NameId { kLoopName, kVarargsName, kKwargsName, kCallerName };

// How deep expressions and statements nest, at most: both are walked recursively.
inline constexpr int kMaxTreeDepth = 120;
// Of a macro or call; looking for equal names compares each with each.
inline constexpr size_t kMaxParameters = 255;
inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;  // the largest known are a fortieth

// Makes the tree. Fails with the line of what is not understood.
Result<Program> ParseTemplate(std::string_view source);

}  // namespace sluice::jinja

// Expressions of the interpreter.
#include <fmt/format.h>

#include <utility>

#include "template/access.h"
#include "template/interpreter.h"
#include "template/objects.h"
#include "template/operators.h"
#include "tokenizer/unicode.h"

namespace sluice::jinja {

Result<Value> Interpreter::Evaluate(const Expression& expression) {
  SLUICE_TRY(meter_.Step());
  SLUICE_TRY(meter_.Enter());
  Result<Value> value = EvaluateKind(expression);
  meter_.Leave();
  if (!value.ok()) return Locate(expression.line, value.status());
  if (DepthOf(*value) > kMaxValueDepth) {
    return Locate(expression.line, Meter::TooMuch("values inside of values"));
  }
  return value;
}

Result<Value> Interpreter::EvaluateKind(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return EvaluateName(expression);
    case ExpressionKind::kList:
    case ExpressionKind::kTuple:
      return EvaluateItems(expression);
    case ExpressionKind::kDict:
      return EvaluateDict(expression);
    case ExpressionKind::kAttribute: {
      SLUICE_TRY_ASSIGN(const Value value, Evaluate(*expression.children[0]));
      return AttributeOf(value, expression.name, &meter_);
    }
    case ExpressionKind::kSubscript:
      return EvaluateSubscript(expression);
    case ExpressionKind::kCall:
      return EvaluateCall(expression);
    case ExpressionKind::kFilter:
      return EvaluateFilter(expression, nullptr);
    case ExpressionKind::kTest:
      return EvaluateTest(expression);
    case ExpressionKind::kNot:
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr:
      return EvaluateLogic(expression);
    case ExpressionKind::kNegative: {
      SLUICE_TRY_ASSIGN(const Value value, Evaluate(*expression.children[0]));
      return Negate(value);
    }
    case ExpressionKind::kPositive: {
      SLUICE_TRY_ASSIGN(const Value value, Evaluate(*expression.children[0]));
      SLUICE_TRY(Negate(value).status());
      return value.is_bool() ? Value(*value.integer()) : value;
    }
    case ExpressionKind::kChoice:
      return EvaluateChoice(expression);
    case ExpressionKind::kArithmetic: {
      SLUICE_TRY_ASSIGN(const Value left, Evaluate(*expression.children[0]));
      SLUICE_TRY_ASSIGN(const Value right, Evaluate(*expression.children[1]));
      return Arithmetic(expression.operators[0], left, right, &meter_);
    }
    case ExpressionKind::kConcat:
      return EvaluateConcat(expression);
    case ExpressionKind::kCompare:
      return EvaluateCompare(expression);
    case ExpressionKind::kSlice:
    case ExpressionKind::kNamespaceField:
      break;
  }
  return InvalidArgumentError("a slice cannot stand here");
}

const Value& Interpreter::Global(NameId id) {
  std::optional<Value>& known = globals_[static_cast<size_t>(id)];
  if (known) return *known;
  const std::string& name = program_.names[static_cast<size_t>(id)];
  if (const Value* given = context_.Find(TextFrom(name)); given != nullptr) {
    known = *given;
  } else {
    known = GlobalFunction(name);
    if (known->is_undefined()) {
      known = Value::UndefinedBecause(QuoteForMessage(name) + " is not defined");
    }
  }
  return *known;
}

const Value* Interpreter::Variable(NameId id) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    *meter_.work() -= SearchCost(*scope);
    const Value* found = scope->Find(id);
    if (found != nullptr) return found;
  }
  return nullptr;
}

Result<Value> Interpreter::EvaluateName(const Expression& expression) {
  const Value* found = Variable(expression.id);
  SLUICE_TRY(meter_.CheckWork());
  return found != nullptr ? *found : Global(expression.id);
}

Result<Value> Interpreter::EvaluateItems(const Expression& expression) {
  SLUICE_TRY(meter_.Charge(static_cast<int64_t>(expression.children.size()) * kItemCost));
  std::vector<Value> items;
  items.reserve(expression.children.size());
  for (const ExpressionPtr& child : expression.children) {
    SLUICE_TRY_ASSIGN(Value item, Evaluate(*child));
    items.push_back(std::move(item));
  }
  return expression.kind == ExpressionKind::kList ? Value::ListOf(std::move(items))
                                                  : Value::TupleOf(std::move(items));
}

Result<Value> Interpreter::EvaluateDict(const Expression& expression) {
  SLUICE_TRY(meter_.Charge(static_cast<int64_t>(expression.children.size() / 2) * kEntryCost));
  Dict dict;
  for (size_t i = 0; i < expression.children.size(); i += 2) {
    SLUICE_TRY_ASSIGN(Value key, Evaluate(*expression.children[i]));
    SLUICE_TRY_ASSIGN(Value value, Evaluate(*expression.children[i + 1]));
    SLUICE_TRY(meter_.ChargeFor(key));
    SLUICE_TRY(dict.Insert(std::move(key), std::move(value)));
  }
  return Value(std::move(dict));
}

Result<Value> Interpreter::EvaluateSubscript(const Expression& expression) {
  SLUICE_TRY_ASSIGN(const Value value, Evaluate(*expression.children[0]));
  const Expression& place = *expression.children[1];
  if (place.kind != ExpressionKind::kSlice) {
    SLUICE_TRY_ASSIGN(const Value key, Evaluate(place));
    return ItemOf(value, key, &meter_);
  }
  Value bounds[3] = {None{}, None{}, None{}};
  for (size_t i = 0; i < 3; ++i) {
    if (place.children[i] == nullptr) continue;
    SLUICE_TRY_ASSIGN(bounds[i], Evaluate(*place.children[i]));
  }
  return SliceOf(value, bounds[0], bounds[1], bounds[2], &meter_);
}

Result<Arguments> Interpreter::EvaluateArguments(const CallArguments& arguments) {
  Arguments evaluated;
  SLUICE_TRY(meter_.Charge(static_cast<int64_t>(arguments.positional.size()) * kItemCost));
  for (const ExpressionPtr& argument : arguments.positional) {
    SLUICE_TRY_ASSIGN(Value value, Evaluate(*argument));
    evaluated.positional.push_back(std::move(value));
  }
  for (const auto& [name, argument] : arguments.named) {
    SLUICE_TRY_ASSIGN(Value value, Evaluate(*argument));
    SLUICE_TRY(meter_.Charge(NamedCost(name)));
    evaluated.named.emplace_back(name, std::move(value));
  }
  if (arguments.more_positional != nullptr) {
    SLUICE_TRY_ASSIGN(const Value more, Evaluate(*arguments.more_positional));
    SLUICE_TRY(meter_.ChargeFor(more));
    SLUICE_TRY_ASSIGN(const std::vector<Value> items, meter_.Items(more));
    evaluated.positional.insert(evaluated.positional.end(), items.begin(), items.end());
  }
  if (arguments.more_named != nullptr) {
    SLUICE_TRY_ASSIGN(const Value more, Evaluate(*arguments.more_named));
    if (more.dict() == nullptr) return InvalidArgumentError("** needs a dict");
    SLUICE_TRY(meter_.ChargeFor(more));
    for (const auto& [key, value] : more.dict()->entries()) {
      if (key.text() == nullptr) return InvalidArgumentError("names of arguments are texts");
      SLUICE_TRY(meter_.Charge(NamedCost(*key.text())));
      evaluated.named.emplace_back(*key.text(), value);
    }
  }
  return evaluated;
}

Result<Value> Interpreter::EvaluateCall(const Expression& expression) {
  SLUICE_TRY_ASSIGN(const Value callee, Evaluate(*expression.children[0]));
  SLUICE_TRY_ASSIGN(const Arguments arguments, EvaluateArguments(expression.arguments));
  if (callee.is_undefined()) return InvalidArgumentError(callee.undefined_reason());
  if (callee.object() == nullptr) {
    return InvalidArgumentError("a " + callee.TypeName() + " cannot be called");
  }
  return callee.object()->Call(this, arguments);
}

Result<Value> Interpreter::EvaluateFilter(const Expression& expression, const Value* block_text) {
  Value subject;
  if (expression.children.empty()) {
    if (block_text == nullptr) return InvalidArgumentError("a filter without a value");
    subject = *block_text;
  } else if (block_text != nullptr) {
    SLUICE_TRY_ASSIGN(subject, EvaluateFilter(*expression.children[0], block_text));
  } else {
    SLUICE_TRY_ASSIGN(subject, Evaluate(*expression.children[0]));
  }
  SLUICE_TRY_ASSIGN(const Arguments arguments, EvaluateArguments(expression.arguments));
  return CallFilter(expression.name, subject, arguments);
}

Result<Value> Interpreter::CallFilter(const Text& name, const Value& subject,
                                      const Arguments& arguments) {
  Filter filter = FindTextFilter(name);
  if (filter == nullptr) filter = FindSequenceFilter(name);
  if (filter == nullptr) {
    return UnsupportedError("there is no filter " + QuoteForMessage(Utf8(name)));
  }
  SLUICE_TRY(meter_.Step());
  SLUICE_TRY(meter_.ChargeFor(subject));
  Result<Value> value = filter(subject, arguments, this);
  if (!value.ok()) return value.status().Annotate("filter " + Utf8(name));
  return value;
}

Result<bool> Interpreter::CallTest(const Text& name, const Value& subject,
                                   const Arguments& arguments) {
  const Test test = FindTest(name);
  if (test == nullptr) {
    return UnsupportedError("there is no test " + QuoteForMessage(Utf8(name)));
  }
  SLUICE_TRY(meter_.Step());
  Result<bool> value = test(subject, arguments, this);
  if (!value.ok()) return value.status().Annotate("test " + Utf8(name));
  return value;
}

Result<Value> Interpreter::EvaluateTest(const Expression& expression) {
  SLUICE_TRY_ASSIGN(const Value subject, Evaluate(*expression.children[0]));
  SLUICE_TRY_ASSIGN(const Arguments arguments, EvaluateArguments(expression.arguments));
  SLUICE_TRY_ASSIGN(const bool answer, CallTest(expression.name, subject, arguments));
  return Value(answer);
}

Result<Value> Interpreter::EvaluateLogic(const Expression& expression) {
  SLUICE_TRY_ASSIGN(Value left, Evaluate(*expression.children[0]));
  if (expression.kind == ExpressionKind::kNot) return Value(!IsTrue(left));
  const bool decided = IsTrue(left) == (expression.kind == ExpressionKind::kOr);
  if (decided) return left;
  return Evaluate(*expression.children[1]);
}

Result<Value> Interpreter::EvaluateChoice(const Expression& expression) {
  SLUICE_TRY_ASSIGN(const Value condition, Evaluate(*expression.children[0]));
  if (IsTrue(condition)) return Evaluate(*expression.children[1]);
  if (expression.children[2] != nullptr) return Evaluate(*expression.children[2]);
  return Value::UndefinedBecause("an \"if\" without \"else\" was false");
}

Result<Value> Interpreter::EvaluateConcat(const Expression& expression) {
  Text joined;
  for (const ExpressionPtr& child : expression.children) {
    SLUICE_TRY_ASSIGN(const Value value, Evaluate(*child));
    SLUICE_TRY_ASSIGN(const Text shown, meter_.Show(value));
    joined += shown;
  }
  return Value(std::move(joined));
}

Result<Value> Interpreter::EvaluateCompare(const Expression& expression) {
  SLUICE_TRY_ASSIGN(Value left, Evaluate(*expression.children[0]));
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    SLUICE_TRY_ASSIGN(Value right, Evaluate(*expression.children[i + 1]));
    SLUICE_TRY_ASSIGN(const bool holds, Compare(expression.operators[i], left, right, &meter_));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

}  // namespace sluice::jinja

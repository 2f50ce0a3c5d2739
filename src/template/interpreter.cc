// Statements; expressions are in evaluate.cc.
#include "template/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "template/access.h"
#include "template/objects.h"
#include "tokenizer/unicode.h"

namespace sluice::jinja {

const Value* Scope::Find(NameId id) const {
  for (const auto& [name, value] : variables) {
    if (name == id) return &value;
  }
  return nullptr;
}

void Scope::Set(NameId id, Value value) {
  for (auto& [name, old] : variables) {
    if (name != id) continue;
    old = std::move(value);
    return;
  }
  variables.emplace_back(id, std::move(value));
}

ScopeGuard::ScopeGuard(Interpreter* interpreter, Scope* parent)
    : interpreter_(*interpreter), before_(interpreter->scope_), scope_(std::make_unique<Scope>()) {
  scope_->parent = parent;
  interpreter_.scope_ = scope_.get();
}

ScopeGuard::~ScopeGuard() {
  interpreter_.scope_ = before_;
  if (scope_->captured) interpreter_.kept_scopes_.push_back(std::move(scope_));
}

Interpreter::Interpreter(const Program& program, const Dict& context, const RenderOptions& options)
    : program_(program),
      context_(context),
      options_(options),
      meter_(options.limits),
      globals_(program.names.size()) {}

Interpreter::~Interpreter() {
  // Variables may hold macros and namespaces, and these variables.
  for (const std::shared_ptr<Object>& object : clear_at_end_) object->Clear();
}

Result<Text> Interpreter::Run() {
  SLUICE_TRY(Execute(program_.body).status());
  return std::move(text_);
}

Status Interpreter::Locate(int line, const Status& status) {
  if (located_) return status;
  located_ = true;
  return status.Annotate(fmt::format("line {}", line));
}

Status Interpreter::CaptureScope(Scope* scope) {
  for (; scope != nullptr && !scope->captured; scope = scope->parent) {
    SLUICE_TRY(meter_.Charge(64));  // it stays until the end
    scope->captured = true;
  }
  return {};
}

Result<Flow> Interpreter::Execute(const Block& block) {
  for (const Statement& statement : block) {
    Status status = meter_.Step();
    Flow flow = Flow::kNext;
    if (status.ok()) {
      Result<Flow> executed = ExecuteStatement(statement);
      if (executed.ok()) {
        flow = *executed;
      } else {
        status = executed.status();
      }
    }
    if (!status.ok()) return Locate(statement.line, status);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Flow> Interpreter::ExecuteInScope(const Block& block) {
  SLUICE_TRY(meter_.Enter());
  const ScopeGuard guard(this, scope_);
  Result<Flow> flow = Execute(block);
  meter_.Leave();
  return flow;
}

Result<Flow> Interpreter::ExecuteStatement(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::kText:
      SLUICE_TRY(Put(statement.text));
      return Flow::kNext;
    case StatementKind::kPrint:
      for (const ExpressionPtr& shown : statement.expressions) {
        SLUICE_TRY_ASSIGN(const Value value, Evaluate(*shown));
        SLUICE_TRY(Print(value));
      }
      return Flow::kNext;
    case StatementKind::kFor:
      return ExecuteFor(statement);
    case StatementKind::kIf:
      return ExecuteIf(statement);
    case StatementKind::kSet: {
      SLUICE_TRY_ASSIGN(const Value value, Evaluate(*statement.expression));
      SLUICE_TRY(Assign(*statement.target, value));
      return Flow::kNext;
    }
    case StatementKind::kSetBlock:
    case StatementKind::kFilter: {
      Flow flow = Flow::kNext;
      SLUICE_TRY_ASSIGN(Text text, Capture(statement.body, &flow));
      if (flow != Flow::kNext) return flow;
      Value value(std::move(text));
      if (statement.expression != nullptr) {
        SLUICE_TRY_ASSIGN(value, EvaluateFilter(*statement.expression, &value));
      }
      SLUICE_TRY(statement.kind == StatementKind::kFilter ? Print(value)
                                                          : Assign(*statement.target, value));
      return Flow::kNext;
    }
    case StatementKind::kMacro:
      SLUICE_TRY(CaptureScope(scope_));
      scope_->Set(statement.id, NewMacro(statement));
      return Flow::kNext;
    case StatementKind::kCall:
      SLUICE_TRY(ExecuteCall(statement));
      return Flow::kNext;
    case StatementKind::kWith:
      SLUICE_TRY(ExecuteWith(statement));
      return Flow::kNext;
    case StatementKind::kScope:
      return ExecuteInScope(statement.body);
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Status Interpreter::Put(TextView text) {
  SLUICE_TRY(meter_.Charge(static_cast<int64_t>(text.size())));
  *out_ += text;
  if (static_cast<int64_t>(out_->size()) > meter_.output_limit()) return Meter::TooMuch("output");
  return {};
}

Status Interpreter::Print(const Value& value) {
  if (const Text* text = value.text(); text != nullptr) return Put(*text);
  SLUICE_TRY_ASSIGN(const Text shown, meter_.Show(value));
  return Put(shown);
}

Status Interpreter::Assign(const Expression& target, const Value& value) {
  if (target.kind == ExpressionKind::kName) {
    SLUICE_TRY(meter_.Charge(SearchCost(*scope_)));
    scope_->Set(target.id, value);
    return {};
  }
  if (target.kind == ExpressionKind::kNamespaceField) {
    const std::string& name = program_.names[static_cast<size_t>(target.id)];
    if (target.name.starts_with(U'_')) {
      return InvalidArgumentError("fields of a namespace may not begin with an underscore");
    }
    const Value* holder = Variable(target.id);
    SLUICE_TRY(meter_.CheckWork());
    if (holder == nullptr) holder = &Global(target.id);
    if (holder->object() == nullptr || !holder->object()->SetAttribute(target.name, value)) {
      return InvalidArgumentError(fmt::format("{} is no namespace: {} cannot be set",
                                              QuoteForMessage(name),
                                              QuoteForMessage(Utf8(target.name))));
    }
    return {};
  }
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, meter_.Items(value));
  if (items.size() != target.children.size()) {
    return InvalidArgumentError(
        fmt::format("{} values for {} names", items.size(), target.children.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) SLUICE_TRY(Assign(*target.children[i], items[i]));
  return {};
}

Result<Text> Interpreter::Capture(const Block& block, Flow* flow) {
  Text captured;
  Text* const outer = std::exchange(out_, &captured);
  const Result<Flow> executed = ExecuteInScope(block);
  out_ = outer;
  if (!executed.ok()) return executed.status();
  *flow = *executed;
  return captured;
}

Result<Flow> Interpreter::ExecuteIf(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (branch.condition != nullptr) {
      SLUICE_TRY_ASSIGN(const Value condition, Evaluate(*branch.condition));
      if (!IsTrue(condition)) continue;
    }
    SLUICE_TRY(meter_.Enter());
    Result<Flow> flow = Execute(branch.body);
    meter_.Leave();
    return flow;
  }
  return Flow::kNext;
}

Status Interpreter::ExecuteWith(const Statement& statement) {
  std::vector<Value> values;
  for (const ExpressionPtr& expression : statement.expressions) {
    SLUICE_TRY_ASSIGN(Value value, Evaluate(*expression));
    values.push_back(std::move(value));
  }
  const ScopeGuard guard(this, scope_);
  for (size_t i = 0; i < values.size(); ++i) {
    SLUICE_TRY(Assign(*statement.targets[i], values[i]));
  }
  return ExecuteInScope(statement.body).status();
}

Result<Flow> Interpreter::ExecuteFor(const Statement& loop) {
  SLUICE_TRY_ASSIGN(const Value iterable, Evaluate(*loop.expression));
  return ExecuteLoop(loop, scope_, iterable, 0);
}

Result<bool> Interpreter::Passes(const Statement& loop, Scope* around, const Value& item) {
  SLUICE_TRY(meter_.Step());
  const ScopeGuard guard(this, around);
  scope_->Set(kLoopName, Value::UndefinedBecause("\"loop\" is not there in a loop's condition"));
  SLUICE_TRY(Assign(*loop.target, item));
  SLUICE_TRY_ASSIGN(const Value condition, Evaluate(*loop.condition));
  return IsTrue(condition);
}

Result<Flow> Interpreter::ExecuteLoop(const Statement& loop, Scope* around, const Value& iterable,
                                      int depth) {
  SLUICE_TRY(meter_.Enter());
  // The loop may be kept, and asked when its block is over.
  if (loop.condition != nullptr || loop.recursive) SLUICE_TRY(CaptureScope(around));
  SLUICE_TRY_ASSIGN(std::vector<Value> items, meter_.Items(iterable));
  const auto state = std::make_shared<Loop>(loop, around, std::move(items), depth, this);
  bool any = false;
  while (true) {
    SLUICE_TRY(meter_.Step());
    SLUICE_TRY_ASSIGN(std::optional<Value> item, state->Next());
    if (!item) break;
    any = true;
    const ScopeGuard guard(this, around);
    SLUICE_TRY(Assign(*loop.target, *item));
    scope_->Set(kLoopName, std::shared_ptr<Object>(state));
    SLUICE_TRY_ASSIGN(const Flow flow, Execute(loop.body));
    if (flow == Flow::kBreak) break;
  }
  Flow flow = Flow::kNext;
  if (!any) {
    const ScopeGuard guard(this, around);
    SLUICE_TRY_ASSIGN(flow, Execute(loop.otherwise));
  }
  meter_.Leave();
  return flow;
}

Result<Value> Interpreter::LoopText(const Statement& loop, Scope* around, const Value& iterable,
                                    int depth) {
  Text captured;
  Text* const outer = std::exchange(out_, &captured);
  const Result<Flow> executed = ExecuteLoop(loop, around, iterable, depth);
  out_ = outer;
  if (!executed.ok()) return executed.status();
  return Value(std::move(captured));
}

Value Interpreter::NewMacro(const Statement& macro) {
  return std::shared_ptr<Object>(std::make_shared<Macro>(macro, scope_));
}

Status Interpreter::ExecuteCall(const Statement& statement) {
  SLUICE_TRY(CaptureScope(scope_));
  SLUICE_TRY_ASSIGN(const Value callee, Evaluate(*statement.expression->children.front()));
  SLUICE_TRY_ASSIGN(Arguments arguments, EvaluateArguments(statement.expression->arguments));
  arguments.named.emplace_back(U"caller", NewMacro(statement));
  if (callee.is_undefined()) return InvalidArgumentError(callee.undefined_reason());
  if (callee.object() == nullptr) {
    return InvalidArgumentError("a " + callee.TypeName() + " cannot be called");
  }
  SLUICE_TRY_ASSIGN(const Value value, callee.object()->Call(this, arguments));
  return Print(value);
}

// What stands after the last parameter.
Status Interpreter::BindMorePositional(const Statement& macro, const std::vector<Value>& positional,
                                       Scope* scope) {
  const size_t count = macro.parameters.size();
  if (macro.extras.varargs) {
    std::vector<Value> more;
    if (positional.size() > count) {
      more.assign(positional.begin() + static_cast<ptrdiff_t>(count), positional.end());
    }
    scope->Set(kVarargsName, Value::TupleOf(std::move(more)));
  } else if (positional.size() > count) {
    return InvalidArgumentError(fmt::format("macro {} takes at most {} arguments",
                                            QuoteForMessage(Utf8(macro.name)), count));
  }
  return {};
}

Status Interpreter::BindParameters(const Statement& macro, const Arguments& arguments,
                                   Scope* scope) {
  for (const auto& [name, unused] : arguments.named) SLUICE_TRY(meter_.Charge(NamedCost(name)));
  std::vector<std::pair<Text, Value>> named = arguments.named;
  const auto take = [&](const Text& name) -> std::optional<Value> {
    const auto found = std::find_if(named.begin(), named.end(), [&](const auto& argument) {
      *meter_.work() -= 1 + static_cast<int64_t>(std::min(argument.first.size(), name.size()));
      return argument.first == name;
    });
    if (found == named.end()) return std::nullopt;
    std::optional<Value> value = std::move(found->second);
    named.erase(found);
    return value;
  };
  const size_t count = macro.parameters.size();
  bool has_caller = false;
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = macro.parameters[i];
    has_caller = has_caller || parameter.id == kCallerName;
    std::optional<Value> given;
    if (i < arguments.positional.size()) {
      given = arguments.positional[i];
    } else {
      given = take(parameter.name);
    }
    SLUICE_TRY(meter_.CheckWork());
    if (!given && parameter.otherwise != nullptr) {
      SLUICE_TRY_ASSIGN(given, Evaluate(*parameter.otherwise));
    }
    if (!given) {
      given = Value::UndefinedBecause(
          fmt::format("parameter {} was not given", QuoteForMessage(Utf8(parameter.name))));
    }
    scope->Set(parameter.id, *std::move(given));
  }
  if (macro.extras.caller && !has_caller) {
    std::optional<Value> caller = take(U"caller");
    scope->Set(kCallerName, caller && !caller->is_none()
                                ? *std::move(caller)
                                : Value::UndefinedBecause("the macro was called without a block"));
  }
  if (macro.extras.kwargs) {
    Dict rest;
    for (auto& [name, value] : named) SLUICE_TRY(rest.Insert(name, std::move(value)));
    scope->Set(kKwargsName, std::move(rest));
  } else if (!named.empty()) {
    return InvalidArgumentError(fmt::format("macro {} takes no argument {}",
                                            QuoteForMessage(Utf8(macro.name)),
                                            QuoteForMessage(Utf8(named.front().first))));
  }
  return BindMorePositional(macro, arguments.positional, scope);
}

Result<Value> Interpreter::CallMacro(const Statement& macro, Scope* definition,
                                     const Arguments& arguments) {
  SLUICE_TRY(meter_.Enter());
  Text captured;
  Text* const outer = std::exchange(out_, &captured);
  Status status;
  {
    ScopeGuard guard(this, definition);
    status = BindParameters(macro, arguments, guard.scope());
    if (status.ok()) status = Execute(macro.body).status();
  }
  out_ = outer;
  SLUICE_TRY(status);
  meter_.Leave();
  return Value(std::move(captured));
}

}  // namespace sluice::jinja

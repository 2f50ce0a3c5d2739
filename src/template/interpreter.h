// Interpreter: walks the tree of a template once, with one conversation.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "template/meter.h"
#include "template/syntax.h"
#include "template/template.h"
#include "template/value.h"

namespace sluice::jinja {

// The variables of a block, macro or iteration.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<NameId, Value>> variables;
  bool captured = false;  // a macro sees it, and may be called when the block is over

  const Value* Find(NameId id) const;
  void Set(NameId id, Value value);
};

// What looking a name up in a scope costs: comparing eight of them takes as long as copying a
// character.
inline int64_t SearchCost(const Scope& scope) {
  return static_cast<int64_t>(scope.variables.size() / 8);
}
// What a named argument of a call takes.
inline int64_t NamedCost(const Text& name) {
  return static_cast<int64_t>(name.size()) + kTextCost + kItemCost;
}

enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(const Program& program, const Dict& context, const RenderOptions& options);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  Interpreter(Interpreter&&) = delete;
  Interpreter& operator=(Interpreter&&) = delete;

  Result<Text> Run();

  // For functions, filters, loops and macros.
  Meter* meter() { return &meter_; }
  const RenderOptions& options() const { return options_; }
  Result<Value> CallFilter(const Text& name, const Value& subject, const Arguments& arguments);
  Result<bool> CallTest(const Text& name, const Value& subject, const Arguments& arguments);
  Result<Value> CallMacro(const Statement& macro, Scope* definition, const Arguments& arguments);
  // One pass of a loop's statement over `iterable`; its text. For recursive loops.
  Result<Value> LoopText(const Statement& loop, Scope* around, const Value& iterable, int depth);
  // Whether a loop's condition lets `item` pass.
  Result<bool> Passes(const Statement& loop, Scope* around, const Value& item);
  // Objects that may hold each other live until the rendering is over and are cleared then.
  void ClearAtEnd(std::shared_ptr<Object> object) { clear_at_end_.push_back(std::move(object)); }

 private:
  friend class ScopeGuard;

  Result<Value> Evaluate(const Expression& expression);
  Result<Value> EvaluateKind(const Expression& expression);
  Result<Value> EvaluateName(const Expression& expression);
  Result<Value> EvaluateItems(const Expression& expression);
  Result<Value> EvaluateDict(const Expression& expression);
  Result<Value> EvaluateSubscript(const Expression& expression);
  Result<Value> EvaluateCall(const Expression& expression);
  Result<Value> EvaluateFilter(const Expression& expression, const Value* block_text);
  Result<Value> EvaluateTest(const Expression& expression);
  Result<Value> EvaluateLogic(const Expression& expression);
  Result<Value> EvaluateChoice(const Expression& expression);
  Result<Value> EvaluateConcat(const Expression& expression);
  Result<Value> EvaluateCompare(const Expression& expression);
  Result<Arguments> EvaluateArguments(const CallArguments& arguments);
  // Null where no scope has it; what the search cost is not checked yet.
  const Value* Variable(NameId id);
  // What no scope has: a value of the conversation, a function, or undefined.
  const Value& Global(NameId id);

  Result<Flow> Execute(const Block& block);
  Result<Flow> ExecuteStatement(const Statement& statement);
  Result<Flow> ExecuteInScope(const Block& block);
  Result<Flow> ExecuteFor(const Statement& loop);
  Result<Flow> ExecuteLoop(const Statement& loop, Scope* around, const Value& iterable, int depth);
  Result<Flow> ExecuteIf(const Statement& statement);
  Status ExecuteWith(const Statement& statement);
  Status ExecuteCall(const Statement& statement);
  Status Print(const Value& value);
  Status Put(TextView text);
  Status Assign(const Expression& target, const Value& value);
  // What `block` prints, in a scope of its own; break and continue go to `*flow`.
  Result<Text> Capture(const Block& block, Flow* flow);
  Status BindParameters(const Statement& macro, const Arguments& arguments, Scope* scope);
  static Status BindMorePositional(const Statement& macro, const std::vector<Value>& positional,
                                   Scope* scope);
  Value NewMacro(const Statement& macro);
  // Something that may be called when the block is over sees the variables of `scope`.
  Status CaptureScope(Scope* scope);

  // The first failure gets the line where it happened.
  Status Locate(int line, const Status& status);

  const Program& program_;
  const Dict& context_;
  const RenderOptions& options_;
  Meter meter_;
  std::vector<std::optional<Value>> globals_;  // by NameId; nullopt until one is asked for
  Scope top_;
  Scope* scope_ = &top_;
  std::vector<std::unique_ptr<Scope>> kept_scopes_;  // captured ones, whose block is over
  std::vector<std::shared_ptr<Object>> clear_at_end_;
  Text text_;           // the output of the whole template
  Text* out_ = &text_;  // of the block that is captured
  bool located_ = false;
};

// A new scope for as long as this lives.
class ScopeGuard {
 public:
  ScopeGuard(Interpreter* interpreter, Scope* parent);
  ~ScopeGuard();
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  ScopeGuard(ScopeGuard&&) = delete;
  ScopeGuard& operator=(ScopeGuard&&) = delete;

  Scope* scope() { return scope_.get(); }

 private:
  Interpreter& interpreter_;
  Scope* before_;
  std::unique_ptr<Scope> scope_;
};

// text_filters.cc, sequence_filters.cc, tests.cc, functions.cc
using Filter = Result<Value> (*)(const Value& subject, const Arguments& arguments,
                                 Interpreter* interpreter);
using Test = Result<bool> (*)(const Value& subject, const Arguments& arguments,
                              Interpreter* interpreter);
Filter FindTextFilter(const Text& name);
Filter FindSequenceFilter(const Text& name);
Test FindTest(const Text& name);
// "range", "namespace" and the like; undefined where there is no such function.
Value GlobalFunction(const std::string& name);

}  // namespace sluice::jinja

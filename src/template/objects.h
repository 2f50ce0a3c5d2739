// What a running template has beside plain values: namespaces, loops, macros, functions.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "template/interpreter.h"
#include "template/syntax.h"
#include "template/value.h"

namespace sluice::jinja {

// What {% set ns.field = ... %} changes.
class Namespace final : public Object {
 public:
  explicit Namespace(Dict fields) : fields_(std::move(fields)) {}
  std::string TypeName() const override { return "namespace"; }
  Result<Value> Attribute(const Text& name) override;
  bool SetAttribute(const Text& name, const Value& value) override;
  void Clear() override { fields_ = Dict(); }

 private:
  Dict fields_;
};

// The items of a {% for %} as its condition lets them pass, no earlier than they are needed; and
// `loop`.
class Loop final : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(const Statement& statement, Scope* around, std::vector<Value> items, int depth,
       Interpreter* interpreter);

  // The next item, or nullopt after the last.
  Result<std::optional<Value>> Next();

  std::string TypeName() const override { return "loop"; }
  int depth() const override { return held_depth_; }
  Result<Value> Attribute(const Text& name) override;
  bool callable() const override { return true; }
  // loop(items): its own body again, where it is marked recursive.
  Result<Value> Call(Interpreter* interpreter, const Arguments& arguments) override;
  Result<Value> Cycle(const Arguments& arguments) const;
  Result<Value> Changed(const Arguments& arguments);
  void Clear() override { last_changed_.reset(); }

 private:
  // Looks for items that pass until `count` wait, or there are no more.
  Status Fill(size_t count);
  Result<int64_t> Length();

  const Statement& statement_;
  Scope* around_;
  std::vector<Value> items_;
  size_t taken_ = 0;           // of items_
  std::deque<Value> waiting_;  // passed, but not begun
  int64_t index0_ = -1;
  Value current_;
  Value previous_;
  std::optional<Value> last_changed_;
  int depth_;  // of recursion
  int held_depth_ = 1;
  Interpreter& interpreter_;
};

class Macro final : public Object {
 public:
  Macro(const Statement& statement, Scope* definition)
      : statement_(statement), definition_(definition) {}
  std::string TypeName() const override { return "macro"; }
  Result<Value> Attribute(const Text& name) override;
  bool callable() const override { return true; }
  Result<Value> Call(Interpreter* interpreter, const Arguments& arguments) override;

 private:
  const Statement& statement_;
  Scope* definition_;  // lives as long as the rendering
};

// A function of the environment, or of an object.
class Function final : public Object {
 public:
  using Body = std::function<Result<Value>(const Arguments&, Interpreter*)>;
  // `held`: the depth of what `body` holds.
  Function(std::string name, int held, Body body)
      : name_(std::move(name)), depth_(held + 1), body_(std::move(body)) {}
  std::string TypeName() const override { return "function " + name_; }
  Result<Value> Attribute(const Text& /*name*/) override { return Value(); }
  bool callable() const override { return true; }
  int depth() const override { return depth_; }
  Result<Value> Call(Interpreter* interpreter, const Arguments& arguments) override {
    return body_(arguments, interpreter);
  }

 private:
  std::string name_;
  int depth_;
  Body body_;
};

Value NewFunction(std::string name, int held, Function::Body body);

}  // namespace sluice::jinja

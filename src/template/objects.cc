#include "template/objects.h"

#include <algorithm>

#include "template/access.h"

namespace sluice::jinja {

Value NewFunction(std::string name, int held, Function::Body body) {
  return std::shared_ptr<Object>(
      std::make_shared<Function>(std::move(name), held, std::move(body)));
}

Result<Value> Namespace::Attribute(const Text& name) {
  const Value* found = fields_.Find(name);
  return found == nullptr ? Value() : *found;
}

bool Namespace::SetAttribute(const Text& name, const Value& value) {
  return fields_.Insert(name, value).ok();
}

Loop::Loop(const Statement& statement, Scope* around, std::vector<Value> items, int depth,
           Interpreter* interpreter)
    : statement_(statement),
      around_(around),
      items_(std::move(items)),
      depth_(depth),
      interpreter_(*interpreter) {
  for (const Value& item : items_) held_depth_ = std::max(held_depth_, DepthOf(item) + 1);
}

Status Loop::Fill(size_t count) {
  while (waiting_.size() < count && taken_ < items_.size()) {
    Value& item = items_[taken_++];
    bool passes = true;
    if (statement_.condition != nullptr) {
      SLUICE_TRY_ASSIGN(passes, interpreter_.Passes(statement_, around_, item));
    }
    if (passes) waiting_.push_back(std::move(item));
  }
  return {};
}

Result<std::optional<Value>> Loop::Next() {
  SLUICE_TRY(Fill(1));
  if (waiting_.empty()) return std::optional<Value>();
  previous_ = std::move(current_);
  current_ = std::move(waiting_.front());
  waiting_.pop_front();
  ++index0_;
  return std::optional<Value>(current_);
}

Result<int64_t> Loop::Length() {
  SLUICE_TRY(Fill(items_.size() + 1));
  return index0_ + 1 + static_cast<int64_t>(waiting_.size());
}

Result<Value> Loop::Cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) return InvalidArgumentError("loop.cycle() needs values");
  const auto count = static_cast<int64_t>(arguments.positional.size());
  return arguments.positional[static_cast<size_t>(index0_ % count)];
}

Result<Value> Loop::Changed(const Arguments& arguments) {
  Value now = Value::TupleOf(arguments.positional);
  const bool changed =
      !last_changed_ || !AreEqual(*last_changed_, now, interpreter_.meter()->work());
  SLUICE_TRY(interpreter_.meter()->CheckWork());
  if (!last_changed_) interpreter_.ClearAtEnd(shared_from_this());
  last_changed_ = std::move(now);
  return Value(changed);
}

Result<Value> Loop::Attribute(const Text& name) {
  if (name == U"index") return Value(index0_ + 1);
  if (name == U"index0") return Value(index0_);
  if (name == U"first") return Value(index0_ == 0);
  if (name == U"depth") return Value(int64_t{depth_ + 1});
  if (name == U"depth0") return Value(int64_t{depth_});
  if (name == U"last" || name == U"nextitem") {
    SLUICE_TRY(Fill(1));
    if (name == U"last") return Value(waiting_.empty());
    if (waiting_.empty()) return Value::UndefinedBecause("there is no next item");
    return waiting_.front();
  }
  if (name == U"previtem") {
    return index0_ == 0 ? Value::UndefinedBecause("there is no previous item") : previous_;
  }
  if (name == U"length" || name == U"revindex" || name == U"revindex0") {
    SLUICE_TRY_ASSIGN(const int64_t length, Length());
    if (name == U"length") return Value(length);
    return Value(length - index0_ - (name == U"revindex0" ? 1 : 0));
  }
  const std::shared_ptr<Loop> self = shared_from_this();
  if (name == U"cycle") {
    return NewFunction("cycle", held_depth_, [self](const Arguments& arguments, Interpreter*) {
      return self->Cycle(arguments);
    });
  }
  if (name == U"changed") {
    return NewFunction("changed", held_depth_, [self](const Arguments& arguments, Interpreter*) {
      return self->Changed(arguments);
    });
  }
  return Value();
}

Result<Value> Loop::Call(Interpreter* interpreter, const Arguments& arguments) {
  if (!statement_.recursive) {
    return InvalidArgumentError("loop() needs a loop that is marked \"recursive\"");
  }
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"iterable"}));
  if (bound[0] == nullptr) return Missing("iterable");
  return interpreter->LoopText(statement_, around_, *bound[0], depth_ + 1);
}

Result<Value> Macro::Attribute(const Text& name) {
  if (name == U"name") return statement_.shown_name;
  return name == U"arguments" ? statement_.shown_parameters : Value();
}

Result<Value> Macro::Call(Interpreter* interpreter, const Arguments& arguments) {
  return interpreter->CallMacro(statement_, definition_, arguments);
}

}  // namespace sluice::jinja

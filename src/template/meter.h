// Meter: what one rendering has used of what it may use. Templates come out of files that other
// people wrote: none may loop, recurse or allocate without bound.
#pragma once

#include <cstdint>
#include <vector>

#include "sluice/status.h"
#include "template/value.h"

namespace sluice::jinja {

// Far above what any known template needs for a conversation of a million tokens.
struct RenderLimits {
  int64_t steps = int64_t{1} << 22;   // expressions and statements: a second or two
  int64_t work = int64_t{1} << 26;    // characters made, copied or compared: 256 MiB at most
  int64_t output = int64_t{1} << 24;  // characters of the prompt
  int depth = 600;  // nested statements, expressions and calls: a bound for the stack
};

class Meter {
 public:
  explicit Meter(const RenderLimits& limits) : limits_(limits) {}

  Status Step() { return ++steps_ > limits_.steps ? TooMuch("steps") : Status(); }
  // Before something of `amount` characters or items is made or read. A negative amount is one that
  // overflowed, and too much.
  Status Charge(int64_t amount);
  Status ChargeFor(const Value& value) { return Charge(CostOf(value) + 1); }
  // After functions that lowered `*work()` themselves.
  int64_t* work() { return &limits_.work; }
  Status CheckWork() const { return limits_.work < 0 ? TooMuch("characters") : Status(); }

  Status Enter() { return ++depth_ > limits_.depth ? TooMuch("nested calls") : Status(); }
  void Leave() { --depth_; }

  // What iterating over `value` gives; fails where Python cannot. Empties a generator.
  Result<std::vector<Value>> Items(const Value& value);
  // What printing `value` shows.
  Result<Text> Show(const Value& value);

  int64_t output_limit() const { return limits_.output; }
  int64_t work_left() const { return limits_.work; }

  static Status TooMuch(const char* what);

 private:
  RenderLimits limits_;  // `work` counts down
  int64_t steps_ = 0;
  int depth_ = 0;
};

}  // namespace sluice::jinja

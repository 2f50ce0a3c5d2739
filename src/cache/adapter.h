// Which rules of `adapt` fire: conditions, how long they must hold, how long a rule then rests.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cache/monitor.h"
#include "cache/policy_spec.h"

namespace sluice {

class Adapter {
 public:
  // `rules` outlive the adapter.
  explicit Adapter(std::span<const AdaptRule> rules) : rules_(rules), states_(rules.size()) {}

  // After each step: the rules that fire now, in the order in which they are written. The answer is
  // valid until the next call.
  std::span<const int32_t> Evaluate(const Monitor& monitor, const Monitor::Present& present);

 private:
  struct Amounts {  // of each SpanUnit
    double accesses = 0, tokens = 0, steps = 0, seconds = 0;
  };
  struct State {
    bool holds = false;
    Amounts since;  // when the condition began to hold
    std::optional<Amounts> fired;
  };
  static double Passed(const Span& span, const Amounts& from, const Amounts& to);

  const std::span<const AdaptRule> rules_;
  std::vector<State> states_;
  std::vector<int32_t> firing_;
  Amounts now_;
};

}  // namespace sluice

#include "cache/adapter.h"

#include <algorithm>

namespace sluice {

double Adapter::Passed(const Span& span, const Amounts& from, const Amounts& to) {
  switch (span.unit) {
    case SpanUnit::kAccesses:
      return to.accesses - from.accesses;
    case SpanUnit::kTokens:
      return to.tokens - from.tokens;
    case SpanUnit::kSteps:
      return to.steps - from.steps;
    case SpanUnit::kMilliseconds:
      return (to.seconds - from.seconds) * 1e3;
    case SpanUnit::kSeconds:
      return to.seconds - from.seconds;
  }
  return 0;
}

std::span<const int32_t> Adapter::Evaluate(const Monitor& monitor,
                                           const Monitor::Present& present) {
  firing_.clear();
  const Amounts before = now_;
  const StepCounts& last = monitor.last();
  now_.accesses += static_cast<double>(last.accesses);
  now_.tokens += static_cast<double>(last.tokens);
  now_.steps += 1;
  if (present.clock != nullptr) now_.seconds = present.clock->seconds;
  const auto holds = [&](const std::vector<ConditionAtom>& atoms) {
    return std::ranges::all_of(atoms, [&](const ConditionAtom& atom) {
      const std::optional<double> value = monitor.Value(atom.metric, present);
      return value && Holds(atom, *value);
    });
  };
  for (size_t i = 0; i < rules_.size(); ++i) {
    const AdaptRule& rule = rules_[i];
    State& state = states_[i];
    if (!std::ranges::any_of(rule.when, holds)) {
      state.holds = false;
      continue;
    }
    if (!state.holds) {
      state.holds = true;
      state.since = before;  // this step counts as the first that held
    }
    if (Passed(rule.hold, state.since, now_) < static_cast<double>(rule.hold.count)) continue;
    if (state.fired &&
        Passed(rule.cooldown, *state.fired, now_) < static_cast<double>(rule.cooldown.count)) {
      continue;
    }
    state.fired = now_;
    firing_.push_back(static_cast<int32_t>(i));
  }
  return firing_;
}

}  // namespace sluice

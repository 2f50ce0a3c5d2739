// Conditions become "any of these conjunctions"; every action is tried on a copy of the policy.
#include "policy/adapt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "policy/bind.h"
#include "policy/names.h"
#include "policy/rules.h"

namespace sluice {
namespace {

using Kind = AdaptAction::Kind;

// MoE-PolicyLang's names of what a rule may set.
struct OldName {
  std::string_view name;
  Tunable tunable;
};
constexpr std::array<OldName, 4> kOldNames = {{{"lfu_decay", Tunable::kFrequencyDecay},
                                               {"prefetch_strategy", Tunable::kPrefetchStrategy},
                                               {"prefetch_budget", Tunable::kPrefetchBudget},
                                               {"schedule_mode", Tunable::kScheduleMode}}};

std::optional<Comparison> ParseComparison(std::string_view text) {
  for (int i = 0; i < 5; ++i) {
    if (ComparisonText(static_cast<Comparison>(i)) == text) return static_cast<Comparison>(i);
  }
  return std::nullopt;
}

bool PrefetchMetric(Metric metric) {
  return metric == Metric::kPrefetchAccuracy || metric == Metric::kPrefetchCoverage ||
         metric == Metric::kPrefetchWaste;
}

// The field of a parameter as AdaptAction has it.
struct Extract {
  AdaptAction* action;
  void operator()(const double* field) { action->number = *field; }
  void operator()(const int32_t* field) { action->number = *field; }
  void operator()(const int64_t* field) { action->number = static_cast<double>(*field); }
  void operator()(const Capacity* field) { action->number = field->amount; }
  void operator()(const PrefetchSpec* field) { action->number = field->budget; }
  void operator()(const Eviction* field) { action->eviction = *field; }
  void operator()(const std::vector<std::string>* field) { action->names = *field; }
  void operator()(const EnumField& field) { action->number = field.get(field.at); }
  template <typename Other>
  void operator()(const Other* /*field*/) {}
};

class RuleCompiler {
 public:
  RuleCompiler(const CompiledPolicy& base, const AdaptContext& context)
      : base_(base), trial_(base), context_(context), diagnostics_(context.diagnostics) {}

  std::optional<AdaptRule> Rule(const AdaptNode& node) {
    AdaptRule rule;
    rule.line = node.place.line;
    if (context_.legacy) rule.cooldown.unit = SpanUnit::kAccesses;  // its layer calls
    bool good = Condition(node.when, &rule.when);
    if (node.hold) good = SpanInto(*node.hold, "for", &rule.hold) && good;
    if (node.cooldown) good = SpanInto(*node.cooldown, "cooldown", &rule.cooldown) && good;
    if (node.actions.size() > kMostActions) {
      diagnostics_->Add("E103", node.place, fmt::format("more than {} actions", kMostActions));
      return std::nullopt;
    }
    for (const ActionNode& action : node.actions) {
      std::optional<AdaptAction> compiled = Action(action);
      if (compiled) {
        rule.actions.push_back(std::move(*compiled));
      } else if (!ignored_) {
        good = false;
      }
    }
    if (!good || rule.actions.empty()) return std::nullopt;
    if (!StillValid(node.place)) return std::nullopt;
    return rule;
  }

  std::optional<AdaptRule> Guard(const ParameterNode& node, const Parameter& parameter,
                                 std::optional<Phase> phase) {
    AdaptRule rule;
    rule.line = node.place.line;
    if (context_.legacy) rule.cooldown.unit = SpanUnit::kAccesses;
    if (!parameter.change) {
      CannotChange(node.name, BlockName(parameter.block), parameter.name);
      return std::nullopt;
    }
    if (!Condition(node.guard->when, &rule.when)) return std::nullopt;
    AdaptAction action{.tunable = *parameter.change, .phase = phase};
    if (!Assign(parameter, node.guard->value, &action)) return std::nullopt;
    rule.actions.push_back(std::move(action));
    if (!StillValid(node.place)) return std::nullopt;
    return rule;
  }

 private:
  bool SpanInto(const SpanNode& node, std::string_view word, Span* span) {
    const double count = node.count.number;
    if (!(count >= 1) || count != std::floor(count) || count > 1e9) {
      diagnostics_->Add("E805", node.place, fmt::format("{} {}", word, node.count.text),
                        fmt::format("write {} 1 {} or more", word, node.unit.text));
      return false;
    }
    *span = {.count = static_cast<int64_t>(count), .unit = ParseSpanUnit(node.unit.text)};
    return true;
  }

  // ---- conditions

  bool Condition(const ConditionNode& node, sluice::Condition* condition) {
    if (!Normal(node, condition)) return false;
    size_t atoms = 0;
    for (const auto& conjunction : *condition) atoms += conjunction.size();
    if (condition->size() <= kMostConjunctions && atoms <= kMostAtoms) return true;
    return TooComplicated(node.place);
  }
  bool TooComplicated(const Place& place) {
    diagnostics_->Add("E806", place,
                      fmt::format("this condition has more than {} cases", kMostConjunctions),
                      "make several rules of it");
    return false;
  }

  bool Normal(const ConditionNode& node, sluice::Condition* condition) {
    if (node.kind == ConditionNode::Kind::kAtom) {
      ConditionAtom atom;
      if (!Atom(node, &atom)) return false;
      *condition = {{atom}};
      return true;
    }
    sluice::Condition result;
    if (node.kind == ConditionNode::Kind::kAnd) result = {{}};
    for (const ConditionNode& child : node.children) {
      sluice::Condition part;
      if (!Normal(child, &part)) return false;
      if (node.kind == ConditionNode::Kind::kOr) {
        result.insert(result.end(), part.begin(), part.end());
      } else {
        sluice::Condition product;
        if (result.size() * part.size() > kMostConjunctions) return TooComplicated(node.place);
        for (const auto& left : result) {
          for (const auto& right : part) {
            product.push_back(left);
            product.back().insert(product.back().end(), right.begin(), right.end());
          }
        }
        result = std::move(product);
      }
      if (result.size() > kMostConjunctions || result[0].size() > kMostAtoms) {
        return TooComplicated(node.place);
      }
    }
    *condition = std::move(result);
    return true;
  }

  bool Atom(const ConditionNode& node, ConditionAtom* atom) {
    const auto known = std::ranges::find(Metrics(), node.metric.text, &MetricName::name);
    if (known == Metrics().end()) {
      diagnostics_->Add("E202", node.metric.place,
                        fmt::format("unknown metric '{}'", node.metric.text),
                        SuggestName(node.metric.text, MetricNames()));
      return false;
    }
    const std::optional<Comparison> comparison = ParseComparison(node.comparison.text);
    if (!comparison) return false;  // '==', reported by the lexer
    *atom = {.metric = known->metric, .comparison = *comparison};
    if (PrefetchMetric(known->metric) && !Prefetches()) {
      diagnostics_->Add("E805", node.metric.place,
                        fmt::format("{}, but nothing is prefetched", known->name),
                        "add a prefetch block with a strategy");
      return false;
    }
    return ConvertUnit(node.number, known->unit, "E209", diagnostics_, &atom->value);
  }
  bool Prefetches() const {
    return !context_.base_valid ||
           std::ranges::any_of(base_.spec.prefetch,
                               [](const PrefetchSpec& p) { return !p.strategies.empty(); });
  }

  // ---- actions

  std::optional<AdaptAction> Action(const ActionNode& node) {
    const Word& word = node.path.front();
    switch (node.kind) {
      case ActionNode::Kind::kSet:
        return Set(node);
      case ActionNode::Kind::kLog:
        return AdaptAction{.kind = Kind::kLog, .text = word.text};
      case ActionNode::Kind::kTrigger: {
        constexpr std::array<std::string_view, 1> kTriggers = {"memory_pressure"};
        if (!Known(word, "trigger", kTriggers)) return std::nullopt;
        if (base_.spec.cache.memory_threshold > 0) {
          return AdaptAction{.kind = Kind::kTriggerMemoryPressure};
        }
        return Missing(node, "memory_threshold is not set", "add cache.memory_threshold");
      }
      case ActionNode::Kind::kReset: {
        constexpr std::array<std::string_view, 2> kResets = {"stats", "profile"};
        if (!Known(word, "reset", kResets)) return std::nullopt;
        return AdaptAction{.kind = word.text == "stats" ? Kind::kResetStats : Kind::kResetProfile};
      }
      case ActionNode::Kind::kRebalance: {
        const Parameter& allocation = *FindParameter(BlockKind::kPerLayer, "allocation");
        for (const NamedNumber& name : allocation.type.words) {
          if (name.name != word.text) continue;
          if (base_.spec.per_layer) {
            return AdaptAction{.kind = Kind::kRebalance, .number = name.number};
          }
          return Missing(node, "there is no per_layer block", "add per_layer { }");
        }
        std::vector<std::string_view> names;
        for (const NamedNumber& name : allocation.type.words) names.push_back(name.name);
        Known(word, "rebalance", names);
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  bool Known(const Word& word, std::string_view verb, std::span<const std::string_view> names) {
    if (std::ranges::find(names, word.text) != names.end()) return true;
    diagnostics_->Add("E201", word.place,
                      fmt::format("nothing to {} is called '{}'", verb, word.text),
                      SuggestName(word.text, names));
    return false;
  }
  std::optional<AdaptAction> Missing(const ActionNode& node, std::string message,
                                     std::string remedy) {
    if (context_.base_valid) {
      diagnostics_->Add("E804", node.place, std::move(message), std::move(remedy));
    }
    return std::nullopt;
  }

  std::optional<AdaptAction> Set(const ActionNode& node) {
    AdaptAction action;
    const Parameter* parameter = Target(node, &action.phase);
    if (parameter == nullptr) return std::nullopt;
    if (!parameter->change) {
      CannotChange(node.path.back(), BlockName(parameter->block), parameter->name);
      return std::nullopt;
    }
    action.tunable = *parameter->change;
    if (!Assign(*parameter, node.value, &action)) return std::nullopt;
    return action;
  }

  void CannotChange(const Word& word, std::string_view block, std::string_view name) {
    std::string known;
    for (const Parameter& each : Parameters()) {
      if (each.change)
        known +=
            fmt::format("{}{}.{}", known.empty() ? "" : ", ", BlockName(each.block), each.name);
    }
    diagnostics_->Add("E801", word.place,
                      fmt::format("{}.{} cannot change while the model runs", block, name),
                      "these can: " + known);
  }

  // cache.eviction, prefetch.decode.budget, or a name that says enough.
  const Parameter* Target(const ActionNode& node, std::optional<Phase>* phase) {
    const std::vector<Word>& path = node.path;
    if (path.size() == 1) return ShortTarget(path[0]);
    const std::optional<BlockKind> block = FindBlock(path[0].text);
    if (!block || path.size() > 3) {
      std::array<std::string_view, kBlockKinds> names;
      for (size_t i = 0; i < names.size(); ++i) names[i] = BlockName(static_cast<BlockKind>(i));
      diagnostics_->Add("E207", path[0].place, fmt::format("unknown block '{}'", path[0].text),
                        SuggestName(path[0].text, names));
      return nullptr;
    }
    if (path.size() == 3) {
      if (path[1].text == "decode") *phase = Phase::kDecode;
      if (path[1].text == "prefill") *phase = Phase::kPrefill;
      if (!*phase || !HasPhases(*block)) {
        diagnostics_->Add("E210", path[1].place,
                          fmt::format("'{}' is no phase of {}", path[1].text, path[0].text),
                          "prefetch and schedule have the phases decode and prefill");
        return nullptr;
      }
    }
    const Parameter* parameter = FindParameter(*block, path.back().text);
    if (parameter == nullptr) {
      diagnostics_->Add("E207", path.back().place,
                        fmt::format("unknown parameter '{}' in {}", path.back().text, path[0].text),
                        SuggestName(path.back().text, ParameterNames(*block)));
    }
    return parameter;
  }

  const Parameter* ShortTarget(const Word& name) {
    for (const OldName& old : kOldNames) {
      if (old.name == name.text) return FindTunable(old.tunable);
    }
    const Parameter* fixed = nullptr;
    std::vector<std::string_view> names;
    for (const Parameter& parameter : Parameters()) {
      if (parameter.change) names.push_back(parameter.name);
      if (parameter.name != name.text) continue;
      if (parameter.change) return &parameter;
      fixed = &parameter;
    }
    if (fixed != nullptr) return fixed;
    // MoE-PolicyLang let such a rule pass and did nothing.
    diagnostics_->Add(context_.legacy ? "W904" : "E207", name.place,
                      fmt::format("unknown parameter '{}'", name.text),
                      SuggestName(name.text, names));
    ignored_ = context_.legacy;
    return nullptr;
  }

  // Puts the value into the trial policy and into the action.
  bool Assign(const Parameter& parameter, const Value& value, AdaptAction* action) {
    const BindSettings settings{.type_code = "E802", .name_code = "E201", .range_code = "E803"};
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
      if (action->phase.value_or(phase) != phase) continue;
      PolicySpec& spec = trial_.spec;
      const PolicyParts parts{.cache = &spec.cache,
                              .prefetch = &spec.prefetch[static_cast<size_t>(phase)],
                              .schedule = &spec.schedule[static_cast<size_t>(phase)],
                              .monitor = &spec.monitor};
      if (!BindValue(parameter, value, parts, settings, diagnostics_)) return false;
      std::visit(Extract{action}, parameter.field(parts));
    }
    const bool slots = trial_.spec.cache.capacity.kind == Capacity::Kind::kSlots;
    if (action->tunable == Tunable::kCapacity && !slots) {
      diagnostics_->Add("E802", value.place, "a rule sets capacity to a number of slots",
                        "write capacity = 16, say");
      return false;
    }
    const bool idle = trial_.spec.prefetch[0].budget_idle != base_.spec.prefetch[0].budget_idle ||
                      trial_.spec.prefetch[1].budget_idle != base_.spec.prefetch[1].budget_idle;
    if (action->tunable == Tunable::kPrefetchBudget && idle && Mentions(value, "idle")) {
      diagnostics_->Add("E802", value.place, "a rule sets budget to a number",
                        "write budget = 4, say");
      return false;
    }
    return true;
  }
  static bool Mentions(const Value& value, std::string_view word) {
    return std::ranges::any_of(value.scalars, [&](const Scalar& s) { return s.text == word; });
  }

  // The policy as it is once the rule has fired.
  bool StillValid(const Place& place) {
    bool valid = true;
    if (!context_.base_valid) return valid;
    CheckPolicy(trial_, *context_.options,
                [&](std::string_view code, const std::string&, std::string message,
                    const std::string& remedy) {
                  diagnostics_->Add("E803", place,
                                    fmt::format("once this has fired: {} ({})", message, code),
                                    remedy);
                  valid = false;
                });
    return valid;
  }

  const CompiledPolicy& base_;
  CompiledPolicy trial_;
  const AdaptContext& context_;
  Diagnostics* diagnostics_;
  bool ignored_ = false;
};

// ---- oscillation

struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;

  void Narrow(Comparison comparison, double value) {
    switch (comparison) {
      case Comparison::kLess:
      case Comparison::kLessEqual:
        if (value < high || (value == high && comparison == Comparison::kLess)) {
          high = value;
          high_open = comparison == Comparison::kLess;
        }
        break;
      case Comparison::kGreater:
      case Comparison::kGreaterEqual:
        if (value > low || (value == low && comparison == Comparison::kGreater)) {
          low = value;
          low_open = comparison == Comparison::kGreater;
        }
        break;
      case Comparison::kNotEqual:  // leaves nearly everything
        break;
    }
  }
  bool empty() const { return low > high || (low == high && (low_open || high_open)); }
};

bool CanBothHold(const std::vector<ConditionAtom>& a, const std::vector<ConditionAtom>& b) {
  std::array<Interval, kMetrics> intervals;
  for (const std::vector<ConditionAtom>* atoms : {&a, &b}) {
    for (const ConditionAtom& atom : *atoms) {
      intervals[static_cast<size_t>(atom.metric)].Narrow(atom.comparison, atom.value);
    }
  }
  return std::ranges::none_of(intervals, &Interval::empty);
}

bool CanBothHold(const Condition& a, const Condition& b) {
  for (const auto& left : a) {
    for (const auto& right : b) {
      if (CanBothHold(left, right)) return true;
    }
  }
  return false;
}

// The parameter that both rules set, to different values.
const AdaptAction* Conflict(const AdaptRule& a, const AdaptRule& b) {
  for (const AdaptAction& x : a.actions) {
    for (const AdaptAction& y : b.actions) {
      const bool same = x.kind == Kind::kSet && y.kind == Kind::kSet && x.tunable == y.tunable &&
                        (!x.phase || !y.phase || x.phase == y.phase);
      if (!same) continue;
      if (x.number != y.number || x.eviction != y.eviction || x.names != y.names) return &y;
    }
  }
  return nullptr;
}

}  // namespace

std::optional<AdaptRule> CompileRule(const AdaptNode& node, const CompiledPolicy& base,
                                     const AdaptContext& context) {
  return RuleCompiler(base, context).Rule(node);
}

std::optional<AdaptRule> CompileGuard(const ParameterNode& node, const Parameter& parameter,
                                      std::optional<Phase> phase, const CompiledPolicy& base,
                                      const AdaptContext& context) {
  return RuleCompiler(base, context).Guard(node, parameter, phase);
}

void FindOscillation(const std::vector<AdaptRule>& rules, const std::vector<Place>& places,
                     Diagnostics* diagnostics) {
  for (size_t i = 0; i < rules.size(); ++i) {
    for (size_t j = i + 1; j < rules.size(); ++j) {
      const AdaptAction* action = Conflict(rules[i], rules[j]);
      if (action == nullptr || !CanBothHold(rules[i].when, rules[j].when)) continue;
      diagnostics->Add("W903", places[j],
                       fmt::format("the rule of line {} sets {} otherwise, and both conditions can "
                                   "hold at once",
                                   rules[i].line, FindTunable(action->tunable)->name),
                       "leave a gap between their conditions");
    }
  }
}

std::string PrintAction(const AdaptAction& action) {
  switch (action.kind) {
    case Kind::kTriggerMemoryPressure:
      return "trigger memory_pressure";
    case Kind::kResetProfile:
      return "reset profile";
    case Kind::kResetStats:
      return "reset stats";
    case Kind::kLog:
      return "log " + Quote(action.text);
    case Kind::kRebalance:
    case Kind::kSet:
      break;
  }
  const Parameter& parameter = action.kind == Kind::kRebalance
                                   ? *FindParameter(BlockKind::kPerLayer, "allocation")
                                   : *FindTunable(action.tunable);
  std::string value = PrintNumber(action.number);
  for (const NamedNumber& word : parameter.type.words) {
    if (word.number != action.number) continue;
    value = word.name;
    break;
  }
  if (action.kind == Kind::kRebalance) return "rebalance " + value;
  if (action.tunable == Tunable::kEviction) {
    value = action.eviction.primary;
    if (!action.eviction.second.empty()) value += " | " + action.eviction.second;
  } else if (action.tunable == Tunable::kPrefetchStrategy) {
    value = action.names.empty() ? "none" : fmt::format("{}", fmt::join(action.names, " + "));
  }
  return fmt::format("{} = {}", ParameterKey(parameter.block, parameter.name, action.phase), value);
}

std::string PrintCondition(const Condition& condition) {
  std::string text;
  for (const auto& conjunction : condition) {
    if (!text.empty()) text += " or ";
    for (size_t i = 0; i < conjunction.size(); ++i) {
      const ConditionAtom& atom = conjunction[i];
      text += fmt::format("{}{} {} {}", i > 0 ? " and " : "", NameOf(atom.metric).name,
                          ComparisonText(atom.comparison), PrintNumber(atom.value));
    }
  }
  return text;
}

}  // namespace sluice

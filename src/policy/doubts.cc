// Warnings: what is allowed, but will not do what its author hopes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "policy/rules.h"

namespace sluice {
namespace {

bool Evicts(const PolicySpec& spec, std::initializer_list<std::string_view> names) {
  const auto is = [&](const std::string& rule) {
    return std::ranges::find(names, rule) != names.end();
  };
  if (is(spec.cache.eviction.primary) || is(spec.cache.eviction.second)) return true;
  for (const AdaptRule& rule : spec.adapt) {
    for (const AdaptAction& action : rule.actions) {
      const bool sets =
          action.kind == AdaptAction::Kind::kSet && action.tunable == Tunable::kEviction;
      if (sets && (is(action.eviction.primary) || is(action.eviction.second))) return true;
    }
  }
  return false;
}

bool Foretells(const PolicySpec& spec, std::optional<Phase> phase,
               std::initializer_list<std::string_view> names) {
  const auto any = [&](const std::vector<std::string>& strategies) {
    return std::ranges::any_of(strategies, [&](const std::string& strategy) {
      return names.size() == 0 || std::ranges::find(names, strategy) != names.end();
    });
  };
  for (const Phase each : {Phase::kDecode, Phase::kPrefill}) {
    if (phase.value_or(each) == each && any(spec.PrefetchOf(each).strategies)) return true;
  }
  for (const AdaptRule& rule : spec.adapt) {
    for (const AdaptAction& action : rule.actions) {
      if (action.kind == AdaptAction::Kind::kSet && action.tunable == Tunable::kPrefetchStrategy &&
          any(action.names)) {
        return true;
      }
    }
  }
  return false;
}

bool Schedules(const PolicySpec& spec, std::optional<Phase> phase,
               std::initializer_list<Mode> modes) {
  const auto is = [&](Mode mode) { return std::ranges::find(modes, mode) != modes.end(); };
  for (const Phase each : {Phase::kDecode, Phase::kPrefill}) {
    if (phase.value_or(each) == each && is(spec.ScheduleOf(each).mode)) return true;
  }
  for (const AdaptRule& rule : spec.adapt) {
    for (const AdaptAction& action : rule.actions) {
      if (action.kind == AdaptAction::Kind::kSet && action.tunable == Tunable::kScheduleMode &&
          is(static_cast<Mode>(static_cast<int>(action.number)))) {
        return true;
      }
    }
  }
  return false;
}

// The rules and strategies that read a parameter.
struct Readers {
  BlockKind block;
  std::string_view parameter;
  std::string_view name;
  std::string_view other = name;  // or this one
};
constexpr std::array kReaders = {
    Readers{BlockKind::kCache, "frequency_decay", "lfu", "lfru"},
    Readers{BlockKind::kCache, "decay_every", "lfu", "lfru"},
    Readers{BlockKind::kCache, "freq_threshold", "frequency_threshold"},
    Readers{BlockKind::kCache, "freq_window", "frequency_threshold"},
    Readers{BlockKind::kCache, "score_ema_alpha", "score"},
    Readers{BlockKind::kCache, "score_top", "score"},
    Readers{BlockKind::kCache, "slru_protected", "slru"},
    Readers{BlockKind::kPrefetch, "affinity_threshold", "affinity"},
    Readers{BlockKind::kPrefetch, "history_window", "history", "lookahead"},
    Readers{BlockKind::kPrefetch, "store", "pattern", "similar"},
    Readers{BlockKind::kPrefetch, "match", "pattern"},
    Readers{BlockKind::kPrefetch, "key", "pattern"},
};

std::string NoReader(const Parameter& parameter, std::optional<Phase> phase,
                     const PolicySpec& spec) {
  for (const Readers& readers : kReaders) {
    if (readers.block != parameter.block || readers.parameter != parameter.name) continue;
    const bool read = readers.block == BlockKind::kCache
                          ? Evicts(spec, {readers.name, readers.other})
                          : Foretells(spec, phase, {readers.name, readers.other});
    if (read) return {};
    if (readers.name == readers.other) return fmt::format("only {} reads it", readers.name);
    return fmt::format("only {} and {} read it", readers.name, readers.other);
  }
  return {};
}

// What the prefetch parameters that have no reader of their own need.
std::string NoPrefetch(const Parameter& parameter, std::optional<Phase> phase,
                       const PolicySpec& spec) {
  if (parameter.name != "strategy" && !Foretells(spec, phase, {})) {
    return "nothing is prefetched: strategy = none";
  }
  return NoReader(parameter, phase, spec);
}

std::string NoCost(const Parameter& parameter, std::optional<Phase> phase, const PolicySpec& spec) {
  const std::string_view name = parameter.name;
  if (name == "priority_routing") return "it is accepted for old files only";
  if (name == "offload_threshold_ms" && !Schedules(spec, phase, {Mode::kHybrid})) {
    return "only mode = hybrid reads it";
  }
  const bool time = name.find("_ms_") != std::string_view::npos || name == "objective";
  if (time && !Schedules(spec, phase, {Mode::kCost, Mode::kGreedy})) {
    return "only mode = cost and greedy read it";
  }
  return {};
}

}  // namespace

std::string WhyNoEffect(const Parameter& parameter, std::optional<Phase> phase,
                        const PolicySpec& spec) {
  const CacheSpec& cache = spec.cache;
  const std::string_view name = parameter.name;
  switch (parameter.block) {
    case BlockKind::kCache: {
      const bool trigger = name == "memory_headroom" || name == "memory_budget_gb";
      if (trigger && cache.memory_threshold == 0) return "memory_threshold is not set";
      if (name == "profile" && cache.init != Init::kProfile) return "init is not profile";
      const bool inserts = name == "insert_cap" || name == "prefill_insert";
      if (inserts && cache.admission == Admission::kNever) return "admission = never";
      return NoReader(parameter, phase, spec);
    }
    case BlockKind::kPrefetch:
      return NoPrefetch(parameter, phase, spec);
    case BlockKind::kSchedule:
      return NoCost(parameter, phase, spec);
    case BlockKind::kMonitor:
      if (name == "sample" && spec.monitor.trace.empty()) return "no trace is written";
      return {};
    case BlockKind::kPerLayer:
      if (name == "entropy_window" && spec.per_layer->allocation == Allocation::kUniform) {
        return "a uniform allocation looks at nothing";
      }
      return {};
    default:
      return {};
  }
}

namespace {

// Guesses that a budget alone holds back.
bool Unthresholded(const PrefetchSpec& prefetch) {
  if (prefetch.strategies.empty() || prefetch.budget_idle) return false;
  if (prefetch.strategies[0] == "all" || prefetch.strategies[0] == "demand") return false;
  return prefetch.min_confidence == 0;
}

void DoubtNumbers(const PolicySpec& spec, const CompileOptions& options, const FoundRule& found) {
  if (!options.shape) return;
  const TargetModel& shape = *options.shape;
  const std::optional<double> slots = SlotsOf(spec.cache.capacity, spec.cache.scope, options);
  if (slots && spec.cache.scope == Scope::kLayer && *slots < 2.0 * shape.top_k &&
      *slots < shape.experts) {
    found("W902", "cache.capacity",
          fmt::format("{:.0f} slots per layer where each token takes {}", *slots, shape.top_k),
          "below twice top_k each further slot saves many misses");
  }
  for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
    const PrefetchSpec& prefetch = spec.PrefetchOf(phase);
    if (!Unthresholded(prefetch) || prefetch.budget <= shape.top_k) continue;
    found("W906", ParameterKey(BlockKind::kPrefetch, "budget", phase),
          fmt::format("{} guesses per call, however unlikely, where {} experts are used",
                      prefetch.budget, shape.top_k),
          "add min_confidence, for example 0.5");
  }
}

// Why what is written under `key` does nothing; "" if it does something.
std::string WhyInVain(const std::string& key, const CompiledPolicy& policy) {
  const std::string_view text = key;
  const std::optional<BlockKind> block = FindBlock(text.substr(0, text.find('.')));
  if (!block || *block == BlockKind::kTier) return {};
  const Parameter* parameter = FindParameter(*block, text.substr(text.rfind('.') + 1));
  if (parameter == nullptr) return {};
  if (!HasPhases(*block)) return WhyNoEffect(*parameter, {}, policy.spec);
  const bool decode = text.find(".decode.") != std::string_view::npos;
  const Phase phase = decode ? Phase::kDecode : Phase::kPrefill;
  const Phase other = decode ? Phase::kPrefill : Phase::kDecode;
  // Written once for both phases, it does something if it does in one.
  const auto twin = policy.origins.find(ParameterKey(*block, parameter->name, other));
  const bool shared = twin != policy.origins.end() &&
                      twin->second.place.offset == policy.origins.at(key).place.offset;
  if (shared && WhyNoEffect(*parameter, other, policy.spec).empty()) return {};
  return WhyNoEffect(*parameter, phase, policy.spec);
}

}  // namespace

void FindDoubts(const CompiledPolicy& policy, const CompileOptions& options,
                const FoundRule& found) {
  const PolicySpec& spec = policy.spec;
  if (Evicts(spec, {"score"}) && !Foretells(spec, {}, {})) {
    found("W901", "cache.eviction", "score needs router scores, which not every trace has",
          "MoE-PolicyLang asked for a prefetch strategy here; none is needed");
  }
  if (spec.cache.history == History::kResident) {
    found("W905", "cache.history",
          "an expert that leaves loses its past: measured worse than random in small caches",
          "write history = all");
  }
  DoubtNumbers(spec, options, found);
  for (const auto& [key, origin] : policy.origins) {
    if (origin.policy != spec.name) continue;  // said where it is written
    const std::string why = WhyInVain(key, policy);
    if (why.empty()) continue;
    found("W904", key, fmt::format("{} has no effect: {}", key.substr(key.rfind('.') + 1), why),
          "");
  }
}

}  // namespace sluice

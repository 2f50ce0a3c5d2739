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

void FindDoubts(const CompiledPolicy& policy, const CompileOptions& options,
                const FoundRule& found) {
  const PolicySpec& spec = policy.spec;
  if (Evicts(spec, {"score"}) && !Foretells(spec, {}, {})) {
    found("W901", "cache.eviction", "score needs router scores, which not every trace has",
          "MoE-PolicyLang asked for a prefetch strategy here; none is needed");
  }
  const std::optional<double> slots = SlotsOf(spec.cache.capacity, spec.cache.scope, options);
  if (options.shape && slots && spec.cache.scope == Scope::kLayer &&
      *slots < 2.0 * options.shape->top_k && *slots < options.shape->experts) {
    found("W902", "cache.capacity",
          fmt::format("{:.0f} slots per layer where each token takes {}", *slots,
                      options.shape->top_k),
          "below twice top_k each further slot saves many misses");
  }
  if (spec.cache.history == History::kResident) {
    found("W905", "cache.history",
          "an expert that leaves loses its past: measured worse than random in small caches",
          "write history = all");
  }
  for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
    const PrefetchSpec& prefetch = spec.PrefetchOf(phase);
    const bool everything = prefetch.strategies == std::vector<std::string>{"all"} ||
                            prefetch.strategies == std::vector<std::string>{"demand"};
    const bool guesses = !prefetch.strategies.empty() && !everything && !prefetch.budget_idle;
    if (options.shape && guesses && prefetch.min_confidence == 0 &&
        prefetch.budget > options.shape->top_k) {
      found("W906", ParameterKey(BlockKind::kPrefetch, "budget", phase),
            fmt::format("{} guesses per call, however unlikely, where {} experts are used",
                        prefetch.budget, options.shape->top_k),
            "add min_confidence, for example 0.5");
    }
  }
  for (const auto& [key, origin] : policy.origins) {
    if (origin.policy != spec.name) continue;  // said where it is written
    const size_t dot = key.find('.');
    const std::optional<BlockKind> block = FindBlock(std::string_view(key).substr(0, dot));
    if (!block || *block == BlockKind::kTier) continue;
    std::optional<Phase> phase;
    if (HasPhases(*block)) {
      phase = key.find(".decode.") != std::string::npos ? Phase::kDecode : Phase::kPrefill;
    }
    const Parameter* parameter =
        FindParameter(*block, std::string_view(key).substr(key.rfind('.') + 1));
    if (parameter == nullptr) continue;
    const std::string why = WhyNoEffect(*parameter, phase, spec);
    // Written for both phases, it does something if it does in one.
    const bool elsewhere =
        phase && policy.origins.contains(ParameterKey(*block, parameter->name, Phase::kDecode)) &&
        policy.origins.contains(ParameterKey(*block, parameter->name, Phase::kPrefill)) &&
        policy.origins.at(ParameterKey(*block, parameter->name, Phase::kDecode)).place.offset ==
            policy.origins.at(ParameterKey(*block, parameter->name, Phase::kPrefill)).place.offset;
    if (why.empty()) continue;
    if (elsewhere) {
      const Phase other = *phase == Phase::kDecode ? Phase::kPrefill : Phase::kDecode;
      if (WhyNoEffect(*parameter, other, spec).empty()) continue;
    }
    found("W904", key, fmt::format("{} has no effect: {}", parameter->name, why), "");
  }
}

}  // namespace sluice

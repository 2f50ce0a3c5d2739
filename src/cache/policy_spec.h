// A compiled policy: what the .moe language, its C++ builder and the tuner all produce, and all
// that the decision core knows of a policy. Plain values; docs/policy-language.md says what each
// means and names the rule that checks it. A spec has been validated before the core sees it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/layer_call.h"

namespace sluice {

// How many slots: of each layer (Scope::kLayer) or of all layers together (Scope::kShared).
struct Capacity {
  enum class Kind { kAuto, kSlots, kBytes, kShare };
  Kind kind = Kind::kAuto;  // what the memory budget allows
  double amount = 0;        // slots; bytes over all layers; share of all experts in (0, 1]
  friend bool operator==(const Capacity&, const Capacity&) = default;
};

enum class Scope { kLayer, kShared };
enum class History { kAll, kResident };  // whose statistics are kept
enum class SpanUnit { kAccesses, kTokens, kSteps, kMilliseconds, kSeconds };
struct Span {
  int64_t count = 1;
  SpanUnit unit = SpanUnit::kTokens;
  friend bool operator==(const Span&, const Span&) = default;
};
// Experts [expert_first, expert_last] of layers [layer_first, layer_last]; -1 as last: to the end.
struct PinRange {
  int32_t layer_first = 0, layer_last = -1, expert_first = 0, expert_last = -1;
  friend bool operator==(const PinRange&, const PinRange&) = default;
};
enum class Init { kEmpty, kProfile, kFirst };
enum class Admission { kAlways, kSecondTouch, kFrequency, kNever };
enum class PrefillInsert { kHot, kCold, kBypass };
enum class Backend { kArena, kPageCache };

// Names a rule of eviction/builtins.inc; with `second` the cache has two levels, `primary |
// second`.
struct Eviction {
  std::string primary = "lfu";
  std::string second;
  friend bool operator==(const Eviction&, const Eviction&) = default;
};

struct CacheSpec {
  Capacity capacity;
  Scope scope = Scope::kLayer;
  Eviction eviction;
  History history = History::kAll;
  double frequency_decay = 0.95;  // of every count, once per decay_every
  Span decay_every;
  double freq_threshold = 0.05;  // share of the last freq_window accesses
  int64_t freq_window = 100;
  double score_ema_alpha = 0.3;
  int32_t score_top = 0;        // ranks whose scores count; 0: those selected
  double slru_protected = 0.5;  // share of the slots
  std::vector<PinRange> pins;
  Init init = Init::kEmpty;
  std::string profile;  // file
  Admission admission = Admission::kAlways;
  int32_t insert_cap = 0;  // experts inserted per call; 0: no cap
  PrefillInsert prefill_insert = PrefillInsert::kCold;
  int32_t protect = 0;  // residents of the next layers that are no victims
  Backend backend = Backend::kArena;
  double memory_threshold = 0;  // share of memory_budget_bytes; 0: no trigger
  double memory_headroom = 0.7;
  double memory_budget_bytes = 16.0 * (1 << 30);
  double expert_bytes = 0;  // 0: the model's
  int64_t ttl = 0;          // accesses without use after which an expert goes; 0: never
  friend bool operator==(const CacheSpec&, const CacheSpec&) = default;
};

enum class Select { kTopK, kThreshold, kCumulative };
enum class Learn { kOnline, kOffline, kOff };
enum class PrefetchInsert { kStaging, kCold, kHot };
enum class DistanceDecay { kNone, kLinear };
enum class Match { kCosine, kJaccard };
enum class PatternKey { kSequence, kTrajectory, kEmbedding };

// Names strategies of prefetch/builtins.inc; several are blended.
struct PrefetchSpec {
  std::vector<std::string> strategies;  // empty: no prefetch
  int32_t lookahead = 1;                // layers
  int32_t budget = 4;                   // experts per call, at most
  bool budget_idle = false;             // and no more than idle link time carries (`budget = idle`)
  double affinity_threshold = 0.3;
  int64_t history_window = 50;
  Select select = Select::kTopK;
  double min_confidence = 0;  // probability below which nothing is fetched
  Learn learn = Learn::kOnline;
  std::string table;  // file
  PrefetchInsert insert = PrefetchInsert::kStaging;
  int32_t max_inflight = 2;  // experts
  DistanceDecay distance_decay = DistanceDecay::kNone;
  int32_t store = 1000;  // patterns remembered
  Match match = Match::kCosine;
  PatternKey key = PatternKey::kTrajectory;
  friend bool operator==(const PrefetchSpec&, const PrefetchSpec&) = default;
};

enum class Mode { kFetch, kInPlace, kHybrid, kCost, kGreedy, kLayerwise };
enum class Order { kRouter, kReadyFirst, kHotFirst, kScore };
enum class Objective { kSum, kMax };

// Times are in milliseconds; unset ones are measured at start or given to the replay.
struct ScheduleSpec {
  Mode mode = Mode::kFetch;
  double offload_threshold_ms = 50;
  bool overlap = true;
  bool priority_routing = false;
  std::optional<double> cpu_ms_per_token, cpu_ms_fixed, gpu_ms_per_token, gpu_ms_fixed, transfer_ms;
  Objective objective = Objective::kMax;
  Order order = Order::kReadyFirst;
  int32_t batch_threshold = 32;  // tokens of a step from which on it counts as prefill
  int32_t waves = 0;             // 0: as many as needed
  int32_t microbatches = 1;      // 0: auto
  int32_t defer = 0;
  int32_t replicate = 1;
  bool active_only = true;
  bool lossy = false;
  double route_bias = 0;
  double drop_below = 0;
  int32_t min_experts = 0;  // 0: all
  friend bool operator==(const ScheduleSpec&, const ScheduleSpec&) = default;
};

enum class Metric {
  kHitRate,
  kMissRate,
  kEvictionRate,
  kPrefetchAccuracy,
  kPrefetchCoverage,
  kPrefetchWaste,
  kStallMs,
  kTokensPerSecond,
  kSlowMbps,
  kQueueDepth,
  kFreeMemory,
  kMemoryPressure,
  kEntropy,
  kReuse,
  kBatchTokens,
  kStep,
};
inline constexpr int kMetrics = 16;

struct MonitorSpec {
  std::vector<Metric> metrics = {Metric::kHitRate};
  int64_t window = 100;  // steps that a metric looks back on
  int64_t log_interval = 50;
  std::string trace;
  bool per_layer = false;
  double sample = 1;
  friend bool operator==(const MonitorSpec&, const MonitorSpec&) = default;
};

enum class Allocation { kUniform, kEntropy, kPopularity, kMarginal };
struct PerLayerSpec {
  Allocation allocation = Allocation::kUniform;
  int64_t entropy_window = 200;      // calls
  int64_t rebalance_interval = 500;  // calls
  int32_t min_capacity = 2;
  int32_t max_capacity = 64;
  int64_t total_budget = 0;  // slots; 0: layers x capacity
  int32_t hysteresis = 1;
  friend bool operator==(const PerLayerSpec&, const PerLayerSpec&) = default;
};

// A further memory beneath or above the cache, for machines with three (disk, RAM, GPU memory).
struct TierSpec {
  std::string name;
  Capacity capacity;
  Eviction eviction;
  double bytes_per_second = 0;  // 0: measured
  friend bool operator==(const TierSpec&, const TierSpec&) = default;
};

enum class Comparison { kLess, kGreater, kLessEqual, kGreaterEqual, kNotEqual };
// A condition in disjunctive normal form: any conjunction of which all atoms hold.
struct ConditionAtom {
  Metric metric = Metric::kHitRate;
  Comparison comparison = Comparison::kLess;
  double value = 0;  // rates in [0, 1], bytes, milliseconds, counts
  friend bool operator==(const ConditionAtom&, const ConditionAtom&) = default;
};
using Condition = std::vector<std::vector<ConditionAtom>>;

// What a rule may change while the model runs.
enum class Tunable {
  kEviction,
  kCapacity,
  kFrequencyDecay,
  kFreqThreshold,
  kScoreEmaAlpha,
  kAdmission,
  kInsertCap,
  kPrefillInsert,
  kTtl,
  kProtect,
  kPrefetchStrategy,
  kPrefetchBudget,
  kPrefetchLookahead,
  kPrefetchMinConfidence,
  kPrefetchAffinityThreshold,
  kPrefetchMaxInflight,
  kPrefetchInsert,
  kScheduleMode,
  kOffloadThresholdMs,
};
struct AdaptAction {
  enum class Kind { kSet, kTriggerMemoryPressure, kRebalance, kResetProfile, kResetStats, kLog };
  Kind kind = Kind::kSet;
  Tunable tunable = Tunable::kEviction;
  std::optional<Phase> phase;      // prefetch.* and schedule.*; unset: both
  double number = 0;               // numbers, and enumerators by their value
  Eviction eviction;               // kEviction
  std::vector<std::string> names;  // kPrefetchStrategy
  std::string text;                // kLog
  friend bool operator==(const AdaptAction&, const AdaptAction&) = default;
};
struct AdaptRule {
  Condition when;
  Span hold = {1, SpanUnit::kSteps};       // how long the condition must have held
  Span cooldown = {50, SpanUnit::kSteps};  // how long the rule rests after it fired
  std::vector<AdaptAction> actions;
  int32_t line = 0;  // where it is written, for reports; no part of what the rule is
  friend bool operator==(const AdaptRule& a, const AdaptRule& b) {
    return a.when == b.when && a.hold == b.hold && a.cooldown == b.cooldown &&
           a.actions == b.actions;
  }
};

struct PolicySpec {
  std::string name = "lru";
  CacheSpec cache;
  std::array<PrefetchSpec, kPhases> prefetch;  // by Phase
  std::array<ScheduleSpec, kPhases> schedule;  // by Phase
  MonitorSpec monitor;
  std::optional<PerLayerSpec> per_layer;
  std::vector<TierSpec> tiers;
  std::vector<AdaptRule> adapt;
  friend bool operator==(const PolicySpec&, const PolicySpec&) = default;

  const PrefetchSpec& PrefetchOf(Phase phase) const { return prefetch[static_cast<size_t>(phase)]; }
  const ScheduleSpec& ScheduleOf(Phase phase) const { return schedule[static_cast<size_t>(phase)]; }
};

}  // namespace sluice

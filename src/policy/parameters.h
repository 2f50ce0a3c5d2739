// What a policy may say: every parameter and metric of the language, with type, range, default and
// a line of help. Made from parameters.inc and metrics.inc.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cache/policy_spec.h"
#include "policy/diagnostics.h"

namespace sluice {

enum class BlockKind { kCache, kPrefetch, kSchedule, kMonitor, kPerLayer, kTier };
inline constexpr int kBlockKinds = 6;
std::string_view BlockName(BlockKind kind);
std::optional<BlockKind> FindBlock(std::string_view name);
inline bool HasPhases(BlockKind kind) {
  return kind == BlockKind::kPrefetch || kind == BlockKind::kSchedule;
}

enum class Unit { kNone, kShare, kMilliseconds, kGibibytes, kBytes, kBytesPerSecond };

// A word and the number that it stands for. Of several words for one number the first is printed.
struct NamedNumber {
  std::string_view name;
  double number = 0;
};

struct ValueType {
  enum class Kind {
    kCapacity,
    kEviction,
    kStrategies,
    kBudget,
    kPins,
    kMetricList,
    kSpan,
    kBool,
    kText,
    kWord,   // one of `words`
    kWhole,  // or one of `words`
    kReal,   // or one of `words`
  };
  Kind kind = Kind::kReal;
  Unit unit = Unit::kNone;
  std::string_view range;  // "(0, 1]"; an empty end is open
  std::span<const NamedNumber> words;
};

// A field that is an enum, as its number.
struct EnumField {
  void* at = nullptr;
  int (*get)(const void*) = nullptr;
  void (*set)(void*, int) = nullptr;
};
using Field =
    std::variant<double*, std::optional<double>*, int32_t*, int64_t*, bool*, std::string*, Span*,
                 Capacity*, Eviction*, std::vector<PinRange>*, std::vector<std::string>*,
                 std::vector<Metric>*, PrefetchSpec* /* budget */, EnumField>;

// The parts of a policy that parameters live in.
struct PolicyParts {
  CacheSpec* cache = nullptr;
  PrefetchSpec* prefetch = nullptr;
  ScheduleSpec* schedule = nullptr;
  MonitorSpec* monitor = nullptr;
  PerLayerSpec* per_layer = nullptr;
  TierSpec* tier = nullptr;
};

struct Parameter {
  BlockKind block = BlockKind::kCache;
  std::string_view name;
  ValueType type;
  std::string_view code;  // of rules.inc, for values outside the range
  std::optional<Tunable> change;
  std::string_view help;
  Field (*field)(const PolicyParts&) = nullptr;
};

std::span<const Parameter> Parameters();
const Parameter* FindParameter(BlockKind block, std::string_view name);
const Parameter* FindTunable(Tunable tunable);
std::vector<std::string_view> ParameterNames(BlockKind block);
// "one of lru, lfu, ...", "whole number [1, )"
std::string TypeText(const Parameter& parameter);
// The value as the language writes it: "40%", "lru | lfu", "[0, 12..23:*]".
std::string PrintValue(const Parameter& parameter, const PolicyParts& parts);
// What holds where nothing is written; "required" where something has to be.
std::string DefaultText(const Parameter& parameter);

struct MetricName {
  std::string_view name;
  Metric metric = Metric::kHitRate;
  Unit unit = Unit::kNone;
  std::string_view help;
};
std::span<const MetricName> Metrics();
const MetricName& NameOf(Metric metric);
std::vector<std::string_view> MetricNames();

// The memories that a policy may name, from fast to slow.
std::span<const std::string_view> TierNames();

// The names of eviction rules and prefetch strategies, `none` included.
std::vector<std::string_view> EvictionNames();
std::vector<std::string_view> StrategyNames();

// Bounds of a range as ValueType has it.
struct Range {
  double low = 0, high = 0;
  bool low_open = false, high_open = false;
  bool Contains(double number) const;
};
Range ParseRange(std::string_view text);
// A number as short as it can be without changing: "0.95", "16".
std::string PrintNumber(double number);
std::string_view SpanUnitName(SpanUnit unit);
std::string_view ComparisonText(Comparison comparison);

}  // namespace sluice

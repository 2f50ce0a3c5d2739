// The lists as tables, and values as text.
#include "policy/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <type_traits>

#include "cache/eviction.h"
#include "cache/prefetch.h"

namespace sluice {
namespace {

using Kind = ValueType::Kind;

constexpr std::array<NamedNumber, 1> kNoneWord = {{{"none", 0}}};
constexpr std::array<NamedNumber, 1> kAutoWord = {{{"auto", 0}}};
constexpr std::array<NamedNumber, 1> kAllWord = {{{"all", 0}}};
constexpr std::array<NamedNumber, 1> kSelectedWord = {{{"selected", 0}}};

template <typename E>
constexpr NamedNumber Named(std::string_view name, E value) {
  return {name, static_cast<double>(static_cast<int>(value))};
}
constexpr std::array kScopes = {Named("layer", Scope::kLayer), Named("shared", Scope::kShared)};
constexpr std::array kHistories = {Named("all", History::kAll),
                                   Named("resident", History::kResident)};
constexpr std::array kInits = {Named("empty", Init::kEmpty), Named("profile", Init::kProfile),
                               Named("first", Init::kFirst)};
constexpr std::array kAdmissions = {
    Named("always", Admission::kAlways), Named("second_touch", Admission::kSecondTouch),
    Named("frequency", Admission::kFrequency), Named("never", Admission::kNever)};
constexpr std::array kPrefillInserts = {Named("hot", PrefillInsert::kHot),
                                        Named("cold", PrefillInsert::kCold),
                                        Named("bypass", PrefillInsert::kBypass)};
constexpr std::array kBackends = {Named("arena", Backend::kArena),
                                  Named("pagecache", Backend::kPageCache)};
constexpr std::array kSelects = {Named("topk", Select::kTopK),
                                 Named("threshold", Select::kThreshold),
                                 Named("cumulative", Select::kCumulative)};
constexpr std::array kLearns = {Named("online", Learn::kOnline), Named("offline", Learn::kOffline),
                                Named("off", Learn::kOff)};
constexpr std::array kPrefetchInserts = {Named("staging", PrefetchInsert::kStaging),
                                         Named("cold", PrefetchInsert::kCold),
                                         Named("hot", PrefetchInsert::kHot)};
constexpr std::array kDistanceDecays = {Named("none", DistanceDecay::kNone),
                                        Named("linear", DistanceDecay::kLinear)};
constexpr std::array kMatches = {Named("cosine", Match::kCosine),
                                 Named("jaccard", Match::kJaccard)};
constexpr std::array kPatternKeys = {Named("sequence", PatternKey::kSequence),
                                     Named("trajectory", PatternKey::kTrajectory),
                                     Named("embedding", PatternKey::kEmbedding)};
// MoE-PolicyLang's names for the first two follow as aliases.
constexpr std::array kModes = {
    Named("fetch", Mode::kFetch),    Named("in_place", Mode::kInPlace),
    Named("hybrid", Mode::kHybrid),  Named("cost", Mode::kCost),
    Named("greedy", Mode::kGreedy),  Named("layerwise", Mode::kLayerwise),
    Named("gpu_only", Mode::kFetch), Named("cpu_fallback", Mode::kInPlace)};
constexpr std::array kObjectives = {Named("sum", Objective::kSum), Named("max", Objective::kMax)};
constexpr std::array kOrders = {
    Named("router", Order::kRouter), Named("ready_first", Order::kReadyFirst),
    Named("hot_first", Order::kHotFirst), Named("score", Order::kScore)};
constexpr std::array kAllocations = {
    Named("uniform", Allocation::kUniform), Named("entropy", Allocation::kEntropy),
    Named("popularity", Allocation::kPopularity), Named("marginal", Allocation::kMarginal)};

// The types that parameters.inc names.
ValueType CapacityType() { return {.kind = Kind::kCapacity}; }
ValueType EvictionType() { return {.kind = Kind::kEviction}; }
ValueType StrategiesType() { return {.kind = Kind::kStrategies}; }
ValueType BudgetType() { return {.kind = Kind::kBudget, .range = "[1, )"}; }
ValueType PinsType() { return {.kind = Kind::kPins}; }
ValueType MetricsType() { return {.kind = Kind::kMetricList}; }
ValueType SpanType() { return {.kind = Kind::kSpan, .range = "[1, )"}; }
ValueType BoolType() { return {.kind = Kind::kBool}; }
ValueType TextType() { return {.kind = Kind::kText}; }
ValueType Words(std::span<const NamedNumber> words) {
  return {.kind = Kind::kWord, .words = words};
}
ValueType Whole(std::string_view range) { return {.kind = Kind::kWhole, .range = range}; }
ValueType WholeOr(std::string_view range, std::span<const NamedNumber> words) {
  return {.kind = Kind::kWhole, .range = range, .words = words};
}
ValueType Real(std::string_view range) { return {.kind = Kind::kReal, .range = range}; }
ValueType Share(std::string_view range) {
  return {.kind = Kind::kReal, .unit = Unit::kShare, .range = range};
}
ValueType ShareOr(std::string_view range, std::span<const NamedNumber> words) {
  return {.kind = Kind::kReal, .unit = Unit::kShare, .range = range, .words = words};
}
ValueType Milliseconds(std::string_view range) {
  return {.kind = Kind::kReal, .unit = Unit::kMilliseconds, .range = range};
}
ValueType MillisecondsOrAuto(std::string_view range) {
  return {.kind = Kind::kReal, .unit = Unit::kMilliseconds, .range = range, .words = kAutoWord};
}
ValueType Gibibytes(std::string_view range) {
  return {.kind = Kind::kReal, .unit = Unit::kGibibytes, .range = range};
}
ValueType GibibytesOr(std::string_view range, std::span<const NamedNumber> words) {
  return {.kind = Kind::kReal, .unit = Unit::kGibibytes, .range = range, .words = words};
}
ValueType BytesPerSecond() {
  return {.kind = Kind::kReal, .unit = Unit::kBytesPerSecond, .range = "(0, )", .words = kAutoWord};
}

template <typename T>
Field FieldOf(T* field) {
  if constexpr (std::is_enum_v<T>) {
    return EnumField{field,
                     [](const void* at) { return static_cast<int>(*static_cast<const T*>(at)); },
                     [](void* at, int value) { *static_cast<T*>(at) = static_cast<T>(value); }};
  } else {
    return field;
  }
}

constexpr std::array<std::string_view, kBlockKinds> kBlockNames = {
    "cache", "prefetch", "schedule", "monitor", "per_layer", "tier"};

// A budget is two fields: the number, and whether idle link time bounds it too.
Field BudgetField(const PolicyParts& parts) { return parts.prefetch; }

}  // namespace

std::string_view BlockName(BlockKind kind) { return kBlockNames[static_cast<size_t>(kind)]; }

std::optional<BlockKind> FindBlock(std::string_view name) {
  const auto* const found = std::ranges::find(kBlockNames, name);
  if (found == kBlockNames.end()) return std::nullopt;
  return static_cast<BlockKind>(found - kBlockNames.begin());
}

std::span<const Parameter> Parameters() {
  static const std::vector<Parameter> parameters = [] {
    std::vector<Parameter> list = {
#define SLUICE_PARAMETER(block, name, field, type, code, change, help)                  \
  {*FindBlock(#block), #name, type, #code, change, help, [](const PolicyParts& parts) { \
     return FieldOf(&parts.block->field);                                               \
   }},
#include "policy/parameters.inc"
#undef SLUICE_PARAMETER
    };
    for (Parameter& parameter : list) {
      if (parameter.type.kind == Kind::kBudget) parameter.field = BudgetField;
    }
    return list;
  }();
  return parameters;
}

const Parameter* FindParameter(BlockKind block, std::string_view name) {
  for (const Parameter& parameter : Parameters()) {
    if (parameter.block == block && parameter.name == name) return &parameter;
  }
  return nullptr;
}

const Parameter* FindTunable(Tunable tunable) {
  for (const Parameter& parameter : Parameters()) {
    if (parameter.change == tunable) return &parameter;
  }
  return nullptr;
}

std::vector<std::string_view> ParameterNames(BlockKind block) {
  std::vector<std::string_view> names;
  for (const Parameter& parameter : Parameters()) {
    if (parameter.block == block) names.push_back(parameter.name);
  }
  return names;
}

std::span<const MetricName> Metrics() {
  static const std::vector<MetricName> metrics = {
#define SLUICE_METRIC(name, metric, unit, help) {#name, metric, unit, help},
#include "policy/metrics.inc"
#undef SLUICE_METRIC
  };
  return metrics;
}

const MetricName& NameOf(Metric metric) {
  return *std::ranges::find(Metrics(), metric, &MetricName::metric);
}

std::vector<std::string_view> MetricNames() {
  std::vector<std::string_view> names;
  for (const MetricName& metric : Metrics()) names.push_back(metric.name);
  return names;
}

std::span<const std::string_view> TierNames() {
  static constexpr std::array<std::string_view, 3> kNames = {"vram", "ram", "disk"};
  return kNames;
}

namespace {
std::vector<std::string_view> WithNone(std::vector<std::string_view> names) {
  names.emplace_back("none");
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}
}  // namespace

std::vector<std::string_view> EvictionNames() { return WithNone(EvictionRuleNames()); }

std::vector<std::string_view> StrategyNames() { return WithNone(PredictorNames()); }

bool Range::Contains(double number) const {
  return (low_open ? number > low : number >= low) && (high_open ? number < high : number <= high);
}

Range ParseRange(std::string_view text) {
  Range range{.low = -std::numeric_limits<double>::infinity(),
              .high = std::numeric_limits<double>::infinity()};
  if (text.empty()) return range;
  range.low_open = text.front() == '(';
  range.high_open = text.back() == ')';
  const size_t comma = text.find(',');
  const std::string_view low = text.substr(1, comma - 1);
  std::string_view high = text.substr(comma + 1, text.size() - comma - 2);
  while (high.starts_with(' ')) high.remove_prefix(1);
  std::from_chars(low.data(), low.data() + low.size(), range.low);
  std::from_chars(high.data(), high.data() + high.size(), range.high);
  return range;
}

std::string PrintNumber(double number) { return fmt::format("{}", number); }

std::string_view SpanUnitName(SpanUnit unit) {
  constexpr std::array<std::string_view, 5> kNames = {"accesses", "tokens", "steps", "ms", "s"};
  return kNames[static_cast<size_t>(unit)];
}

std::string_view ComparisonText(Comparison comparison) {
  constexpr std::array<std::string_view, 5> kTexts = {"<", ">", "<=", ">=", "!="};
  return kTexts[static_cast<size_t>(comparison)];
}

}  // namespace sluice

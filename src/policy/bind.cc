// One function per kind of value.
#include "policy/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "cache/prefetch.h"
#include "policy/names.h"

namespace sluice {
namespace {

using Kind = ValueType::Kind;

// Larger counts are typing errors.
constexpr double kMostWhole = 1e9;

struct UnitFactor {
  std::string_view name;
  double factor;
};
constexpr double kKi = 1024;
constexpr std::array<UnitFactor, 12> kByteUnits = {{{"B", 1},
                                                    {"K", kKi},
                                                    {"KiB", kKi},
                                                    {"M", kKi* kKi},
                                                    {"MiB", kKi* kKi},
                                                    {"G", kKi* kKi* kKi},
                                                    {"GiB", kKi* kKi* kKi},
                                                    {"TiB", kKi* kKi* kKi* kKi},
                                                    {"KB", 1e3},
                                                    {"MB", 1e6},
                                                    {"GB", 1e9},
                                                    {"TB", 1e12}}};
constexpr std::array<UnitFactor, 3> kTimeUnits = {{{"us", 1e-3}, {"ms", 1}, {"s", 1e3}}};

template <size_t N>
bool Scale(const std::array<UnitFactor, N>& units, std::string_view unit, double* number) {
  for (const UnitFactor& known : units) {
    if (known.name != unit) continue;
    *number *= known.factor;
    return true;
  }
  return false;
}

class Binder {
 public:
  Binder(const Parameter& parameter, const Value& value, const BindSettings& settings,
         Diagnostics* diagnostics)
      : parameter_(parameter),
        type_(parameter.type),
        value_(value),
        settings_(settings),
        range_code_(settings.range_code.empty() ? parameter.code : settings.range_code),
        diagnostics_(diagnostics) {}

  // One overload per alternative of Field.
  bool operator()(double* field) { return Number(field); }
  bool operator()(std::optional<double>* field) {
    if (IsWord("auto")) {
      field->reset();
      return true;
    }
    double number = 0;
    if (!Number(&number)) return false;
    *field = number;
    return true;
  }
  bool operator()(int32_t* field) { return WholeInto(field); }
  bool operator()(int64_t* field) { return WholeInto(field); }
  bool operator()(bool* field) {
    if (!IsWord("true") && !IsWord("false")) return WrongType("true or false");
    *field = IsWord("true");
    return true;
  }
  bool operator()(std::string* field) {
    const Scalar* scalar = Single();
    if (scalar == nullptr || scalar->kind != Scalar::Kind::kString) {
      return WrongType("a name in quotes, like \"file.csv\"");
    }
    *field = scalar->text;
    return true;
  }
  bool operator()(Span* field) {
    const Scalar* scalar = Single();
    const std::string_view unit = scalar != nullptr ? std::string_view(scalar->unit) : "";
    const bool known =
        unit == "accesses" || unit == "tokens" || unit == "steps" || unit == "ms" || unit == "s";
    if (scalar == nullptr || scalar->kind != Scalar::Kind::kNumber || !known) {
      return WrongType("a number of accesses, tokens, steps, ms or s");
    }
    double count = scalar->number;
    if (!InRange(count) || !IsWhole(count)) return false;
    *field = {.count = static_cast<int64_t>(count), .unit = ParseSpanUnit(unit)};
    return true;
  }
  bool operator()(Capacity* field);
  bool operator()(Eviction* field);
  bool operator()(std::vector<PinRange>* field);
  bool operator()(std::vector<std::string>* field);
  bool operator()(std::vector<Metric>* field);
  bool operator()(PrefetchSpec* field);
  bool operator()(const EnumField& field) {
    const Scalar* scalar = Single();
    if (scalar == nullptr || scalar->kind != Scalar::Kind::kName) {
      return WrongType("one of " + TypeText(parameter_));
    }
    for (const NamedNumber& word : type_.words) {
      if (word.name != scalar->text) continue;
      field.set(field.at, static_cast<int>(word.number));
      return true;
    }
    std::vector<std::string_view> names;
    for (const NamedNumber& word : type_.words) names.push_back(word.name);
    return UnknownName(*scalar, names);
  }

 private:
  const Scalar* Single() const {
    return !value_.is_list && value_.scalars.size() == 1 ? value_.scalars.data() : nullptr;
  }
  bool IsWord(std::string_view word) const {
    const Scalar* scalar = Single();
    return scalar != nullptr && scalar->kind == Scalar::Kind::kName && scalar->text == word;
  }

  bool WrongType(std::string_view wanted) {
    diagnostics_->Add(settings_.type_code, value_.place,
                      fmt::format("{} takes {}", parameter_.name, wanted));
    return false;
  }
  bool UnknownName(const Scalar& scalar, std::span<const std::string_view> known) {
    diagnostics_->Add(settings_.name_code, scalar.place,
                      fmt::format("unknown {} '{}'", parameter_.name, scalar.text),
                      SuggestName(scalar.text, known));
    return false;
  }
  bool Bad(std::string_view code, std::string message, std::string remedy = "") {
    diagnostics_->Add(code, value_.place, std::move(message), std::move(remedy));
    return false;
  }

  bool InRange(double number) {
    if (ParseRange(type_.range).Contains(number)) return true;
    return Bad(range_code_, fmt::format("{} = {} is outside {}", parameter_.name,
                                        PrintNumber(number), type_.range));
  }
  bool IsWhole(double number) {
    if (number == std::floor(number) && std::abs(number) <= kMostWhole) return true;
    return Bad(settings_.type_code,
               fmt::format("{} takes a whole number up to {:.0f}", parameter_.name, kMostWhole));
  }
  bool Number(double* field) {
    const Scalar* scalar = Single();
    if (scalar != nullptr && scalar->kind == Scalar::Kind::kName) {
      for (const NamedNumber& word : type_.words) {
        if (word.name != scalar->text) continue;
        *field = word.number;
        return true;
      }
    }
    if (scalar == nullptr || scalar->kind != Scalar::Kind::kNumber)
      return WrongType(TypeText(parameter_));
    double number = 0;
    if (!ConvertUnit(*scalar, type_.unit, settings_.type_code, diagnostics_, &number)) return false;
    if (!InRange(number)) return false;
    *field = number;
    return true;
  }
  template <typename Whole>
  bool WholeInto(Whole* field) {
    double number = 0;
    if (!Number(&number) || !IsWhole(number)) return false;
    *field = static_cast<Whole>(number);
    return true;
  }

  const Parameter& parameter_;
  const ValueType& type_;
  const Value& value_;
  const BindSettings& settings_;
  std::string_view range_code_;
  Diagnostics* diagnostics_;
};

bool Binder::operator()(Capacity* field) {
  if (IsWord("auto")) {
    *field = {};
    return true;
  }
  const Scalar* scalar = Single();
  if (scalar == nullptr || scalar->kind != Scalar::Kind::kNumber) {
    return WrongType("a number of slots, a size like 6GiB, a share like 40%, or auto");
  }
  const std::string_view share_code = settings_.range_code.empty() ? "E315" : range_code_;
  double number = scalar->number;
  if (scalar->unit.empty()) {
    if (number > 0 && number < 1) {
      return Bad(settings_.type_code, "a part of an expert is no capacity",
                 fmt::format("write {:.12g}% for a share", number * 100));
    }
    if (!IsWhole(number)) return false;
    if (number < 1) {
      return Bad(range_code_, fmt::format("a cache of {} experts", scalar->text),
                 "write at least 1, or auto");
    }
    *field = {.kind = Capacity::Kind::kSlots, .amount = number};
    return true;
  }
  if (scalar->unit == "%") {
    if (!(number > 0 && number <= 100)) {
      return Bad(share_code, fmt::format("{} of all experts", scalar->text + "%"),
                 "a share lies above 0% and goes up to 100%");
    }
    *field = {.kind = Capacity::Kind::kShare, .amount = number / 100};
    return true;
  }
  if (!ConvertUnit(*scalar, Unit::kBytes, settings_.type_code, diagnostics_, &number)) return false;
  if (number < 1) return Bad(share_code, "a cache of no bytes");
  *field = {.kind = Capacity::Kind::kBytes, .amount = number};
  return true;
}

bool Binder::operator()(Eviction* field) {
  const std::vector<std::string_view> known = EvictionNames();
  if (value_.is_list || value_.join == '+' || value_.scalars.empty()) {
    return WrongType("a rule like lru, or two: lfu | lru");
  }
  for (const Scalar& scalar : value_.scalars) {
    if (scalar.kind != Scalar::Kind::kName) return WrongType("a rule like lru, or two: lfu | lru");
    if (std::ranges::find(known, scalar.text) == known.end()) return UnknownName(scalar, known);
  }
  const std::string_view code = settings_.range_code.empty() ? "E313" : range_code_;
  if (value_.scalars.size() > 2) {
    return Bad(code, "a cache has one level or two", "write at most one |");
  }
  if (value_.scalars.size() == 2) {
    for (const Scalar& scalar : value_.scalars) {
      if (scalar.text == "none" || scalar.text == "belady") {
        return Bad(code, fmt::format("{} cannot be one of two levels", scalar.text),
                   "combine rules that choose victims by themselves, like lfu | lru");
      }
    }
  }
  field->primary = value_.scalars[0].text;
  field->second = value_.scalars.size() == 2 ? value_.scalars[1].text : "";
  return true;
}

bool Binder::operator()(std::vector<PinRange>* field) {
  if (!value_.is_list) return WrongType("a list like [0, 12..23:*]");
  constexpr size_t kMostPins = 4096;  // each is checked against every expert
  if (value_.items.size() > kMostPins) {
    return Bad("E103", fmt::format("more than {} pins", kMostPins), "use ranges: 0..31, *");
  }
  std::vector<PinRange> pins;
  for (const ListItem& item : value_.items) {
    if (item.kind != ListItem::Kind::kSelector) return WrongType("numbers: [0, 12..23:*]");
    const Selector layers = item.layers.value_or(Selector{});
    pins.push_back({.layer_first = layers.first,
                    .layer_last = layers.last,
                    .expert_first = item.experts.first,
                    .expert_last = item.experts.last});
  }
  *field = std::move(pins);
  return true;
}

bool Binder::operator()(std::vector<std::string>* field) {
  if (IsWord("none")) {
    field->clear();
    return true;
  }
  const std::vector<std::string_view> known = StrategyNames();
  if (value_.is_list || value_.join == '|') {
    return WrongType("a strategy like history, or a blend: affinity + history");
  }
  const std::string_view code = settings_.range_code.empty() ? "E408" : range_code_;
  std::vector<std::string> names;
  for (const Scalar& scalar : value_.scalars) {
    if (scalar.kind != Scalar::Kind::kName) return WrongType("a strategy like history");
    if (std::ranges::find(known, scalar.text) == known.end()) return UnknownName(scalar, known);
    const bool alone = scalar.text == "none" || !Blendable(scalar.text);
    if (value_.scalars.size() > 1 && alone) {
      return Bad(code, fmt::format("{} cannot be part of a blend", scalar.text),
                 "write it alone, or blend others: affinity + history");
    }
    if (std::ranges::find(names, scalar.text) != names.end()) {
      return Bad(code, fmt::format("{} is in the blend already", scalar.text));
    }
    names.push_back(scalar.text);
  }
  *field = std::move(names);
  return true;
}

bool Binder::operator()(std::vector<Metric>* field) {
  if (!value_.is_list) return WrongType("a list like [hit_rate, stall_ms]");
  std::vector<Metric> metrics;
  for (const ListItem& item : value_.items) {
    if (item.kind == ListItem::Kind::kSelector) return WrongType("a list of metrics");
    std::string_view name = item.text;
    // MoE-PolicyLang's names for two of them.
    if (name == "latency") name = "stall_ms";
    if (name == "memory") name = "memory_pressure";
    const auto known = std::ranges::find(Metrics(), name, &MetricName::name);
    if (known == Metrics().end()) {
      diagnostics_->Add(settings_.legacy ? "W904" : "E202", item.place,
                        fmt::format("unknown metric '{}'", item.text),
                        SuggestName(item.text, MetricNames()));
      if (settings_.legacy) continue;
      return false;
    }
    if (std::ranges::find(metrics, known->metric) == metrics.end())
      metrics.push_back(known->metric);
  }
  *field = std::move(metrics);
  return true;
}

// 8, idle, 8 | idle
bool Binder::operator()(PrefetchSpec* field) {
  double number = field->budget;
  bool idle = false;
  bool counted = false;
  if (value_.is_list || value_.join == '+' || value_.scalars.size() > 2) {
    return WrongType("a number of experts, idle, or both: 8 | idle");
  }
  for (const Scalar& scalar : value_.scalars) {
    if (scalar.kind == Scalar::Kind::kName && scalar.text == "idle" && !idle) {
      idle = true;
    } else if (scalar.kind == Scalar::Kind::kNumber && scalar.unit.empty() && !counted) {
      counted = true;
      number = scalar.number;
    } else {
      return WrongType("a number of experts, idle, or both: 8 | idle");
    }
  }
  if (!InRange(number) || !IsWhole(number)) return false;
  field->budget = static_cast<int32_t>(number);
  field->budget_idle = idle;
  return true;
}

}  // namespace

bool ConvertUnit(const Scalar& scalar, Unit unit, std::string_view code, Diagnostics* diagnostics,
                 double* number) {
  *number = scalar.number;
  const std::string_view written = scalar.unit;
  std::string_view wanted;
  switch (unit) {
    case Unit::kNone:
      if (written.empty()) return true;
      wanted = "write the number alone";
      break;
    case Unit::kShare:
      if (written == "%") *number /= 100;
      if (written.empty() || written == "%") return true;
      wanted = "write a share like 0.4 or 40%";
      break;
    case Unit::kMilliseconds:
      if (written.empty() || Scale(kTimeUnits, written, number)) return true;
      wanted = "write a time in us, ms or s";
      break;
    case Unit::kGibibytes:
      if (written.empty()) *number *= kKi * kKi * kKi;
      if (written.empty() || Scale(kByteUnits, written, number)) return true;
      wanted = "write a size in GiB";
      break;
    case Unit::kBytes:
      if (written.empty() || Scale(kByteUnits, written, number)) return true;
      wanted = "write a size like 512MiB";
      break;
    case Unit::kBytesPerSecond:
      if (written.empty()) *number *= 1e9;
      if (written.empty() || Scale(kByteUnits, written, number)) return true;
      wanted = "write the bytes of a second, like 3.5GB";
      break;
  }
  diagnostics->Add(code, scalar.place, fmt::format("'{}' is no unit for this", written),
                   std::string(wanted));
  return false;
}

SpanUnit ParseSpanUnit(std::string_view word) {
  for (int i = 0; i < 5; ++i) {
    if (SpanUnitName(static_cast<SpanUnit>(i)) == word) return static_cast<SpanUnit>(i);
  }
  return SpanUnit::kSteps;
}

bool BindValue(const Parameter& parameter, const Value& value, const PolicyParts& parts,
               const BindSettings& settings, Diagnostics* diagnostics) {
  return std::visit(Binder(parameter, value, settings, diagnostics), parameter.field(parts));
}

}  // namespace sluice

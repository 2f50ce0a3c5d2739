// Values as the language writes them, and types in words.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "policy/lexer.h"
#include "policy/parameters.h"

namespace sluice {
namespace {

using Kind = ValueType::Kind;

constexpr double kGibibyte = 1 << 30;

std::string PrintBytes(double bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes >= 1024) {  // exact: a power of two
    bytes /= 1024;
    ++unit;
  }
  return PrintNumber(bytes) + std::string(kUnits[unit]);
}

// The shortest number of percent that is read as `share` again.
std::string PrintPercent(double share) {
  const double percent = share * 100;
  std::string best;
  for (const double near : {percent, std::nextafter(percent, 0), std::nextafter(percent, 200)}) {
    const std::string text = PrintNumber(near);
    if (near / 100 == share && (best.empty() || text.size() < best.size())) best = text;
  }
  return (best.empty() ? PrintNumber(percent) : best) + "%";
}

std::string PrintReal(const ValueType& type, double number) {
  for (const NamedNumber& word : type.words) {
    if (word.number == number) return std::string(word.name);
  }
  if (type.unit == Unit::kGibibytes) return PrintNumber(number / kGibibyte);
  if (type.unit == Unit::kBytesPerSecond) {
    const double gigabytes = number / 1e9;
    return gigabytes * 1e9 == number ? PrintNumber(gigabytes) : PrintNumber(number) + "B";
  }
  return PrintNumber(number);
}

std::string PrintSelector(int32_t first, int32_t last) {
  if (first == 0 && last == -1) return "*";
  if (last == -1) return fmt::format("{}..*", first);
  return first == last ? fmt::format("{}", first) : fmt::format("{}..{}", first, last);
}

// One overload per alternative of Field.
struct Printer {
  const ValueType& type;

  std::string operator()(const double* number) const { return PrintReal(type, *number); }
  std::string operator()(const std::optional<double>* number) const {
    return *number ? PrintNumber(**number) : "auto";
  }
  std::string operator()(const int32_t* number) const { return PrintReal(type, *number); }
  std::string operator()(const int64_t* number) const {
    return PrintReal(type, static_cast<double>(*number));
  }
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const std::string* text) const { return Quote(*text); }
  std::string operator()(const Span* span) const {
    return fmt::format("{} {}", span->count, SpanUnitName(span->unit));
  }
  std::string operator()(const Capacity* capacity) const {
    switch (capacity->kind) {
      case Capacity::Kind::kAuto:
        return "auto";
      case Capacity::Kind::kSlots:
        return PrintNumber(capacity->amount);
      case Capacity::Kind::kBytes:
        return PrintBytes(capacity->amount);
      case Capacity::Kind::kShare:
        return PrintPercent(capacity->amount);
    }
    return {};
  }
  std::string operator()(const Eviction* eviction) const {
    if (eviction->second.empty()) return eviction->primary;
    return eviction->primary + " | " + eviction->second;
  }
  std::string operator()(const std::vector<PinRange>* pins) const {
    std::string text;
    for (const PinRange& pin : *pins) {
      if (!text.empty()) text += ", ";
      if (pin.layer_first != 0 || pin.layer_last != -1 ||
          (pin.expert_first == 0 && pin.expert_last == -1)) {
        text += PrintSelector(pin.layer_first, pin.layer_last) + ":";
      }
      text += PrintSelector(pin.expert_first, pin.expert_last);
    }
    return "[" + text + "]";
  }
  std::string operator()(const std::vector<std::string>* strategies) const {
    return strategies->empty() ? "none" : fmt::format("{}", fmt::join(*strategies, " + "));
  }
  std::string operator()(const std::vector<Metric>* metrics) const {
    std::string text;
    for (const Metric metric : *metrics) {
      text += (text.empty() ? "" : ", ") + std::string(NameOf(metric).name);
    }
    return "[" + text + "]";
  }
  std::string operator()(const PrefetchSpec* prefetch) const {
    if (!prefetch->budget_idle) return fmt::format("{}", prefetch->budget);
    return fmt::format("{} | idle", prefetch->budget);
  }
  std::string operator()(const EnumField& field) const {
    return PrintReal(type, field.get(field.at));
  }
};

std::string UnitText(Unit unit) {
  switch (unit) {
    case Unit::kShare:
      return "share or %";
    case Unit::kMilliseconds:
      return "ms";
    case Unit::kGibibytes:
      return "GiB";
    case Unit::kBytesPerSecond:
      return "bytes per second";
    default:
      return "number";
  }
}

std::string WordList(std::span<const NamedNumber> words) {
  std::string text;
  for (const NamedNumber& word : words) text += (text.empty() ? "" : ", ") + std::string(word.name);
  return text;
}

}  // namespace

std::string PrintValue(const Parameter& parameter, const PolicyParts& parts) {
  return std::visit(Printer{parameter.type}, parameter.field(parts));
}

std::string DefaultText(const Parameter& parameter) {
  CacheSpec cache;
  PrefetchSpec prefetch;
  ScheduleSpec schedule;
  MonitorSpec monitor;
  PerLayerSpec per_layer;
  TierSpec tier;
  if (parameter.name == "capacity") return "required";
  const PolicyParts parts{&cache, &prefetch, &schedule, &monitor, &per_layer, &tier};
  const std::string text = PrintValue(parameter, parts);
  return text == "\"\"" ? "-" : text;
}

std::string TypeText(const Parameter& parameter) {
  const ValueType& type = parameter.type;
  switch (type.kind) {
    case Kind::kCapacity:
      return "slots, 6GiB, 40% or auto";
    case Kind::kEviction:
      return "rule, or rule | rule";
    case Kind::kStrategies:
      return "strategy, or strategy + strategy";
    case Kind::kBudget:
      return "whole number [1, ), idle, or number | idle";
    case Kind::kPins:
      return "list of experts";
    case Kind::kMetricList:
      return "list of metrics";
    case Kind::kSpan:
      return "whole number [1, ) of accesses, tokens, steps, ms or s";
    case Kind::kBool:
      return "true or false";
    case Kind::kText:
      return "\"file\"";
    case Kind::kWord:
      return WordList(type.words);
    case Kind::kWhole:
    case Kind::kReal: {
      std::string text = type.kind == Kind::kWhole ? "whole number" : UnitText(type.unit);
      text += fmt::format(" {}", type.range);
      if (!type.words.empty()) text += " or " + WordList(type.words);
      return text;
    }
  }
  return {};
}

}  // namespace sluice

// The compiled program: every parameter with its value and where that comes from.
#include <fmt/format.h>

#include <algorithm>

#include "policy/adapt.h"
#include "policy/explain.h"
#include "policy/lexer.h"

namespace sluice {
namespace {

PolicyParts PartsOf(PolicySpec* spec, std::optional<Phase> phase, TierSpec* tier) {
  const auto index = static_cast<size_t>(phase.value_or(Phase::kDecode));
  return {.cache = &spec->cache,
          .prefetch = &spec->prefetch[index],
          .schedule = &spec->schedule[index],
          .monitor = &spec->monitor,
          .per_layer = spec->per_layer ? &*spec->per_layer : nullptr,
          .tier = tier};
}

// Every block that the policy has, with the phase or tier that it is for.
struct Instance {
  BlockKind block;
  std::optional<Phase> phase;
  TierSpec* tier = nullptr;
};
std::vector<Instance> Instances(PolicySpec* spec) {
  std::vector<Instance> all = {{BlockKind::kCache, {}}};
  for (const BlockKind block : {BlockKind::kPrefetch, BlockKind::kSchedule}) {
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) all.push_back({block, phase});
  }
  all.push_back({BlockKind::kMonitor, {}});
  if (spec->per_layer) all.push_back({BlockKind::kPerLayer, {}});
  for (TierSpec& tier : spec->tiers) all.push_back({BlockKind::kTier, {}, &tier});
  return all;
}

std::string Head(const Instance& instance) {
  std::string head(BlockName(instance.block));
  if (instance.phase) head += *instance.phase == Phase::kDecode ? " decode" : " prefill";
  if (instance.tier != nullptr) head += " " + instance.tier->name;
  return head;
}

std::string RuleText(const AdaptRule& rule, std::string_view indent) {
  std::string text = fmt::format(
      "{}when {} for {} {} cooldown {} {} {{\n", indent, PrintCondition(rule.when), rule.hold.count,
      SpanUnitName(rule.hold.unit), rule.cooldown.count, SpanUnitName(rule.cooldown.unit));
  for (const AdaptAction& action : rule.actions) {
    text += fmt::format("{}    {}\n", indent, PrintAction(action));
  }
  return text + fmt::format("{}}}\n", indent);
}

}  // namespace

std::vector<ShownParameter> ShowParameters(const CompiledPolicy& policy) {
  PolicySpec spec = policy.spec;
  std::vector<ShownParameter> shown;
  for (const Instance& instance : Instances(&spec)) {
    const PolicyParts parts = PartsOf(&spec, instance.phase, instance.tier);
    for (const Parameter& parameter : Parameters()) {
      if (parameter.block != instance.block) continue;
      ShownParameter row;
      row.key = ParameterKey(parameter.block, parameter.name, instance.phase,
                             instance.tier != nullptr ? std::string_view(instance.tier->name) : "");
      row.value = PrintValue(parameter, parts);
      const auto origin = policy.origins.find(row.key);
      if (origin != policy.origins.end()) {
        const bool own = origin->second.policy == spec.name;
        row.from = own ? ShownParameter::From::kWritten : ShownParameter::From::kInherited;
        row.policy = origin->second.policy;
        row.line = origin->second.place.line;
      }
      shown.push_back(std::move(row));
    }
  }
  return shown;
}

std::string ShowPolicy(const CompiledPolicy& policy) {
  std::string text = fmt::format("policy {}\n", policy.spec.name);
  for (const ShownParameter& row : ShowParameters(policy)) {
    std::string from = "default";
    if (row.from == ShownParameter::From::kWritten) from = fmt::format("line {}", row.line);
    if (row.from == ShownParameter::From::kInherited) {
      from = fmt::format("from {}, line {}", row.policy, row.line);
    }
    text += fmt::format("  {:<38} {:<24} {}\n", row.key, row.value, from);
  }
  for (const AdaptRule& rule : policy.spec.adapt) {
    text += fmt::format("  adapt, line {}\n", rule.line) + RuleText(rule, "    ");
  }
  return text;
}

std::string PrintPolicy(const PolicySpec& spec) {
  PolicySpec copy = spec;  // parameters are read through pointers that could write
  PolicySpec plain;
  std::string text = fmt::format("version {:.1f}\n\npolicy {} {{\n", kLanguageVersion, spec.name);
  if (spec.per_layer) plain.per_layer.emplace();
  for (const TierSpec& tier : spec.tiers) plain.tiers.push_back({.name = tier.name});
  const std::vector<Instance> plain_instances = Instances(&plain);
  const std::vector<Instance> instances = Instances(&copy);
  for (size_t i = 0; i < instances.size(); ++i) {
    const PolicyParts parts = PartsOf(&copy, instances[i].phase, instances[i].tier);
    const PolicyParts defaults = PartsOf(&plain, plain_instances[i].phase, plain_instances[i].tier);
    std::string body;
    for (const Parameter& parameter : Parameters()) {
      if (parameter.block != instances[i].block) continue;
      const std::string value = PrintValue(parameter, parts);
      const bool required = parameter.name == "capacity";
      if (!required && value == PrintValue(parameter, defaults)) continue;
      body += fmt::format("        {} = {}\n", parameter.name, value);
    }
    const bool said_by_being_there =
        instances[i].block == BlockKind::kPerLayer || instances[i].tier != nullptr;
    if (body.empty() && !said_by_being_there) continue;
    text += fmt::format("    {} {{\n{}    }}\n", Head(instances[i]), body);
  }
  if (!spec.adapt.empty()) {
    text += "    adapt {\n";
    for (const AdaptRule& rule : spec.adapt) text += RuleText(rule, "        ");
    text += "    }\n";
  }
  return text + "}\n";
}

}  // namespace sluice

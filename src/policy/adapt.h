// The rules of `adapt`: conditions in normal form, actions as values, and what is wrong with them.
#pragma once

#include "policy/compile.h"

namespace sluice {

// More than this nobody can follow; and the bounds keep checking fast for any input.
inline constexpr size_t kMostRules = 64;
inline constexpr size_t kMostActions = 64;
inline constexpr size_t kMostConjunctions = 32;
inline constexpr size_t kMostAtoms = 256;

// What adapt rules are compiled for.
struct AdaptContext {
  const CompileOptions* options = nullptr;
  bool legacy = false;
  bool base_valid = true;  // else what a rule makes of the policy is not checked
  Diagnostics* diagnostics = nullptr;
};

// A written rule, against the policy without any rule. nullopt: reported.
std::optional<AdaptRule> CompileRule(const AdaptNode& node, const CompiledPolicy& base,
                                     const AdaptContext& context);
// `: value when condition` behind a parameter: the rule that sets it once the condition holds.
std::optional<AdaptRule> CompileGuard(const ParameterNode& node, const Parameter& parameter,
                                      std::optional<Phase> phase, const CompiledPolicy& base,
                                      const AdaptContext& context);

// Pairs of rules that set one parameter to different values where both conditions can hold (W903).
void FindOscillation(const std::vector<AdaptRule>& rules, const std::vector<Place>& places,
                     Diagnostics* diagnostics);

// The action as the language writes it.
std::string PrintAction(const AdaptAction& action);
std::string PrintCondition(const Condition& condition);

}  // namespace sluice

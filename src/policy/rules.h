// What a whole policy must keep, beyond each value's own range: E3xx to E6xx and the warnings.
#pragma once

#include <functional>

#include "policy/compile.h"

namespace sluice {

// One finding: its code, the key of the parameter that it is about ("" for the policy as a whole),
// what is wrong and what to do.
using FoundRule = std::function<void(std::string_view code, const std::string& key,
                                     std::string message, std::string remedy)>;

// Errors.
void CheckPolicy(const CompiledPolicy& policy, const CompileOptions& options,
                 const FoundRule& found);
// W901 to W906 but W903.
void FindDoubts(const CompiledPolicy& policy, const CompileOptions& options,
                const FoundRule& found);

// Slots of one layer (or of all, where they share) that a capacity comes to; nullopt: it depends on
// the machine or on a model that is not known.
std::optional<double> SlotsOf(const Capacity& capacity, Scope scope, const CompileOptions& options);

// Whether a parameter does anything in this policy, and why not.
std::string WhyNoEffect(const Parameter& parameter, std::optional<Phase> phase,
                        const PolicySpec& spec);

}  // namespace sluice

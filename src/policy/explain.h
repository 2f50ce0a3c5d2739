// A compiled policy for people: in plain words, and as the list of all its parameters.
#pragma once

#include <string>
#include <vector>

#include "policy/compile.h"

namespace sluice {

// The machine that numbers are given for; 0: unknown.
struct MachineFacts {
  uint64_t expert_budget_bytes = 0;  // memory that experts may have
  double read_bytes_per_second = 0;
};

// What will happen under this policy.
std::string ExplainPolicy(const CompiledPolicy& policy, const CompileOptions& options,
                          const MachineFacts& machine = {});

// One parameter with its value.
struct ShownParameter {
  std::string key;  // "prefetch.decode.budget"
  std::string value;
  enum class From { kDefault, kWritten, kInherited } from = From::kDefault;
  std::string policy;  // kInherited: whose
  int line = 0;        // kWritten, kInherited
};
std::vector<ShownParameter> ShowParameters(const CompiledPolicy& policy);
// All of it as text: parameters, their origins, the rules of adapt.
std::string ShowPolicy(const CompiledPolicy& policy);
// The policy as source that compiles to the same policy.
std::string PrintPolicy(const PolicySpec& spec);

}  // namespace sluice

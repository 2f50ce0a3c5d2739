// The policies that come with sluice, and files of a user's own, by one name.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "policy/compile.h"

namespace sluice {

struct ShippedPolicy {
  std::string_view name;
  std::string_view source;  // of policies/name.moe
};
std::span<const ShippedPolicy> ShippedPolicies();
// The first sentence of the comment before the policy.
std::string PolicySummary(std::string_view source);

// A policy's text and where it comes from.
struct PolicySource {
  std::string file_name;  // for messages
  std::string text;
  std::string policy;  // the one asked for; "": the file's only one
  bool builtin = false;
};

// `name_or_path`: the name of a shipped policy, a file, or `file:policy`. Blocks: reads the file.
Result<PolicySource> FindPolicySource(const std::string& name_or_path);

// The same, compiled. Fails with kInvalidArgument and all errors of the file in the message.
Result<PolicySpec> LoadPolicy(const std::string& name_or_path, const CompileOptions& options = {});

}  // namespace sluice

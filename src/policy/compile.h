// A .moe file becomes policies: the one door of the language.
//
//   SLUICE_TRY_ASSIGN(PolicySpec spec, CompilePolicy(text, "my.moe"));
//
// docs/policy-language.md describes the language.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/policy_spec.h"
#include "policy/diagnostics.h"
#include "policy/parameters.h"
#include "policy/syntax.h"
#include "sluice/status.h"

namespace sluice {

// The model that a policy is checked against.
struct TargetModel {
  int32_t layers = 0;   // with experts
  int32_t experts = 0;  // per layer
  int32_t top_k = 0;
  uint64_t expert_bytes = 0;  // the largest

  int64_t all_experts() const { return int64_t{layers} * experts; }
};

enum class PolicyUse { kEngine, kReplay };  // belady knows the future: only a replay can

struct CompileOptions {
  std::optional<TargetModel> shape;  // without it, rules about the model are not checked
  PolicyUse use = PolicyUse::kEngine;
};

// Where the value of a parameter was written.
struct Origin {
  std::string policy;  // this one, or one that it extends
  Place place;         // of the parameter
  Place value;
};

struct CompiledPolicy {
  PolicySpec spec;
  std::map<std::string, Origin> origins;  // by ParameterKey; what is not in it is a default
  Place name;
  bool legacy = false;  // of a file of MoE-PolicyLang (version 0.7 or earlier)
  bool valid = false;
};

struct CompiledFile {
  Diagnostics diagnostics;
  FileNode tree;
  std::vector<CompiledPolicy> policies;  // all that have a name, valid or not

  const CompiledPolicy* Find(std::string_view name) const;
};

// "cache.capacity", "prefetch.decode.budget", "tier.ram.eviction"
std::string ParameterKey(BlockKind block, std::string_view name, std::optional<Phase> phase,
                         std::string_view tier = "");

inline constexpr double kLanguageVersion = 1.0;
inline constexpr double kLegacyVersion = 0.7;  // MoE-PolicyLang's last grammar that is public

// Reads, checks and compiles all policies of a file. REQUIRES: source outlives the result, whose
// tree refers to it.
CompiledFile CompileFile(std::string_view source, std::string file_name,
                         const CompileOptions& options = {});

// The policy of the file called `name`; "": the only one. Fails with all errors in the message.
Result<PolicySpec> CompilePolicy(std::string_view source, std::string file_name,
                                 const CompileOptions& options = {}, std::string_view name = "");

}  // namespace sluice

// The assembler places the files of policies/ in the program, one symbol before and one after each.
#include "policy/shipped.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "policy/names.h"
#include "policy/parser.h"

#define SLUICE_SHIPPED(name)                 \
  __asm__(                                   \
      ".pushsection .rodata\n"               \
      ".global kSluicePolicyBegin_" #name    \
      "\n"                                   \
      ".hidden kSluicePolicyBegin_" #name    \
      "\n"                                   \
      "kSluicePolicyBegin_" #name            \
      ":\n"                                  \
      ".incbin \"" SLUICE_POLICIES "/" #name \
      ".moe\"\n"                             \
      ".global kSluicePolicyEnd_" #name      \
      "\n"                                   \
      ".hidden kSluicePolicyEnd_" #name      \
      "\n"                                   \
      "kSluicePolicyEnd_" #name              \
      ":\n"                                  \
      ".byte 0\n"                            \
      ".popsection\n");
#include "policy/shipped.inc"
#undef SLUICE_SHIPPED

extern "C" {
#define SLUICE_SHIPPED(name)                                                           \
  extern const char kSluicePolicyBegin_##name[] __attribute__((visibility("hidden"))); \
  extern const char kSluicePolicyEnd_##name[] __attribute__((visibility("hidden")));
#include "policy/shipped.inc"
#undef SLUICE_SHIPPED
}

namespace sluice {
namespace {

const ShippedPolicy* FindShipped(std::string_view name) {
  for (const ShippedPolicy& policy : ShippedPolicies()) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

Status Unknown(const std::string& name) {
  std::vector<std::string_view> names;
  for (const ShippedPolicy& policy : ShippedPolicies()) names.push_back(policy.name);
  return InvalidArgumentError(
      fmt::format("there is no policy or file '{}': {} (sluice policy list shows those "
                  "that are built in)",
                  name, SuggestName(name, names)));
}

}  // namespace

std::span<const ShippedPolicy> ShippedPolicies() {
  static const std::vector<ShippedPolicy> policies = {
#define SLUICE_SHIPPED(name)   \
  {#name,                      \
   {kSluicePolicyBegin_##name, \
    static_cast<size_t>(kSluicePolicyEnd_##name - kSluicePolicyBegin_##name)}},
#include "policy/shipped.inc"
#undef SLUICE_SHIPPED
  };
  return policies;
}

std::string PolicySummary(std::string_view source) {
  std::string summary;
  for (size_t at = source.find("\n# "); at != std::string_view::npos;) {
    const size_t end = source.find('\n', at + 1);
    if (end == std::string_view::npos) break;
    summary += (summary.empty() ? "" : " ") + std::string(source.substr(at + 3, end - at - 3));
    at = source.substr(end).starts_with("\n# ") ? end : std::string_view::npos;
  }
  // A sentence ends where a capital follows; "et al." and "arXiv 2402.07033" go on.
  for (size_t at = summary.find(". "); at != std::string::npos; at = summary.find(". ", at + 1)) {
    const bool ends = at + 2 < summary.size() && summary[at + 2] >= 'A' && summary[at + 2] <= 'Z';
    if (ends) return summary.substr(0, at + 1);
  }
  return summary;
}

Result<PolicySource> FindPolicySource(const std::string& name_or_path) {
  if (const ShippedPolicy* shipped = FindShipped(name_or_path)) {
    return PolicySource{.file_name = fmt::format("{}.moe (built in)", name_or_path),
                        .text = std::string(shipped->source),
                        .policy = {},
                        .builtin = true};
  }
  PolicySource source{.file_name = name_or_path, .text = {}, .policy = {}};
  std::error_code error;
  if (!std::filesystem::exists(source.file_name, error)) {
    const size_t colon = name_or_path.rfind(':');
    if (colon == std::string::npos) return Unknown(name_or_path);
    source.file_name = name_or_path.substr(0, colon);
    source.policy = name_or_path.substr(colon + 1);
    if (!std::filesystem::exists(source.file_name, error)) return Unknown(source.file_name);
  }
  if (std::filesystem::is_directory(source.file_name, error)) {
    return InvalidArgumentError(source.file_name + " is a directory, not a policy");
  }
  std::ifstream file(source.file_name, std::ios::binary);
  // One byte more than is allowed is enough to say that it is too much.
  source.text.resize(kMostPolicyBytes + 1);
  file.read(source.text.data(), static_cast<std::streamsize>(source.text.size()));
  if (!file.is_open() || file.bad()) {
    return InvalidArgumentError("cannot read the policy " + source.file_name + ": " +
                                std::generic_category().message(errno));
  }
  source.text.resize(static_cast<size_t>(file.gcount()));
  return source;
}

Result<PolicySpec> LoadPolicy(const std::string& name_or_path, const CompileOptions& options) {
  SLUICE_TRY_ASSIGN(const PolicySource source, FindPolicySource(name_or_path));
  return CompilePolicy(source.text, source.file_name, options, source.policy);
}

}  // namespace sluice

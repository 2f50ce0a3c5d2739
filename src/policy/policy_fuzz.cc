// Any bytes as a policy file: read, checked, formatted, explained. Never a crash, a hang or memory
// without bound; what is formatted stays so and means the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "policy/explain.h"
#include "policy/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(bytes), size);
  const sluice::CompileOptions options{
      .shape =
          sluice::TargetModel{.layers = 12, .experts = 32, .top_k = 4, .expert_bytes = 1000000}};
  const sluice::CompiledFile plain = sluice::CompileFile(source, "fuzz");
  const sluice::CompiledFile file = sluice::CompileFile(source, "fuzz", options);
  if (file.diagnostics.RenderAll().empty() != file.diagnostics.found().empty()) std::abort();

  const auto once = sluice::FormatPolicyText(source, "fuzz");
  if (!once.ok()) {
    if (plain.diagnostics.ok()) std::abort();  // what compiles has a canonical form
    return 0;
  }
  const auto twice = sluice::FormatPolicyText(*once, "fuzz");
  if (!twice.ok() || *twice != *once) std::abort();
  const sluice::CompiledFile again = sluice::CompileFile(*once, "fuzz");
  if (again.policies.size() != plain.policies.size()) std::abort();
  for (size_t i = 0; i < plain.policies.size(); ++i) {
    if (again.policies[i].valid != plain.policies[i].valid) std::abort();
    if (plain.policies[i].valid && !(again.policies[i].spec == plain.policies[i].spec))
      std::abort();
  }
  for (const sluice::CompiledPolicy& policy : file.policies) {
    if (!policy.valid) continue;
    sluice::ExplainPolicy(policy, options);
    sluice::ShowPolicy(policy);
    // What is printed from a policy compiles to that policy.
    const auto printed = sluice::CompilePolicy(sluice::PrintPolicy(policy.spec), "printed");
    if (!printed.ok() || !(*printed == policy.spec)) std::abort();
  }
  return 0;
}

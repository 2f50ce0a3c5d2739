// A policy with all that it needs to run: its text compiled for a model, and the files it names.
#pragma once

#include <string>
#include <vector>

#include "policy/compile.h"
#include "policy/shipped.h"
#include "sluice/status.h"

namespace sluice {

struct PreparedPolicy {
  PolicySource source;
  PolicySpec spec;
  std::vector<double> popularity;  // [layers x experts], of `profile`; empty: it names none
  std::string table;               // content of the prefetch table; empty: it names none
};

// Files that take the place of those that a policy names; "": those, looked for beside the policy's
// own file and then in the working directory.
struct PolicyFiles {
  std::string profile;
  std::string table;
};

// `name_or_path`: a shipped policy, a file, or `file:policy`. Blocks: reads files.
Result<PreparedPolicy> PreparePolicy(const std::string& name_or_path, const CompileOptions& options,
                                     const PolicyFiles& files = {});
// The same for a text that is at hand already.
Result<PreparedPolicy> PreparePolicy(PolicySource source, const CompileOptions& options,
                                     const PolicyFiles& files = {});

// How popular every expert was: lines `layer,expert,count`, in any order, `#` begins a comment;
// experts that are not named count 0. `sluice trace profile` writes such files.
Result<std::vector<double>> ParseProfile(std::string_view text, const std::string& name,
                                         CacheShape shape);

// What the policy asks for that this engine does not do, a sentence each; decisions and output are
// as if it were not there.
std::vector<std::string> WithoutEffect(const PolicySpec& spec);

}  // namespace sluice

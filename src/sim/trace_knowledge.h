// What a trace teaches policies that start from knowledge of a model.
#pragma once

#include <string>

#include "routing/trace_data.h"

namespace sluice {

// For `init = profile`: lines `layer,expert,count`, most popular first.
std::string MakeProfile(const Trace& trace);

// For `table = "..."` (docs/prefetch.md): how often each expert follows each of the layer before,
// and the same as a naive Bayes model. Pairs that were seen fewer than `least` times are left out.
std::string MakeTable(const Trace& trace, int64_t least);

}  // namespace sluice

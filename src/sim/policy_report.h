// What policies would have done with a trace, as figures for its page of pictures.
#pragma once

#include <string>
#include <vector>

#include "policy/prepare.h"
#include "routing/trace_data.h"
#include "sim/replay.h"
#include "sim/svg_chart.h"
#include "sluice/status.h"

namespace sluice {

// Replays the trace under every policy with an eighth to seven eighths of the experts in memory,
// and appends: hit rate and modelled stall by capacity, with Belady's bound; and over time, at a
// quarter, with the firings of adapt rules. `options.slots` is not read.
Status AddPolicyFigures(const Trace& trace, const std::vector<PreparedPolicy>& policies,
                        const ReplayOptions& options, HtmlReport* report);

}  // namespace sluice

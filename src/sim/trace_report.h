// A trace as a page of pictures: sluice trace plot.
#pragma once

#include <string>

#include "sim/svg_chart.h"
#include "sim/trace_statistics.h"

namespace sluice {

// Appends the figures of one trace under a heading. Who has more to show of the trace (capacity
// curves, a timeline) appends it to the same report afterwards.
void AddTraceFigures(const std::string& name, const TraceStatistics& statistics,
                     HtmlReport* report);

}  // namespace sluice

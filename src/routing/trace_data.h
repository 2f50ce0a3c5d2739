// A recorded run in memory: which experts every router chose, in the order in which the layers were
// called. Whatever file it came from (docs/trace-format.md), this is what a replay reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "routing/clock_readings.h"
#include "routing/gate_guess.h"
#include "routing/trace.h"

namespace sluice {

// The calls [first_call, first_call + calls) of one step of the model. A token that is traced
// alone is a step of its own.
struct TraceStep {
  uint64_t first_call = 0;
  uint32_t calls = 0;
  int32_t tokens = 0;
  int32_t readings = -1;  // index into Trace::readings
};

// One layer of one step: rows [first_row, first_row + tokens) of experts and weights.
struct TraceCall {
  int32_t layer = 0;
  int32_t tokens = 0;
  uint64_t first_row = 0;
  int32_t gate = -1;  // index into Trace::gates
};

// A GateGuess that owns its experts.
struct TraceGate {
  int32_t layer = 0;
  std::vector<Likely> experts;
};

struct Trace {
  TraceMeta meta;
  std::vector<TraceStep> steps;
  std::vector<TraceCall> calls;
  std::vector<int32_t> experts;     // [rows, top_k], rank order
  std::vector<float> weights;       // [rows, top_k], or empty: the file does not say
  std::vector<TracedToken> tokens;  // [rows], or empty
  std::vector<TraceGate> gates;
  std::vector<ClockReadings> readings;
  // Steps at which a new conversation (request, document) begins; the first is 0.
  std::vector<uint64_t> conversations;
};

}  // namespace sluice

// Puts a Trace together row by row, and refuses what no model can have computed: the part that all
// readers share.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "routing/trace_data.h"
#include "sluice/status.h"

namespace sluice {

// Rows come in the order of computation. Every step calls every layer once, in ascending order,
// with the same tokens. A new call begins where the layer changes; where a step ends is told by
// BeginStep(), or, if that is never called, by the layer 0 that follows the last layer.
//
// Messages say what is wrong; the reader adds the place.
class TraceBuilder {
 public:
  // Fails if the shape makes no sense.
  static Result<TraceBuilder> Create(TraceMeta meta);

  // A step of `tokens` tokens begins. `readings` may be null.
  Status BeginStep(int32_t tokens, const ClockReadings* readings);
  // A guess that the next call, of `layer`, came with.
  Status AddGate(int32_t layer, TraceGate gate);
  // One token at one layer. `weights` is empty in all rows or in none. The tokens must be given in
  // all rows (then conversations begin where a request is first seen) or be null in all.
  Status AddRow(int32_t layer, std::span<const int32_t> experts, std::span<const float> weights,
                const TracedToken* token);
  // The step is complete: the next row begins another one.
  Status EndStep();
  // A conversation begins with the next step.
  void BeginConversation();
  // Makes room for this many rows.
  void Reserve(uint64_t rows);

  const TraceMeta& meta() const { return trace_.meta; }
  // Steps that are complete.
  uint64_t steps() const { return trace_.steps.size() - (open_ ? 1 : 0); }
  Result<Trace> Finish();

 private:
  explicit TraceBuilder(TraceMeta meta);

  Status BeginCall(int32_t layer);
  Status EndCall();
  Status CheckRow(std::span<const int32_t> experts, std::span<const float> weights);
  Status CheckToken(const TracedToken* token);
  Status CheckExperts(int32_t layer, std::span<const int32_t> experts);

  Trace trace_;
  bool told_ = false;               // BeginStep() tells where steps begin
  bool open_ = false;               // the last step goes on
  int32_t step_tokens_ = -1;        // of the open step; -1: its first call will tell
  int32_t gate_layer_ = -1;         // of the guess that waits for its call; -1: none waits
  std::vector<uint64_t> last_row_;  // that chose an expert, counted from 1
  uint64_t rows_ = 0;
  std::unordered_set<int64_t> requests_;  // seen
};

}  // namespace sluice

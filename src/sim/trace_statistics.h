// What recorded routing looks like, layer by layer: how evenly experts are used, how soon they come
// back, how well the next ones can be told from the last. tests/trace_test.py computes the same in
// NumPy.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "routing/trace_data.h"
#include "sluice/status.h"

namespace sluice {

// Tokens that the windows of working sets hold.
inline constexpr std::array<int64_t, 12> kWindows = {1,  2,   4,   8,   16,   32,
                                                     64, 128, 256, 512, 1024, 2048};

// Tokens are taken in the order of the trace, in a batch row by row. "The token before" is that of
// the same request, or of the same conversation where the trace has no requests.
struct LayerStatistics {
  std::vector<uint64_t> counts;  // [experts]: how often each was chosen
  double entropy_bits = 0;       // of the shares of the experts; log2(experts) if all are alike
  double top_tenth_share = 0;    // of all choices that fell on the most used tenth of the experts
  double gini = 0;               // 0: all alike; towards 1: few experts do everything

  // reuse[d]: choices of an expert since whose last choice d others were chosen, in rank order. A
  // cache of C >= top_k slots under LRU hits exactly those with d < C.
  std::vector<uint64_t> reuse;  // [experts]
  uint64_t first_choices = 0;   // of experts that had not been chosen before

  // Distinct experts in kWindows[i] consecutive tokens, on average over windows side by side; NaN
  // where the trace is shorter.
  std::array<double, kWindows.size()> working_set{};

  // The share of a token's experts that the token before had chosen too: what guessing "the same
  // again" gets right.
  double overlap = 0;
  // The share of a token's experts that guesses of top_k get right, learned on the first half of
  // the tokens and counted on the second. Popular: the most used of the layer. Affinity: those that
  // followed the experts of the layer before most often (layer 0: NaN).
  double recall_popular = 0;
  double recall_affinity = 0;
  // What an expert of the layer tells about one of the next layer, both of one token, in bits; NaN
  // in the last layer.
  double next_layer_bits = 0;

  std::vector<uint32_t> together;  // [experts, experts]: tokens that chose both
  std::vector<uint32_t> next;      // [experts, experts of the next layer]; empty in the last layer
};

struct TraceStatistics {
  int64_t experts = 0;
  int64_t top_k = 0;
  int64_t tokens = 0;
  uint64_t steps = 0;
  uint64_t conversations = 0;
  std::vector<LayerStatistics> layers;
};

// Means over the layers that have the figure.
struct OverallStatistics {
  double entropy_bits = 0;
  double uniform_bits = 0;
  double top_tenth_share = 0;
  double gini = 0;
  double overlap = 0;
  double recall_popular = 0;
  double recall_affinity = 0;
  double next_layer_bits = 0;
  std::array<double, kWindows.size()> working_set{};
  uint64_t first_choices = 0;   // sums
  std::vector<uint64_t> reuse;  // [experts]
};

// Fails if the trace has no tokens or more experts than tables of pairs can be kept for.
Result<TraceStatistics> ComputeTraceStatistics(const Trace& trace);
OverallStatistics Overall(const TraceStatistics& statistics);

// The reuse distance within which `share` of the choices lie that have one.
int64_t ReuseQuantile(const std::vector<uint64_t>& reuse, double share);

}  // namespace sluice

// The best policy for a recorded run under a memory budget, by a search that a person can follow.
//
// One question after another (which eviction, which prefetch, ...): every answer is replayed on the
// training part of the trace with the best answers so far to the others, and the cheapest one
// stays. An answer that is not clearly cheaper than the plainer one before it does not win. What
// comes out is then replayed on the part that the search never saw.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "routing/trace_data.h"
#include "sim/replay.h"
#include "sluice/status.h"

namespace sluice {

enum class Cost { kStall, kBytes, kMisses };  // per token, each

struct TuneOptions {
  Cost cost = Cost::kStall;
  int64_t slots = 0;  // memory for experts, staging included
  LinkModel link;
  double train_share = 0.6;  // of the trace's steps
};

// One policy that was tried.
struct Trial {
  std::string question;
  std::string answer;
  double cost = 0;  // per token of the training part: seconds, bytes or experts
  double hit_rate = 0;
  bool kept = false;
};

struct Judged {
  double cost = 0;
  double stall_seconds = 0, bytes_read = 0, demand_misses = 0;  // per token
  double hit_rate = 0;
};

struct Tuned {
  std::string policy;  // .moe text, reasons as comments
  std::vector<Trial> trials;
  uint64_t train_tokens = 0;
  uint64_t test_tokens = 0;
  // On the part that was not trained on.
  Judged test, test_lru, test_belady;
};

// `progress`: trials done and how many there may be; false stops with kCancelled.
using TuneProgress = std::function<bool(size_t done, size_t expected)>;

// `name`: of the policy that comes out.
Result<Tuned> Tune(const Trace& trace, const TuneOptions& options, const std::string& name,
                   const TuneProgress& progress = {});

const char* CostUnit(Cost cost);  // "s/token", ...

}  // namespace sluice

// What to fetch on a guess: predictors' probabilities, held against threshold, budget, what is
// there already, and the link's idle time. Where the experts then go is DecisionCore's business.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cache/decision_core.h"
#include "cache/prefetch.h"
#include "cache/residency.h"

namespace sluice {

class PrefetchPlanner {
 public:
  struct Setup {
    CacheShape shape;
    int32_t top_k = 1;
    uint64_t expert_bytes = 1;
    LinkTicks link;
    std::string_view table;
  };
  // Makes a predictor for every list of strategies that the policy names, in either phase or in a
  // rule, so that all of them learn from the first call on. `spec` outlives the planner and may
  // change under it.
  PrefetchPlanner(const PolicySpec& spec, const Setup& setup);

  // Whether any phase or rule prefetches.
  bool any() const { return !entries_.empty(); }

  void Observe(const LayerCall& call);
  struct Wanted {
    ExpertKey key = 0;
    float probability = 0;  // that the call asks for it
    uint64_t due = 0;       // LayerCall::call of its layer's next call
  };
  // At most `budget`, likeliest first; absent ones only. `demand_misses`: of this call, which the
  // link has to carry first. Valid until the next call.
  std::span<const Wanted> Plan(const LayerCall& call, const Residency& residency,
                               int32_t demand_misses);
  // What the predictor of the call's phase holds of the call's own layer in the next step, by
  // expert; for eviction by prediction. Zeros where the phase does not prefetch. At most as often
  // as there are calls.
  void PredictSameLayer(const LayerCall& call, std::span<float> probability);
  // So many of them are really fetched.
  void Charge(int64_t experts);
  void Reset();

 private:
  struct Entry {
    std::vector<std::string> strategies;
    std::unique_ptr<Predictor> predictor;
  };
  Entry* Find(const std::vector<std::string>& strategies);
  void Gather(const LayerCall& call, const PrefetchSpec& spec, int32_t distance,
              const Residency& residency);
  float MassThreshold(double share);
  int32_t Affordable(const PrefetchSpec& spec, int32_t demand_misses);

  const PolicySpec& spec_;
  const Setup setup_;
  std::vector<Entry> entries_;
  std::vector<float> probability_;  // [experts]
  std::vector<float> sorted_;
  std::vector<Wanted> wanted_;
  double credit_bytes_ = 0;  // that the idle link could have carried
};

// How many experts a call may fetch on a guess: `all` takes the whole layer.
int32_t PrefetchBudget(const PrefetchSpec& spec, CacheShape shape);

}  // namespace sluice

// Which experts will be wanted soon. Pure decisions, as in eviction.h.
//
// A predictor gives probabilities; what becomes of them (threshold, budget, what is resident
// already) is decided once, in DecisionCore.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cache/layer_call.h"
#include "cache/policy_spec.h"
#include "sluice/status.h"

namespace sluice {

// What a predictor is made from. `prefetch` outlives it; parameters that a rule of `adapt` may
// change are read when they are used.
struct PredictorSetup {
  CacheShape shape;
  int32_t top_k = 1;
  const PrefetchSpec* prefetch = nullptr;
  const CacheSpec* cache = nullptr;
  std::string_view table;  // content of PrefetchSpec::table; empty: none
};

class Predictor {
 public:
  Predictor() = default;
  virtual ~Predictor() = default;
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  // Learns from what the routers chose. Every call, also in phases that do not prefetch.
  virtual void Observe(const LayerCall& call) = 0;
  // After Observe(call): the probability that each expert of `layer` is chosen by one token when
  // that layer is called next: `distance` >= 1 calls from now, in the next step where layer <=
  // call.layer. Writes all of `probability` [experts]; a predictor that cannot say writes zeros.
  virtual void Predict(const LayerCall& call, int32_t layer, int32_t distance,
                       std::span<float> probability) = 0;
  // Forgets what was learned.
  virtual void Reset() {}
};

// One strategy of prefetch/builtins.inc, or null.
std::unique_ptr<Predictor> NewPredictor(std::string_view name, const PredictorSetup& setup);
// One strategy, or a blend of several whose weights are learned while it runs, so that its
// probabilities stay calibrated. REQUIRES: known names, at least one.
std::unique_ptr<Predictor> NewPredictor(std::span<const std::string> names,
                                        const PredictorSetup& setup);
std::vector<std::string_view> PredictorNames();
// Whether PredictorSetup::table can be read and is for this model; the message names the line.
// NewPredictor takes a table that cannot be for an empty one.
Status CheckPredictorTable(std::string_view table, CacheShape shape);
// Whether strategy `name` can be part of a blend (`all` and `demand` cannot).
bool Blendable(std::string_view name);

}  // namespace sluice

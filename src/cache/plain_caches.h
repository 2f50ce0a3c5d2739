// For tests and benchmarks of eviction rules: one cache per layer as
// ../shared/data/traces/README.md defines it, and nothing of what DecisionCore adds to that.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {

// Empty at first. An access is a hit if its expert is resident when the call begins; misses are
// then inserted in the order in which the call met them; an expert of the current call is no
// victim.
class PlainCaches {
 public:
  PlainCaches(CacheShape shape, int32_t top_k, int32_t slots, EvictionRule* rule)
      : shape_(shape),
        top_k_(top_k),
        slots_(static_cast<size_t>(slots)),
        rule_(rule),
        residents_(static_cast<size_t>(shape.layers)),
        resident_(shape),
        current_(shape) {
    for (auto& layer : residents_) layer.reserve(slots_);
    demands_.reserve(static_cast<size_t>(shape.experts));
    candidates_.reserve(slots_);
  }

  // The next call of `layer`, whose rows chose `experts` [tokens, top_k]; the hits. `weights` as in
  // LayerCall.
  int64_t Call(int32_t layer, std::span<const int32_t> experts,
               std::span<const float> weights = {}) {
    const ExpertKey first = FirstKey(shape_, layer);
    const auto tokens = static_cast<int32_t>(experts.size()) / top_k_;
    if (layer <= layer_) ++step_;
    layer_ = layer;
    demands_.clear();
    current_.Clear();
    int64_t hits = 0;
    for (const int32_t e : experts) {
      hits += resident_.Has(first + e) ? 1 : 0;
      if (!current_.Has(first + e)) demands_.push_back({.expert = e, .tokens = 0});
      current_.Insert(first + e);
    }
    rule_->Observe({.layer = layer,
                    .tokens = tokens,
                    .top_k = top_k_,
                    .experts = experts,
                    .weights = weights,
                    .demands = demands_,
                    .phase = tokens > 1 ? Phase::kPrefill : Phase::kDecode,
                    .step = step_,
                    .call = calls_++});
    for (const Demand& demand : demands_) {
      if (!resident_.Has(first + demand.expert)) Insert(layer, first + demand.expert);
    }
    return hits;
  }
  const std::vector<ExpertKey>& residents(int32_t layer) const {
    return residents_[static_cast<size_t>(layer)];
  }
  bool reverse_candidates = false;
  // Hears of every choice of the rule, if set.
  std::function<void(std::span<const ExpertKey> candidates, ExpertKey victim)> on_victim;

 private:
  void Insert(int32_t layer, ExpertKey key) {
    auto& here = residents_[static_cast<size_t>(layer)];
    if (here.size() == slots_) {
      candidates_.clear();
      for (const ExpertKey r : here) {
        if (!current_.Has(r)) candidates_.push_back(r);
      }
      if (candidates_.empty()) return;
      if (reverse_candidates) std::ranges::reverse(candidates_);
      const ExpertKey victim = rule_->Victim(candidates_);
      if (on_victim) on_victim(candidates_, victim);
      resident_.Erase(victim);
      *std::ranges::find(here, victim) = here.back();
      here.pop_back();
      rule_->OnRemove(victim);
    }
    here.push_back(key);
    resident_.Insert(key);
    rule_->OnInsert(key, Insertion::kDemand);
  }

  const CacheShape shape_;
  const int32_t top_k_;
  const size_t slots_;
  EvictionRule* const rule_;
  std::vector<std::vector<ExpertKey>> residents_;
  KeySet resident_;
  KeySet current_;
  std::vector<Demand> demands_;
  std::vector<ExpertKey> candidates_;
  int32_t layer_ = -1;
  uint64_t step_ = 0;
  uint64_t calls_ = 0;
};

}  // namespace sluice

#include "cache/expert_cache.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace sluice {

Result<std::unique_ptr<ExpertCache>> ExpertCache::Create(CacheShape shape, int64_t slots,
                                                         std::string_view policy) {
  SLUICE_CHECK(slots >= 1 && shape.size() >= 1);
  static const CacheSpec kSpec;
  std::unique_ptr<EvictionRule> eviction = NewEvictionRule(
      policy, {.shape = shape, .slots = static_cast<int32_t>(slots), .cache = &kSpec});
  if (eviction == nullptr) {
    return InvalidArgumentError(fmt::format("there is no eviction policy '{}'; there are: {}",
                                            policy, fmt::join(EvictionRuleNames(), ", ")));
  }
  slots = std::min<int64_t>(slots, static_cast<int64_t>(shape.size()));
  return std::unique_ptr<ExpertCache>(new ExpertCache(shape, slots, std::move(eviction)));
}

ExpertCache::ExpertCache(CacheShape shape, int64_t slots, std::unique_ptr<EvictionRule> rule)
    : shape_(shape),
      slots_(slots),
      rule_(std::move(rule)),
      slot_of_(shape.size(), -1),
      in_call_(shape.size(), 0) {
  const bool per_layer = slots >= static_cast<int64_t>(kMinSlotsPerLayer) * shape.layers;
  const int64_t domains = per_layer ? shape.layers : 1;
  domains_.resize(static_cast<size_t>(domains));
  int32_t slot = 0;
  for (int64_t d = 0; d < domains; ++d) {
    const int64_t share = slots / domains + (d < slots % domains ? 1 : 0);
    Domain& domain = domains_[static_cast<size_t>(d)];
    for (int64_t i = 0; i < share; ++i) domain.free.push_back(slot++);
    std::ranges::reverse(domain.free);
  }
}

const Dispatch& ExpertCache::Begin(int32_t layer, std::span<const Demand> demands) {
  ++call_;
  dispatch_.clear();
  wanted_.clear();
  next_own_victim_ = 0;
  rule_->Observe({.layer = layer, .demands = demands, .call = call_});
  for (const Demand& demand : demands) {
    const ExpertId id{.layer = layer, .expert = demand.expert};
    wanted_.push_back(id);
    in_call_[shape_.Index(id)] = call_;
    const bool hit = Resident(id);
    stats_.accesses += static_cast<uint64_t>(demand.tokens);
    (hit ? stats_.hits : stats_.misses) += static_cast<uint64_t>(demand.tokens);
  }
  for (size_t i = 0; i < demands.size(); ++i) {
    if (!Resident(wanted_[i])) continue;
    dispatch_.push_back({.demand = static_cast<int32_t>(i),
                         .slot = slot_of_[shape_.Index(wanted_[i])],
                         .hit = true});
  }
  const size_t hits = dispatch_.size();
  size_t next_hit = 0;
  for (size_t i = 0; i < demands.size(); ++i) {
    if (next_hit < hits && dispatch_[next_hit].demand == static_cast<int32_t>(i)) {
      ++next_hit;
    } else {
      dispatch_.push_back(Insert(layer, static_cast<int32_t>(i), wanted_[i]));
    }
  }
  return dispatch_;
}

Placed ExpertCache::Insert(int32_t layer, int32_t demand, ExpertId id) {
  Domain& domain = DomainOf(layer);
  Placed placed{.demand = demand, .slot = -1, .hit = false, .after = -1};
  if (domain.free.empty()) {
    candidates_.clear();
    for (const ExpertId resident : domain.residents) {
      if (in_call_[shape_.Index(resident)] != call_) candidates_.push_back(KeyOf(shape_, resident));
    }
    ExpertId victim;
    if (!candidates_.empty()) {
      victim = IdOf(shape_, rule_->Victim(candidates_));
    } else {
      // Everything here is wanted by this very call: reuse slots in the order of computation.
      placed.after = static_cast<int32_t>(next_own_victim_);
      victim = wanted_[static_cast<size_t>(dispatch_[next_own_victim_++].demand)];
    }
    Remove(&domain, victim);
    ++stats_.evictions;
  }
  placed.slot = domain.free.back();
  domain.free.pop_back();
  slot_of_[shape_.Index(id)] = placed.slot;
  domain.residents.push_back(id);
  rule_->OnInsert(KeyOf(shape_, id), Insertion::kDemand);
  ++stats_.loads;
  return placed;
}

void ExpertCache::Remove(Domain* domain, ExpertId id) {
  int32_t& slot = slot_of_[shape_.Index(id)];
  SLUICE_CHECK(slot >= 0);
  domain->free.push_back(slot);
  slot = -1;
  const auto found = std::ranges::find(domain->residents, id);
  *found = domain->residents.back();
  domain->residents.pop_back();
  rule_->OnRemove(KeyOf(shape_, id));
}

void ExpertCache::Forget(ExpertId id) {
  if (Resident(id)) Remove(&DomainOf(id.layer), id);
}

}  // namespace sluice

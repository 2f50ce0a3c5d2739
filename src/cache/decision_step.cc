// Between steps: triggers, the rules of `adapt`, the division of slots over layers.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "cache/decision_core_impl.h"

namespace sluice {
namespace {

constexpr size_t kMaxEvents = 4096;
// Steps between two looks at the layers' entropy, which costs a logarithm per expert.
constexpr uint64_t kEntropyInterval = 16;

}  // namespace

void DecisionCore::Impl::BeginStep(int32_t tokens, const ClockReadings* readings) {
  readings_ = readings != nullptr ? std::optional(*readings) : std::nullopt;
  if (step_open_) EndStep();
  step_open_ = true;
  step_tokens_ = tokens;
  step_counts_ = {};
  phase_ =
      tokens >= spec_.ScheduleOf(Phase::kDecode).batch_threshold ? Phase::kPrefill : Phase::kDecode;
}

void DecisionCore::Impl::EndStep() {
  DecisionCounts totals;
  if (!spec_.adapt.empty()) {
    for (const auto& by_layer : counts_) {
      for (const DecisionCounts& counts : by_layer) totals += counts;
    }
    step_counts_.tokens = static_cast<uint64_t>(step_tokens_);
    step_counts_.accesses = totals.accesses - totals_before_.accesses;
    step_counts_.hits = totals.hits - totals_before_.hits;
    step_counts_.demand_misses = totals.demand_misses - totals_before_.demand_misses;
    step_counts_.evictions = totals.evictions - totals_before_.evictions;
    step_counts_.prefetches_used = totals.prefetches_used - totals_before_.prefetches_used;
    step_counts_.prefetches_wasted = totals.prefetches_wasted - totals_before_.prefetches_wasted;
    totals_before_ = totals;
    monitor_.Add(step_counts_);
  }
  ++step_;
  tokens_ += static_cast<uint64_t>(step_tokens_);
  // Whoever goes from here on is no longer part of a call.
  if (spec_.cache.memory_threshold > 0) RelieveMemory(spec_.cache.memory_threshold);
  if (spec_.cache.ttl > 0) ExpireUnused();
  if (spec_.per_layer && calls_ >= next_rebalance_) {
    if (next_rebalance_ > 0) Rebalance();
    const auto& per_layer = *spec_.per_layer;
    const int64_t wait =
        next_rebalance_ == 0 ? per_layer.entropy_window : per_layer.rebalance_interval;
    next_rebalance_ = calls_ + static_cast<uint64_t>(std::max<int64_t>(1, wait));
  }
  if (spec_.adapt.empty()) return;
  if (wants_entropy_ && step_ % kEntropyInterval == 1) entropy_bits_ = popularity_->MeanEntropy();
  const Monitor::Present present{
      .resident_bytes =
          static_cast<double>(residency_.resident_count()) * static_cast<double>(expert_bytes_),
      .budget_bytes = spec_.cache.memory_budget_bytes,
      .entropy_bits = entropy_bits_,
      .clock = readings_ ? &*readings_ : nullptr};
  for (const int32_t i : adapter_.Evaluate(monitor_, present)) {
    ++adapt_firings_;
    for (const AdaptAction& action : spec_.adapt[static_cast<size_t>(i)].actions) Apply(i, action);
  }
}

void DecisionCore::Impl::ShrinkTo(size_t domain, int32_t capacity) {
  while (std::ssize(residency_.residents(domain)) > capacity) {
    const std::optional<ExpertKey> victim = ChooseVictim(domain);
    if (!victim) return;
    Displace(*victim);
  }
}

void DecisionCore::Impl::RelieveMemory(double share) {
  const auto pressure = [&] {
    return static_cast<double>(residency_.resident_count()) * static_cast<double>(expert_bytes_) /
           spec_.cache.memory_budget_bytes;
  };
  if (pressure() < share) return;
  ++stamp_;  // nothing is wanted now
  while (pressure() > spec_.cache.memory_headroom) {
    // From the fullest domain, so that no layer is emptied alone.
    size_t fullest = 0;
    for (size_t d = 1; d < residency_.domains(); ++d) {
      if (residency_.residents(d).size() > residency_.residents(fullest).size()) fullest = d;
    }
    const std::optional<ExpertKey> victim = ChooseVictim(fullest);
    if (!victim) return;
    Displace(*victim);
  }
}

void DecisionCore::Impl::ExpireUnused() {
  const auto ttl = static_cast<uint64_t>(spec_.cache.ttl);
  for (size_t d = 0; d < residency_.domains(); ++d) {
    candidates_.assign(residency_.residents(d).begin(), residency_.residents(d).end());
    std::ranges::sort(candidates_);
    for (const ExpertKey key : candidates_) {
      if (Has(key, kPinned) || accesses_ - last_access_[static_cast<size_t>(key)] <= ttl) continue;
      Displace(key);
    }
  }
}

void DecisionCore::Impl::Rebalance() {
  if (residency_.domains() == 1) return;
  int64_t total = 0;
  for (size_t d = 0; d < residency_.domains(); ++d) total += residency_.capacity(d);
  const std::vector<int32_t> slots =
      DivideSlots(*spec_.per_layer, shape_, total, *popularity_, depths_ ? &*depths_ : nullptr);
  if (depths_) depths_->Age();
  ++stamp_;
  // First those that give, so that the sum never grows.
  for (const bool giving : {true, false}) {
    for (size_t d = 0; d < slots.size(); ++d) {
      const int32_t change = slots[d] - residency_.capacity(d);
      if ((change < 0) != giving) continue;
      if (std::abs(change) < spec_.per_layer->hysteresis) continue;
      if (giving) ShrinkTo(d, slots[d]);
      residency_.SetCapacity(
          d, std::max(slots[d], static_cast<int32_t>(std::ssize(residency_.residents(d)))));
    }
  }
}

void DecisionCore::Impl::Log(int32_t rule_index, std::string what) {
  if (events_.size() < kMaxEvents) {
    events_.push_back({.step = step_, .rule = rule_index, .what = std::move(what)});
  }
}

void DecisionCore::Impl::Apply(int32_t rule_index, const AdaptAction& action) {
  switch (action.kind) {
    case AdaptAction::Kind::kSet:
      ApplySet(action);
      Log(rule_index, "set");
      return;
    case AdaptAction::Kind::kTriggerMemoryPressure:
      RelieveMemory(0);
      Log(rule_index, "trigger memory_pressure");
      return;
    case AdaptAction::Kind::kRebalance:
      if (spec_.per_layer) {
        const auto allocation = static_cast<Allocation>(static_cast<int>(action.number));
        // By marginal gain only where the policy has counted for it from the start.
        if (allocation != Allocation::kMarginal || depths_) {
          spec_.per_layer->allocation = allocation;
        }
        Rebalance();
      }
      Log(rule_index, "rebalance");
      return;
    case AdaptAction::Kind::kResetProfile:
      ResetToProfile();
      Log(rule_index, "reset profile");
      return;
    case AdaptAction::Kind::kResetStats:
      for (Rule& entry : rules_) entry.rule->Reset();
      planner_.Reset();
      if (popularity_) popularity_->Reset();
      Log(rule_index, "reset stats");
      return;
    case AdaptAction::Kind::kLog:
      Log(rule_index, action.text);
      return;
  }
}

void DecisionCore::Impl::SetCapacity(double slots) {
  ++stamp_;
  // The arena does not grow: no more than the slots that were there at first.
  int64_t left = slots_ - residency_.staging();
  for (size_t d = 0; d < residency_.domains(); ++d) {
    const auto rest = static_cast<int64_t>(residency_.domains() - d);
    const auto capacity =
        static_cast<int32_t>(std::min<int64_t>(static_cast<int64_t>(slots), left / rest));
    ShrinkTo(d, capacity);
    residency_.SetCapacity(
        d, std::max(capacity, static_cast<int32_t>(std::ssize(residency_.residents(d)))));
    left -= residency_.capacity(d);
  }
}

// `reset profile`: the most popular experts so far take the slots, as `init = profile` would.
void DecisionCore::Impl::ResetToProfile() {
  ++stamp_;
  std::vector<ExpertKey> order(shape_.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(),
                           [&](ExpertKey key) { return popularity_->Of(key); });
  std::vector<int32_t> room;
  for (size_t d = 0; d < residency_.domains(); ++d) room.push_back(residency_.capacity(d));
  std::vector<uint8_t> keep(shape_.size());
  for (const ExpertKey key : order) {
    int32_t& left = room[residency_.DomainOf(key)];
    if (left == 0 || (popularity_->Of(key) <= 0 && !residency_.Cached(key))) continue;
    --left;
    keep[static_cast<size_t>(key)] = 1;
  }
  for (const ExpertKey key : order) {
    if (residency_.Cached(key) && keep[static_cast<size_t>(key)] == 0 && !Has(key, kPinned))
      Displace(key);
  }
  // What is now missing comes in as it is demanded: a step must not wait for a whole cache.
}

void DecisionCore::Impl::ApplySet(const AdaptAction& action) {
  const auto number = static_cast<int64_t>(action.number);
  const auto each_phase = [&](auto& by_phase, auto change) {
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
      if (!action.phase || *action.phase == phase) change(by_phase[static_cast<size_t>(phase)]);
    }
  };
  CacheSpec& cache = spec_.cache;
  switch (action.tunable) {
    case Tunable::kEviction:
      cache.eviction = action.eviction;
      active_rule_ = FindRule(action.eviction);
      SLUICE_CHECK(active_rule_ < rules_.size());
      return;
    case Tunable::kCapacity:
      return SetCapacity(action.number);
    case Tunable::kFrequencyDecay:
      cache.frequency_decay = action.number;
      return;
    case Tunable::kFreqThreshold:
      cache.freq_threshold = action.number;
      return;
    case Tunable::kScoreEmaAlpha:
      cache.score_ema_alpha = action.number;
      return;
    case Tunable::kAdmission:
      cache.admission = static_cast<Admission>(number);
      return;
    case Tunable::kInsertCap:
      cache.insert_cap = static_cast<int32_t>(number);
      return;
    case Tunable::kPrefillInsert:
      cache.prefill_insert = static_cast<PrefillInsert>(number);
      return;
    case Tunable::kTtl:
      if (!last_access_.empty()) cache.ttl = number;
      return;
    case Tunable::kProtect:
      cache.protect = static_cast<int32_t>(number);
      return;
    case Tunable::kPrefetchStrategy:
      return each_phase(spec_.prefetch, [&](PrefetchSpec& p) { p.strategies = action.names; });
    case Tunable::kPrefetchBudget:
      return each_phase(spec_.prefetch,
                        [&](PrefetchSpec& p) { p.budget = static_cast<int32_t>(number); });
    case Tunable::kPrefetchLookahead:
      return each_phase(spec_.prefetch,
                        [&](PrefetchSpec& p) { p.lookahead = static_cast<int32_t>(number); });
    case Tunable::kPrefetchMinConfidence:
      return each_phase(spec_.prefetch, [&](PrefetchSpec& p) { p.min_confidence = action.number; });
    case Tunable::kPrefetchAffinityThreshold:
      return each_phase(spec_.prefetch,
                        [&](PrefetchSpec& p) { p.affinity_threshold = action.number; });
    case Tunable::kPrefetchMaxInflight:
      return each_phase(spec_.prefetch,
                        [&](PrefetchSpec& p) { p.max_inflight = static_cast<int32_t>(number); });
    case Tunable::kPrefetchInsert:
      return each_phase(spec_.prefetch,
                        [&](PrefetchSpec& p) { p.insert = static_cast<PrefetchInsert>(number); });
    case Tunable::kScheduleMode:
      return each_phase(spec_.schedule,
                        [&](ScheduleSpec& s) { s.mode = static_cast<Mode>(number); });
    case Tunable::kOffloadThresholdMs:
      return each_phase(spec_.schedule,
                        [&](ScheduleSpec& s) { s.offload_threshold_ms = action.number; });
  }
}

DecisionCore::GateWanted DecisionCore::Impl::gate_wanted(int32_t layer) const {
  const PrefetchSpec& prefetch = spec_.PrefetchOf(phase_);
  const int32_t target = layer + prefetch.lookahead;
  if (target >= shape_.layers ||
      std::ranges::find(prefetch.strategies, "gate") == prefetch.strategies.end()) {
    return {};
  }
  return {.layer = target, .experts = std::min(shape_.experts, 4 * top_k_)};
}

}  // namespace sluice

// One call: observe, count hits, place misses, plan prefetches.
#include <algorithm>
#include <functional>

#include "base/check.h"
#include "cache/decision_core_impl.h"

namespace sluice {
namespace {

// The part of a domain that a prompt streams through: a quarter keeps several experts in flight
// while others are computed. Never less than this many slots.
constexpr int32_t kStreamShare = 4;
constexpr int32_t kMinStreamSlots = 2;

}  // namespace

void DecisionCore::Impl::CollectDemands(const LayerRouting& routing) {
  demands_.clear();
  if (routing.tokens == 1) {
    for (const int32_t expert : routing.experts)
      demands_.push_back({.expert = expert, .tokens = 1});
    return;
  }
  for (const int32_t expert : routing.experts) {
    int32_t& demand = demand_of_[static_cast<size_t>(expert)];
    if (demand < 0) {
      demand = static_cast<int32_t>(demands_.size());
      demands_.push_back({.expert = expert, .tokens = 0});
    }
    ++demands_[static_cast<size_t>(demand)].tokens;
  }
  for (const Demand& demand : demands_) demand_of_[static_cast<size_t>(demand.expert)] = -1;
}

void DecisionCore::Impl::PrepareCall(const LayerRouting& routing) {
  SLUICE_CHECK(step_open_ && routing.layer >= 0 && routing.layer < shape_.layers);
  CollectDemands(routing);
  base_ = KeyOf(shape_, {.layer = routing.layer, .expert = 0});
  call_ = {.layer = routing.layer,
           .tokens = routing.tokens,
           .top_k = static_cast<int32_t>(routing.experts.size()) / routing.tokens,
           .experts = routing.experts,
           .weights = routing.weights,
           .gate = routing.gate,
           .demands = demands_,
           .phase = phase_,
           .step = step_,
           .call = calls_++,
           .first_token = tokens_};
  ++stamp_;
  for (const Demand& demand : demands_) {
    const ExpertKey key = base_ + demand.expert;
    in_call_[static_cast<size_t>(key)] = stamp_;
  }
  dispatch_.experts.clear();
  dispatch_.prefetches.clear();
  inserted_ = 0;
  next_own_ = 0;
  next_passing_ = 0;
}

void DecisionCore::Impl::DropPassing() {
  for (const ExpertKey key : passing_) {
    if (!Has(key, kPassing)) continue;
    Clear(key, kPassing);
    if (residency_.Staged(key)) residency_.Remove(key);
  }
  passing_.clear();
}

void DecisionCore::Impl::CountAccesses() {
  DecisionCounts& counts = CountsOf(base_);
  ++counts.calls;
  resident_.clear();
  for (const Demand& demand : demands_) {
    const ExpertKey key = base_ + demand.expert;
    const auto tokens = static_cast<uint64_t>(demand.tokens);
    const bool hit = !residency_.Absent(key);
    resident_.push_back(hit ? 1 : 0);
    counts.accesses += tokens;
    accesses_ += tokens;
    if (hit) {
      counts.hits += tokens;
      if (Has(key, kSpeculative)) {
        Clear(key, kSpeculative);
        ++counts.prefetches_used;
      }
      if (phase_ == Phase::kDecode && Has(key, kCold)) {
        Clear(key, kCold);
        if (!Has(key, kPinned)) --special_residents_;
      }
    } else {
      ++counts.demand_misses;
    }
    if (!last_access_.empty()) last_access_[static_cast<size_t>(key)] = accesses_;
    if (wants_repeats_) {
      uint64_t& last = last_step_[static_cast<size_t>(key)];
      if (last == step_) step_counts_.repeats += tokens;
      last = step_ + 1;
    }
  }
}

void DecisionCore::Impl::DispatchHits() {
  for (size_t i = 0; i < demands_.size(); ++i) {
    if (resident_[i] == 0) continue;
    const ExpertKey key = KeyOfDemand(i);
    // A guess that came true joins the cache, if it may.
    if (residency_.Staged(key) && Admit(key) && MakeRoom(residency_.DomainOf(key))) {
      residency_.Promote(key);
      ++inserted_;
      ++CountsOf(key).insertions;
      for (Rule& entry : rules_) entry.rule->OnInsert(key, Insertion::kPrefetch);
    }
    dispatch_.experts.push_back({.demand = static_cast<int32_t>(i),
                                 .slot = residency_.slot(key),
                                 .hit = true,
                                 .after = -1,
                                 .where = Where::kFetch});
  }
}

void DecisionCore::Impl::DispatchMisses() {
  const ScheduleSpec& schedule = spec_.ScheduleOf(phase_);
  where_.resize(demands_.size());
  placement_.Decide(schedule, times_, demands_, resident_, where_);
  miss_order_.clear();
  for (size_t i = 0; i < demands_.size(); ++i) {
    if (resident_[i] == 0) miss_order_.push_back(static_cast<int32_t>(i));
  }
  if (schedule.order == Order::kHotFirst) {
    std::ranges::stable_sort(miss_order_, std::greater(),
                             [&](int32_t i) { return demands_[static_cast<size_t>(i)].tokens; });
  }
  for (const int32_t i : miss_order_) DispatchMiss(static_cast<size_t>(i));
}

void DecisionCore::Impl::DispatchMiss(size_t demand) {
  const ExpertKey key = KeyOfDemand(demand);
  const size_t domain = residency_.DomainOf(key);
  if (where_[demand] == Where::kInPlace) ++CountsOf(key).in_place;
  Placed placed{.demand = static_cast<int32_t>(demand),
                .slot = -1,
                .hit = false,
                .after = -1,
                .where = where_[demand]};
  // Without a slot to pass through everything is admitted, and the other way round.
  const bool must_pass = residency_.capacity(domain) == 0;
  const bool must_enter = residency_.staging() == 0;
  bool enter = !must_pass && (must_enter || Admit(key));
  if (enter && StreamsNow(domain)) {
    placed.after = ReuseOwnSlot(domain, /*spare_hits=*/true);
    enter = placed.after >= 0;
  }
  if (enter && placed.after < 0 && !MakeRoom(domain)) {
    // Everything there is wanted by this very call, or pinned.
    placed.after = ReuseOwnSlot(domain, /*spare_hits=*/false);
    enter = placed.after >= 0;
    SLUICE_CHECK(enter || !must_enter);
  }
  if (enter) {
    NoteInserted(key, Insertion::kDemand);
    ++inserted_;
  } else {
    if (!MakeStagingRoom()) placed.after = ReuseOwnStaging();
    residency_.Stage(key);
    Set(key, kPassing);
    passing_.push_back(key);
  }
  placed.slot = residency_.slot(key);
  dispatch_.experts.push_back(placed);
}

void DecisionCore::Impl::DispatchPrefetches() {
  const PrefetchSpec& spec = spec_.PrefetchOf(phase_);
  if (spec.strategies.empty()) return;
  const auto misses = static_cast<int32_t>(miss_order_.size());
  for (const PrefetchPlanner::Wanted& wanted : planner_.Plan(call_, residency_, misses)) {
    const std::optional<int32_t> slot = PlacePrefetch(wanted, spec);
    if (!slot) continue;
    Set(wanted.key, kSpeculative);
    due_[static_cast<size_t>(wanted.key)] = wanted.due;
    ++CountsOf(wanted.key).prefetches;
    dispatch_.prefetches.push_back(
        {.id = IdOf(shape_, wanted.key), .slot = *slot, .probability = wanted.probability});
  }
  planner_.Charge(static_cast<int64_t>(dispatch_.prefetches.size()));
}

std::optional<int32_t> DecisionCore::Impl::PlacePrefetch(const PrefetchPlanner::Wanted& wanted,
                                                         const PrefetchSpec& spec) {
  if (spec.insert == PrefetchInsert::kStaging) {
    if (!MakeStagingRoom()) return std::nullopt;
    return residency_.Stage(wanted.key);
  }
  if (!MakeRoom(residency_.DomainOf(wanted.key))) return std::nullopt;
  NoteInserted(wanted.key, Insertion::kPrefetch);
  if (spec.insert == PrefetchInsert::kCold && !Has(wanted.key, kCold)) {
    Set(wanted.key, kCold);
    if (!Has(wanted.key, kPinned)) ++special_residents_;
  }
  return residency_.slot(wanted.key);
}

const Dispatch& DecisionCore::Impl::Begin(const LayerRouting& routing) {
  PrepareCall(routing);
  // Once every expert is there for good, nobody has anything left to decide.
  const bool settled =
      never_evicts_ && residency_.resident_count() == static_cast<int64_t>(shape_.size());
  const bool plans = planner_.any() && !settled;
  if (!never_evicts_) {
    for (Rule& entry : rules_) entry.rule->Observe(call_);
  }
  if (plans) planner_.Observe(call_);
  if (popularity_) popularity_->Observe(call_);
  if (depths_) depths_->Observe(call_);
  if (!passing_.empty()) DropPassing();
  CountAccesses();
  DispatchHits();
  DispatchMisses();
  if (plans) DispatchPrefetches();
  if (!likelihood_.empty() && !settled) {
    planner_.PredictSameLayer(
        call_, std::span(likelihood_)
                   .subspan(static_cast<size_t>(base_), static_cast<size_t>(shape_.experts)));
  }
  return dispatch_;
}

bool DecisionCore::Impl::Admit(ExpertKey key) {
  const CacheSpec& cache = spec_.cache;
  if (phase_ == Phase::kPrefill && (cache.prefill_insert == PrefillInsert::kBypass ||
                                    spec_.ScheduleOf(phase_).mode == Mode::kLayerwise)) {
    // What is free costs nobody his slot.
    if (!residency_.HasRoom(residency_.DomainOf(key))) return false;
  }
  if (cache.insert_cap > 0 && inserted_ >= cache.insert_cap) return false;
  switch (cache.admission) {
    case Admission::kAlways:
      return true;
    case Admission::kNever:
      return false;
    case Admission::kSecondTouch:
      if (Has(key, kTouched)) return true;
      Set(key, kTouched);
      return residency_.HasRoom(residency_.DomainOf(key));
    case Admission::kFrequency: {
      const size_t domain = residency_.DomainOf(key);
      if (residency_.HasRoom(domain)) return true;
      const std::optional<ExpertKey> victim = ChooseVictim(domain);
      return victim && popularity_->Of(key) > popularity_->Of(*victim);
    }
  }
  return true;
}

void DecisionCore::Impl::GatherCandidates(size_t domain, bool protect) {
  candidates_.clear();
  const std::span<const ExpertKey> residents = residency_.residents(domain);
  if (special_residents_ == 0 && !protect) {
    for (const ExpertKey key : residents) {
      if (!InCall(key)) candidates_.push_back(key);
    }
    return;
  }
  const auto protected_layer = [&](ExpertKey key) {
    if (!protect) return false;
    const int32_t ahead = (key / shape_.experts - call_.layer + shape_.layers) % shape_.layers;
    return ahead >= 1 && ahead <= spec_.cache.protect;
  };
  bool any_cold = false;
  for (const ExpertKey key : residents) {
    if (InCall(key) || Has(key, kPinned) || protected_layer(key)) continue;
    // A guess whose call is still to come is not cold yet.
    const bool cold =
        Has(key, kCold) && !(Has(key, kSpeculative) && due_[static_cast<size_t>(key)] > call_.call);
    if (cold && !any_cold) {
      any_cold = true;
      candidates_.clear();
    }
    if (cold == any_cold) candidates_.push_back(key);
  }
}

std::optional<ExpertKey> DecisionCore::Impl::ChooseVictim(size_t domain) {
  const bool protect = spec_.cache.protect > 0 && residency_.domains() == 1;
  GatherCandidates(domain, protect);
  if (candidates_.empty() && protect) GatherCandidates(domain, false);
  if (candidates_.empty()) return std::nullopt;
  return rule().Victim(candidates_);
}

bool DecisionCore::Impl::MakeRoom(size_t domain) {
  if (residency_.HasRoom(domain)) return true;
  if (residency_.capacity(domain) == 0) return false;
  const std::optional<ExpertKey> victim = ChooseVictim(domain);
  if (!victim) return false;
  Displace(*victim);
  return true;
}

// A prompt whose experts come in cold streams through a part of the domain, once that is full, so
// that most of what decoding uses outlives it.
bool DecisionCore::Impl::StreamsNow(size_t domain) const {
  if (phase_ != Phase::kPrefill || spec_.cache.prefill_insert != PrefillInsert::kCold ||
      residency_.HasRoom(domain)) {
    return false;
  }
  return inserted_ >= std::max(kMinStreamSlots, residency_.capacity(domain) / kStreamShare);
}

// The call wants more experts than there are slots: they follow each other in the order of
// computation. Frees the next slot of the domain and tells whose it was; -1: there is none.
int32_t DecisionCore::Impl::ReuseOwnSlot(size_t domain, bool spare_hits) {
  while (next_own_ < dispatch_.experts.size()) {
    const auto entry = static_cast<int32_t>(next_own_++);
    const ExpertKey key =
        KeyOfDemand(static_cast<size_t>(dispatch_.experts[static_cast<size_t>(entry)].demand));
    if (spare_hits && dispatch_.experts[static_cast<size_t>(entry)].hit) continue;
    if (!residency_.Cached(key) || residency_.DomainOf(key) != domain || Has(key, kPinned))
      continue;
    Displace(key);
    return entry;
  }
  return -1;
}

int32_t DecisionCore::Impl::ReuseOwnStaging() {
  while (true) {
    SLUICE_CHECK(next_passing_ < dispatch_.experts.size());
    const auto entry = static_cast<int32_t>(next_passing_++);
    const ExpertKey key =
        KeyOfDemand(static_cast<size_t>(dispatch_.experts[static_cast<size_t>(entry)].demand));
    if (!residency_.Staged(key)) continue;
    residency_.Remove(key);
    Clear(key, kPassing);
    return entry;
  }
}

// The oldest staged expert goes that this call does not want and that no call to come was promised.
bool DecisionCore::Impl::MakeStagingRoom() {
  if (residency_.HasStagingRoom()) return true;
  for (const bool keep_promises : {true, false}) {
    for (const ExpertKey key : residency_.staged()) {
      if (InCall(key)) continue;
      const bool promised = Has(key, kSpeculative) && due_[static_cast<size_t>(key)] > call_.call;
      if (keep_promises && promised) continue;
      // A demand may break a promise, another guess may not.
      if (promised && dispatch_.experts.size() == demands_.size()) continue;
      Displace(key);
      return true;
    }
  }
  return false;
}

void DecisionCore::Impl::NoteInserted(ExpertKey key, Insertion how) {
  residency_.Insert(key);
  ++CountsOf(key).insertions;
  const bool cold = phase_ == Phase::kPrefill && how == Insertion::kDemand &&
                    spec_.cache.prefill_insert == PrefillInsert::kCold;
  if (cold) Set(key, kCold);
  if (cold || Has(key, kPinned)) ++special_residents_;
  for (Rule& entry : rules_) entry.rule->OnInsert(key, how);
}

void DecisionCore::Impl::Displace(ExpertKey key) {
  DecisionCounts& counts = CountsOf(key);
  if (Has(key, kSpeculative)) {
    Clear(key, kSpeculative);
    ++counts.prefetches_wasted;
  }
  if (residency_.Cached(key)) {
    ++counts.evictions;
    if (Has(key, kCold) || Has(key, kPinned)) --special_residents_;
    Clear(key, kCold);
    for (Rule& entry : rules_) entry.rule->OnRemove(key);
  }
  residency_.Remove(key);
}

void DecisionCore::Impl::Forget(ExpertId id) {
  const ExpertKey key = KeyOf(shape_, id);
  if (!residency_.Absent(key)) Displace(key);
}

}  // namespace sluice

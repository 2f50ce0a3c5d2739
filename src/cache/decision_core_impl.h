// What DecisionCore consists of; only decision_*.cc include this.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/adapter.h"
#include "cache/allocation.h"
#include "cache/decision_core.h"
#include "cache/eviction.h"
#include "cache/monitor.h"
#include "cache/placement.h"
#include "cache/prefetch_planner.h"
#include "cache/residency.h"
#include "cache/slot_layout.h"

namespace sluice {

// Members are grouped by meaning; there is one core.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
class DecisionCore::Impl {
 public:
  Impl(const PolicySpec& spec, const Setup& setup, SlotLayout layout);

  Status CreateRules(const Future* future);
  Status Initialise(std::span<const double> popularity);
  void BeginStep(int32_t tokens, const ClockReadings* readings);
  const Dispatch& Begin(const LayerRouting& routing);
  void Forget(ExpertId id);
  GateWanted gate_wanted(int32_t layer) const;

  // Constant.
  const CacheShape shape_;
  const int32_t top_k_;
  const uint64_t expert_bytes_;
  const PlacementTimes times_;
  const int64_t slots_;
  bool wants_readings_ = false;

  PolicySpec spec_;  // adapt changes it; its rules never change
  Residency residency_;
  PrefetchPlanner planner_;
  std::vector<Prefetch> initial_;
  std::vector<Demand> demands_;
  std::array<std::vector<DecisionCounts>, kPhases> counts_;  // by layer
  std::vector<AdaptEvent> events_;
  uint64_t adapt_firings_ = 0;

 private:
  enum Flag : uint8_t {
    kPinned = 1,
    kCold = 2,         // goes before all others
    kSpeculative = 4,  // fetched on a guess, not used yet
    kTouched = 8,      // missed before, for second_touch
    kPassing = 16,     // staged for one call only
  };
  struct Rule {
    Eviction eviction;
    std::unique_ptr<EvictionRule> rule;
  };

  bool Has(ExpertKey key, Flag flag) const {
    return (flags_[static_cast<size_t>(key)] & flag) != 0;
  }
  void Set(ExpertKey key, Flag flag) { flags_[static_cast<size_t>(key)] |= flag; }
  void Clear(ExpertKey key, Flag flag) {
    flags_[static_cast<size_t>(key)] &= static_cast<uint8_t>(~flag);
  }
  bool InCall(ExpertKey key) const { return in_call_[static_cast<size_t>(key)] == stamp_; }
  ExpertKey KeyOfDemand(size_t demand) const { return base_ + demands_[demand].expert; }
  DecisionCounts& CountsOf(ExpertKey key) {
    return counts_[static_cast<size_t>(phase_)][static_cast<size_t>(key / shape_.experts)];
  }

  void ReadRules();
  EvictionRule& rule() { return *rules_[active_rule_].rule; }
  size_t FindRule(const Eviction& eviction) const;
  void MarkPins();

  void PrepareCall(const LayerRouting& routing);
  void CollectDemands(const LayerRouting& routing);
  void DropPassing();
  void CountAccesses();
  void DispatchHits();
  void DispatchMisses();
  void DispatchMiss(size_t demand);
  void DispatchPrefetches();

  bool Admit(ExpertKey key);
  std::optional<ExpertKey> ChooseVictim(size_t domain);
  void GatherCandidates(size_t domain, bool protect);
  bool MakeRoom(size_t domain);
  int32_t ReuseOwnSlot(size_t domain, bool spare_hits);
  bool StreamsNow(size_t domain) const;
  int32_t ReuseOwnStaging();
  bool MakeStagingRoom();
  void NoteInserted(ExpertKey key, Insertion how);
  void Displace(ExpertKey key);
  std::optional<int32_t> PlacePrefetch(const PrefetchPlanner::Wanted& wanted,
                                       const PrefetchSpec& spec);

  void EndStep();
  void ShrinkTo(size_t domain, int32_t capacity);
  void RelieveMemory(double share);
  void ExpireUnused();
  void Rebalance();
  void Apply(int32_t rule_index, const AdaptAction& action);
  void ApplySet(const AdaptAction& action);
  void SetCapacity(double slots);
  void ResetToProfile();
  void Log(int32_t rule_index, std::string what);

  std::vector<Rule> rules_;  // the policy's own, and those that adapt may choose
  size_t active_rule_ = 0;
  Placement placement_;
  Monitor monitor_;
  Adapter adapter_;
  std::optional<Popularity> popularity_;
  std::optional<StackDepths> depths_;
  bool wants_entropy_ = false;
  bool wants_repeats_ = false;
  double entropy_bits_ = 0;

  std::vector<uint8_t> flags_;         // Flags, by key
  std::vector<uint64_t> in_call_;      // by key: stamp of the last call that wants it
  std::vector<uint64_t> due_;          // by key: call for which it was prefetched
  std::vector<uint64_t> last_access_;  // by key: accesses before its last one; with ttl
  std::vector<uint64_t> last_step_;    // by key: step of the last access + 1; with kReuse
  std::vector<int32_t> demand_of_;     // by expert, while demands are collected
  bool never_evicts_ = false;          // every expert has a slot for good: rules need not watch
  int64_t special_residents_ = 0;      // pinned or cold ones, which victims depend on
  std::vector<float> likelihood_;      // by key, for eviction by prediction; else empty
  std::vector<ExpertKey> candidates_;
  std::vector<uint8_t> resident_;    // by demand
  std::vector<Where> where_;         // by demand
  std::vector<int32_t> miss_order_;  // demands
  std::vector<ExpertKey> passing_;   // staged for the last call only
  Dispatch dispatch_;

  // The call and step under way.
  LayerCall call_;
  ExpertKey base_ = 0;
  uint64_t calls_ = 0;
  uint64_t stamp_ = 0;  // what in_call_ holds of experts that are wanted now
  Phase phase_ = Phase::kDecode;
  int32_t inserted_ = 0;
  size_t next_own_ = 0;  // dispatch entry whose slot the call reuses next
  size_t next_passing_ = 0;
  bool step_open_ = false;
  uint64_t step_ = 0;
  uint64_t tokens_ = 0;  // before the step
  int32_t step_tokens_ = 0;
  StepCounts step_counts_;
  DecisionCounts totals_before_;
  uint64_t accesses_ = 0;
  std::optional<ClockReadings> readings_;
  uint64_t next_rebalance_ = 0;
};

}  // namespace sluice

#include "cache/decision_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <set>

namespace sluice {
namespace {

PolicySpec Lru(double capacity = 0) {
  PolicySpec spec;
  spec.cache.eviction.primary = "lru";
  if (capacity > 0) spec.cache.capacity = {.kind = Capacity::Kind::kSlots, .amount = capacity};
  return spec;
}

// One-token steps over a core, with the experts of each call given as a list.
class Core {
 public:
  Core(const PolicySpec& spec, CacheShape shape, int64_t slots = 1 << 20)
      : core_(DecisionCore::Create(spec, {.shape = shape, .top_k = 2, .slots = slots}).value()) {}

  const Dispatch& Call(int32_t layer, const std::vector<int32_t>& experts, int32_t tokens = 1) {
    if (layer <= last_layer_ || !begun_) core_->BeginStep(tokens);
    begun_ = true;
    last_layer_ = layer;
    experts_ = experts;
    return core_->Begin({.layer = layer, .tokens = tokens, .experts = experts_});
  }
  bool Resident(int32_t layer, int32_t expert) const { return core_->Resident({layer, expert}); }
  DecisionCore* operator->() { return core_.get(); }

 private:
  std::unique_ptr<DecisionCore> core_;
  std::vector<int32_t> experts_;
  int32_t last_layer_ = -1;
  bool begun_ = false;
};

TEST(DecisionCoreTest, AgreesWithATextbookLru) {
  // The witness is the definition: a list per layer, most recent in front.
  constexpr int kLayers = 3;
  constexpr int kExperts = 20;
  constexpr int kPerLayer = 6;
  Core core(Lru(), {kLayers, kExperts}, int64_t{kLayers} * kPerLayer);
  std::vector<std::list<int32_t>> lists(kLayers);
  std::mt19937 random(1);
  uint64_t hits = 0;
  for (int step = 0; step < 3000; ++step) {
    const int layer = step % kLayers;
    std::set<int32_t> chosen;
    while (chosen.size() < 4) {
      chosen.insert(static_cast<int32_t>(random() % kExperts * (random() % 2)));
    }
    const std::vector<int32_t> experts(chosen.begin(), chosen.end());
    auto& list = lists[static_cast<size_t>(layer)];
    for (const int32_t e : experts) {
      const bool hit = std::ranges::find(list, e) != list.end();
      hits += hit ? 1 : 0;
      EXPECT_EQ(core.Resident(layer, e), hit);
    }
    core.Call(layer, experts);
    for (const int32_t e : experts) {
      list.remove(e);
      list.push_front(e);
    }
    while (list.size() > kPerLayer) list.pop_back();
    for (const int32_t e : list) EXPECT_TRUE(core.Resident(layer, e));
  }
  EXPECT_EQ(core->totals().hits, hits);
  EXPECT_EQ(core->totals().accesses, 12000U);
}

TEST(DecisionCoreTest, HitsComeFirstAndSlotsAreNeverShared) {
  Core core(Lru(), {1, 8}, 4);
  core.Call(0, {0, 1, 2});
  const Dispatch& dispatch = core.Call(0, {5, 1, 6, 2});
  ASSERT_EQ(dispatch.experts.size(), 4U);
  EXPECT_TRUE(dispatch.experts[0].hit && dispatch.experts[1].hit);
  EXPECT_FALSE(dispatch.experts[2].hit || dispatch.experts[3].hit);
  EXPECT_EQ(dispatch.experts[0].demand, 1);
  EXPECT_EQ(dispatch.experts[1].demand, 3);
  std::set<int32_t> slots;
  for (const Placed& placed : dispatch.experts) {
    EXPECT_EQ(placed.after, -1);
    slots.insert(placed.slot);
  }
  EXPECT_EQ(slots.size(), 4U);
  EXPECT_FALSE(core.Resident(0, 0));
}

// Whoever follows in a slot waits for the one before it there, whatever the policy admits.
void ExpectSlotsFollowEachOther(const Dispatch& dispatch, int64_t slots) {
  std::vector<int32_t> last_user(static_cast<size_t>(slots), -1);
  for (size_t i = 0; i < dispatch.experts.size(); ++i) {
    const Placed& placed = dispatch.experts[i];
    ASSERT_LT(placed.slot, slots);
    int32_t& last = last_user[static_cast<size_t>(placed.slot)];
    EXPECT_EQ(placed.after, last);
    last = static_cast<int32_t>(i);
  }
}

TEST(DecisionCoreTest, ACallLargerThanTheCacheReusesSlotsInOrder) {
  for (const Admission admission :
       {Admission::kAlways, Admission::kNever, Admission::kSecondTouch, Admission::kFrequency}) {
    for (const int64_t slots : {1, 2, 3, 5}) {
      PolicySpec spec = Lru();
      spec.cache.admission = admission;
      Core core(spec, {2, 8}, slots);
      EXPECT_EQ(core->slots(), slots);
      core.Call(1, {7});
      for (int round = 0; round < 3; ++round) {
        ExpectSlotsFollowEachOther(core.Call(1, {0, 1, 2, 3, 4, 5, 6, 7}), slots);
        ExpectSlotsFollowEachOther(core.Call(0, {3, 1, 2, 7, 4, 5, 6, 0}), slots);
      }
    }
  }
}

TEST(DecisionCoreTest, AForgottenExpertIsAMissAgain) {
  Core core(Lru(), {1, 4}, 2);
  core.Call(0, {0, 1});
  core->Forget({0, 0});
  core->Forget({0, 3});  // was never there
  const Dispatch& dispatch = core.Call(0, {1, 0});
  EXPECT_TRUE(dispatch.experts[0].hit);
  EXPECT_FALSE(dispatch.experts[1].hit);
}

TEST(DecisionCoreTest, AccessesCountTokensAndMissesCountExperts) {
  Core core(Lru(), {1, 4}, 4);
  for (int i = 0; i < 2; ++i) core.Call(0, {2, 3, 2, 1, 2, 3}, /*tokens=*/3);
  const DecisionCounts totals = core->totals();
  EXPECT_EQ(totals.accesses, 12U);
  EXPECT_EQ(totals.hits, 6U);
  EXPECT_EQ(totals.demand_misses, 3U);
  EXPECT_EQ(core->demands()[0].expert, 2);
  EXPECT_EQ(core->demands()[0].tokens, 3);
}

TEST(DecisionCoreTest, UnknownNamesAndTooSmallMemoryAreRefused) {
  PolicySpec spec = Lru();
  spec.cache.eviction.primary = "crystal_ball";
  EXPECT_FALSE(DecisionCore::Create(spec, {.shape = {1, 4}, .slots = 4}).ok());
  const auto large = DecisionCore::Create(Lru(8), {.shape = {4, 16}, .slots = 20});
  ASSERT_FALSE(large.ok());
  EXPECT_NE(large.status().message().find("32 slots"), std::string::npos);
}

TEST(DecisionCoreTest, CapacityCountsPerLayerOrOverAll) {
  Core layered(Lru(3), {2, 8});
  EXPECT_EQ(layered->slots(), 6);
  EXPECT_EQ(layered->capacity(1), 3);
  PolicySpec spec = Lru(3);
  spec.cache.scope = Scope::kShared;
  EXPECT_EQ(Core(spec, {2, 8})->slots(), 3);
  spec = Lru();
  spec.cache.capacity = {.kind = Capacity::Kind::kShare, .amount = 0.5};
  EXPECT_EQ(Core(spec, {2, 8})->slots(), 8);
}

TEST(DecisionCoreTest, PinnedExpertsStay) {
  PolicySpec spec = Lru(3);
  spec.cache.pins = {{.layer_first = 0, .layer_last = 0, .expert_first = 1, .expert_last = 2}};
  Core core(spec, {2, 8});
  ASSERT_EQ(core->initial().size(), 2U);
  for (int i = 0; i < 8; ++i) core.Call(0, {i % 8, (i + 3) % 8});
  EXPECT_TRUE(core.Resident(0, 1) && core.Resident(0, 2));
  spec.cache.capacity.amount = 1;
  EXPECT_FALSE(DecisionCore::Create(spec, {.shape = {2, 8}, .slots = 100}).ok());
}

TEST(DecisionCoreTest, WhatIsNotAdmittedPassesThrough) {
  PolicySpec spec = Lru(2);
  spec.cache.admission = Admission::kNever;
  spec.cache.init = Init::kFirst;
  Core core(spec, {1, 8});
  for (int i = 0; i < 3; ++i) {
    core.Call(0, {0, 5});
    core.Call(0, {6, 1});
  }
  EXPECT_TRUE(core.Resident(0, 0) && core.Resident(0, 1));
  EXPECT_EQ(core->totals().hits, 6U);
  EXPECT_EQ(core->totals().demand_misses, 6U);
  EXPECT_EQ(core->totals().evictions, 0U);
}

TEST(DecisionCoreTest, SecondTouchAdmitsTheSecondTime) {
  PolicySpec spec = Lru(2);
  spec.cache.admission = Admission::kSecondTouch;
  Core core(spec, {1, 8});
  core.Call(0, {0, 1});  // free slots are given to anybody
  core.Call(0, {2});
  EXPECT_TRUE(core.Resident(0, 0));
  core.Call(0, {2});
  EXPECT_FALSE(core.Resident(0, 0));
  EXPECT_TRUE(core.Resident(0, 2));
}

TEST(DecisionCoreTest, InsertCapBoundsWhatACallInserts) {
  PolicySpec spec = Lru(4);
  spec.cache.insert_cap = 1;
  Core core(spec, {1, 8});
  core.Call(0, {0, 1, 2});
  EXPECT_EQ(core->totals().insertions, 1U);
  EXPECT_EQ(core->totals().demand_misses, 3U);
}

// A prompt touches everything; the experts that decoding uses survive it.
TEST(DecisionCoreTest, APromptDoesNotFlushTheDecodeSet) {
  for (const PrefillInsert insert : {PrefillInsert::kCold, PrefillInsert::kBypass}) {
    PolicySpec spec = Lru(6);
    spec.cache.prefill_insert = insert;
    spec.schedule[0].batch_threshold = 8;
    Core core(spec, {1, 16});
    core.Call(0, {0, 1});
    core.Call(0, {2, 0});
    std::vector<int32_t> prompt;
    for (int32_t t = 0; t < 8; ++t) {
      prompt.push_back(3 + t);
      prompt.push_back(4 + t);
    }
    core.Call(0, prompt, 8);
    for (const int32_t e : {0, 1, 2}) EXPECT_TRUE(core.Resident(0, e)) << e;
  }
  PolicySpec spec = Lru(4);
  spec.cache.prefill_insert = PrefillInsert::kHot;
  spec.schedule[0].batch_threshold = 8;
  Core core(spec, {1, 16});
  core.Call(0, {0, 1});
  core.Call(0, {3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11}, 8);
  EXPECT_FALSE(core.Resident(0, 0));
}

TEST(DecisionCoreTest, UnusedExpertsExpire) {
  PolicySpec spec = Lru(4);
  spec.cache.ttl = 6;
  Core core(spec, {1, 8});
  core.Call(0, {0, 1});
  for (int i = 0; i < 4; ++i) core.Call(0, {2, 3});
  EXPECT_FALSE(core.Resident(0, 0));
  EXPECT_TRUE(core.Resident(0, 2));
}

TEST(DecisionCoreTest, MemoryPressureEvictsDownToTheHeadroom) {
  PolicySpec spec = Lru(8);
  spec.cache.memory_threshold = 0.8;
  spec.cache.memory_headroom = 0.5;
  spec.cache.memory_budget_bytes = 10;
  spec.cache.expert_bytes = 1;
  Core core(spec, {1, 16});
  for (int32_t e = 0; e < 8; e += 2) core.Call(0, {e, e + 1});
  core.Call(0, {7, 6});
  int residents = 0;
  for (int32_t e = 0; e < 16; ++e) residents += core.Resident(0, e) ? 1 : 0;
  EXPECT_EQ(residents, 5);
  EXPECT_TRUE(core.Resident(0, 7));
  EXPECT_FALSE(core.Resident(0, 0));
}

AdaptRule When(Metric metric, Comparison comparison, double value, AdaptAction action) {
  AdaptRule rule;
  rule.when = {{{.metric = metric, .comparison = comparison, .value = value}}};
  rule.actions = {std::move(action)};
  return rule;
}

TEST(DecisionCoreTest, AFiringRuleSwitchesWithoutEmptyingAnything) {
  PolicySpec spec = Lru(4);
  spec.monitor.window = 4;
  AdaptRule rule =
      When(Metric::kHitRate, Comparison::kLess, 0.5, {.tunable = Tunable::kCapacity, .number = 2});
  rule.hold = {.count = 3, .unit = SpanUnit::kSteps};
  spec.adapt = {rule};
  Core core(spec, {1, 16});
  core.Call(0, {0, 1});
  core.Call(0, {2, 3});
  core.Call(0, {4, 5});
  EXPECT_EQ(core->adapt_firings(), 0U);
  EXPECT_EQ(core->capacity(0), 4);
  core.Call(0, {5, 6});  // the fourth step begins: three have been below
  EXPECT_EQ(core->adapt_firings(), 1U);
  EXPECT_EQ(core->capacity(0), 2);
  EXPECT_TRUE(core.Resident(0, 5) && core.Resident(0, 6));
  for (int i = 0; i < 20; ++i) core.Call(0, {i % 16, (i + 7) % 16});
  EXPECT_EQ(core->adapt_firings(), 1U);  // it rests for 50 steps
}

TEST(DecisionCoreTest, RulesReadTheClockTheyAreGiven) {
  PolicySpec spec = Lru(4);
  spec.adapt = {When(Metric::kStallMs, Comparison::kGreater, 2,
                     {.tunable = Tunable::kInsertCap, .number = 1})};
  Core core(spec, {1, 16});
  EXPECT_TRUE(core->wants_readings());
  core->BeginStep(1);
  const ClockReadings calm{.stall_ms = 1};
  const ClockReadings stalled{.stall_ms = 3};
  core->BeginStep(1, &calm);
  EXPECT_EQ(core->adapt_firings(), 0U);
  core->BeginStep(1, &stalled);
  EXPECT_EQ(core->adapt_firings(), 1U);
  EXPECT_EQ(core->spec().cache.insert_cap, 1);
}

TEST(DecisionCoreTest, SlotsFollowTheLayersThatNeedThem) {
  for (const Allocation allocation :
       {Allocation::kEntropy, Allocation::kPopularity, Allocation::kMarginal}) {
    PolicySpec spec = Lru(4);
    spec.per_layer = PerLayerSpec{.allocation = allocation,
                                  .entropy_window = 50,
                                  .rebalance_interval = 50,
                                  .min_capacity = 2,
                                  .max_capacity = 8};
    Core core(spec, {2, 16});
    for (int i = 0; i < 400; ++i) {
      core.Call(0, {0, 1});  // needs two slots
      core.Call(1, {(2 * i) % 6, (2 * i + 1) % 6});
    }
    EXPECT_EQ(core->capacity(0) + core->capacity(1), 8);
    EXPECT_GE(core->capacity(1), 6) << static_cast<int>(allocation);
  }
}

// The same calls give the same decisions, bit for bit.
TEST(DecisionCoreTest, IsDeterministic) {
  PolicySpec spec = Lru(5);
  spec.cache.admission = Admission::kFrequency;
  spec.cache.ttl = 100;
  spec.per_layer = PerLayerSpec{.allocation = Allocation::kMarginal, .rebalance_interval = 30};
  Core a(spec, {3, 24});
  Core b(spec, {3, 24});
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    std::set<int32_t> chosen;
    while (chosen.size() < 4) {
      chosen.insert(static_cast<int32_t>(random() % 24 * (random() % 2)));
    }
    const std::vector<int32_t> experts(chosen.begin(), chosen.end());
    const Dispatch& left = a.Call(i % 3, experts);
    const Dispatch& right = b.Call(i % 3, experts);
    for (size_t e = 0; e < left.experts.size(); ++e) {
      ASSERT_EQ(left.experts[e].slot, right.experts[e].slot);
    }
  }
  EXPECT_EQ(a->totals(), b->totals());
}

}  // namespace
}  // namespace sluice

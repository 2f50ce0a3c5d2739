#include "cache/expert_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <set>

namespace sluice {
namespace {

std::unique_ptr<ExpertCache> Cache(CacheShape shape, int64_t slots) {
  return ExpertCache::Create(shape, slots, "lru").value();
}

std::vector<Demand> Demands(const std::vector<int32_t>& experts) {
  std::vector<Demand> demands;
  for (const int32_t e : experts) demands.push_back({.expert = e, .tokens = 1});
  return demands;
}

TEST(ExpertCacheTest, AgreesWithATextbookLru) {
  // The witness is the definition: a list per layer, most recent in front.
  constexpr int kLayers = 3;
  constexpr int kExperts = 20;
  constexpr int kPerLayer = 6;
  auto cache = Cache({kLayers, kExperts}, int64_t{kLayers} * kPerLayer);
  std::vector<std::list<int32_t>> lists(kLayers);
  std::mt19937 random(1);
  uint64_t hits = 0;
  for (int step = 0; step < 3000; ++step) {
    const int layer = step % kLayers;
    std::set<int32_t> chosen;
    while (chosen.size() < 4)
      chosen.insert(static_cast<int32_t>(random() % kExperts * (random() % 2)));
    const std::vector<int32_t> experts(chosen.begin(), chosen.end());
    auto& list = lists[static_cast<size_t>(layer)];
    for (const int32_t e : experts) {
      const bool hit = std::ranges::find(list, e) != list.end();
      hits += hit ? 1 : 0;
      EXPECT_EQ(cache->Resident({layer, e}), hit);
    }
    cache->Begin(layer, Demands(experts));
    for (const int32_t e : experts) {
      list.remove(e);
      list.push_front(e);
    }
    while (list.size() > kPerLayer) list.pop_back();
    for (const int32_t e : list) EXPECT_TRUE(cache->Resident({layer, e}));
  }
  EXPECT_EQ(cache->stats().hits, hits);
  EXPECT_EQ(cache->stats().accesses, 12000U);
}

TEST(ExpertCacheTest, HitsComeFirstAndSlotsAreNeverShared) {
  auto cache = Cache({1, 8}, 4);
  cache->Begin(0, Demands({0, 1, 2}));
  const Dispatch& dispatch = cache->Begin(0, Demands({5, 1, 6, 2}));
  ASSERT_EQ(dispatch.size(), 4U);
  EXPECT_TRUE(dispatch[0].hit && dispatch[1].hit && !dispatch[2].hit && !dispatch[3].hit);
  EXPECT_EQ(dispatch[0].demand, 1);
  EXPECT_EQ(dispatch[1].demand, 3);
  std::set<int32_t> slots;
  for (const Placed& placed : dispatch) {
    EXPECT_EQ(placed.after, -1);
    slots.insert(placed.slot);
  }
  EXPECT_EQ(slots.size(), 4U);
  EXPECT_FALSE(cache->Resident({0, 0}));
}

TEST(ExpertCacheTest, ACallLargerThanTheCacheReusesSlotsInOrder) {
  for (const int64_t slots : {1, 2, 3}) {
    auto cache = Cache({2, 8}, slots);
    cache->Begin(1, Demands({7}));
    const Dispatch dispatch = cache->Begin(1, Demands({0, 1, 2, 3, 4, 5, 6, 7}));
    ASSERT_EQ(dispatch.size(), 8U);
    EXPECT_TRUE(dispatch[0].hit);
    // Whoever follows in a slot waits for the one before it there.
    std::vector<int32_t> last_user(8, -1);
    for (size_t i = 0; i < dispatch.size(); ++i) {
      EXPECT_LT(dispatch[i].slot, slots);
      int32_t& last = last_user[static_cast<size_t>(dispatch[i].slot)];
      EXPECT_EQ(dispatch[i].after, last);
      last = static_cast<int32_t>(i);
    }
    EXPECT_EQ(cache->stats().loads, 8U);
  }
}

TEST(ExpertCacheTest, AForgottenExpertIsAMissAgain) {
  auto cache = Cache({1, 4}, 2);
  cache->Begin(0, Demands({0, 1}));
  cache->Forget({0, 0});
  cache->Forget({0, 3});  // was never there
  const Dispatch& dispatch = cache->Begin(0, Demands({1, 0}));
  EXPECT_TRUE(dispatch[0].hit);
  EXPECT_FALSE(dispatch[1].hit);
  EXPECT_EQ(cache->stats().evictions, 0U);
}

TEST(ExpertCacheTest, AccessesCountTokens) {
  auto cache = Cache({1, 4}, 4);
  const Demand demands[] = {{.expert = 2, .tokens = 5}, {.expert = 3, .tokens = 1}};
  cache->Begin(0, demands);
  cache->Begin(0, demands);
  EXPECT_EQ(cache->stats().accesses, 12U);
  EXPECT_EQ(cache->stats().hits, 6U);
  EXPECT_EQ(cache->stats().loads, 2U);
}

TEST(ExpertCacheTest, UnknownPoliciesAreNamed) {
  const auto cache = ExpertCache::Create({1, 4}, 4, "crystal_ball");
  ASSERT_FALSE(cache.ok());
  EXPECT_NE(cache.status().message().find("lru"), std::string::npos);
}

}  // namespace
}  // namespace sluice

// The contract of every rule in eviction/builtins.inc.
#include "cache/eviction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace sluice {
namespace {

// Victims are candidates, and the same calls give the same victims.
TEST(EvictionContractTest, VictimsAreCandidatesAndRepeatable) {
  constexpr int32_t kSlots = 8;
  const CacheShape shape{.layers = 2, .experts = 24};
  const CacheSpec spec;
  for (const std::string_view name : EvictionRuleNames()) {
    const RuleSetup setup{.shape = shape, .top_k = 4, .slots = kSlots, .cache = &spec};
    auto a = NewEvictionRule(name, setup);
    auto b = NewEvictionRule(name, setup);
    std::mt19937 random(9);
    std::vector<std::set<ExpertKey>> residents(2);
    for (uint64_t call = 0; call < 4000; ++call) {
      const auto layer = static_cast<int32_t>(call % 2);
      std::set<int32_t> chosen;
      while (chosen.size() < 4) chosen.insert(static_cast<int32_t>(random() % 24 * (random() % 2)));
      const std::vector<int32_t> experts(chosen.begin(), chosen.end());
      std::vector<Demand> demands;
      for (const int32_t e : experts) demands.push_back({.expert = e, .tokens = 1});
      const LayerCall routed{.layer = layer,
                             .tokens = 1,
                             .top_k = 4,
                             .experts = experts,
                             .demands = demands,
                             .step = call / 2,
                             .call = call,
                             .first_token = call / 2};
      a->Observe(routed);
      b->Observe(routed);
      std::set<ExpertKey>& here = residents[static_cast<size_t>(layer)];
      for (const int32_t e : experts) {
        const ExpertKey key = KeyOf(shape, {.layer = layer, .expert = e});
        if (here.contains(key)) continue;
        if (here.size() == kSlots) {
          std::vector<ExpertKey> candidates;
          for (const ExpertKey resident : here) {
            if (!chosen.contains(IdOf(shape, resident).expert)) candidates.push_back(resident);
          }
          std::ranges::shuffle(candidates, random);
          const ExpertKey victim = a->Victim(candidates);
          ASSERT_NE(std::ranges::find(candidates, victim), candidates.end()) << name;
          ASSERT_EQ(victim, b->Victim(candidates)) << name;
          here.erase(victim);
          a->OnRemove(victim);
          b->OnRemove(victim);
        }
        here.insert(key);
        a->OnInsert(key, Insertion::kDemand);
        b->OnInsert(key, Insertion::kDemand);
      }
    }
  }
}

}  // namespace
}  // namespace sluice

// The contract of every rule in eviction/builtins.inc and of pairs, and what rules are made of
// against definitions, written here once more in the plainest way.
#include "cache/eviction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <set>

#include "cache/allocation_count.h"
#include "cache/eviction/lane_kernels.h"
#include "cache/eviction/similarity_memory.h"
#include "cache/plain_caches.h"
#include "cache/trace_future.h"

namespace sluice {
namespace {

std::vector<Eviction> AllRules() {
  std::vector<Eviction> rules;
  for (const std::string_view name : EvictionRuleNames()) {
    rules.push_back({.primary = std::string(name)});
  }
  for (const char* second : {"fifo", "lru", "lfu", "slru", "sieve", "s3fifo", "arc", "memory"}) {
    rules.push_back({.primary = "lru", .second = second});
    rules.push_back({.primary = second, .second = "lfu"});
  }
  return rules;
}
std::string NameOf(const Eviction& rule) {
  return rule.second.empty() ? rule.primary : rule.primary + " | " + rule.second;
}

// Calls of layers 0, 1, 0, 1, ... that favour low numbers; every so often of several tokens.
class RandomCalls {
 public:
  RandomCalls(CacheShape shape, int32_t top_k, int32_t most_tokens)
      : shape_(shape), top_k_(top_k), most_tokens_(most_tokens) {}
  int32_t layer() const { return layer_; }
  const std::vector<int32_t>& Next() {
    layer_ = (layer_ + 1) % shape_.layers;
    if (layer_ == 0)
      tokens_ = random_() % 10 == 0 ? 1 + static_cast<int32_t>(random_()) % most_tokens_ : 1;
    experts_.clear();
    for (int32_t row = 0; row < std::abs(tokens_); ++row) {
      const size_t first = experts_.size();
      while (experts_.size() < first + static_cast<size_t>(top_k_)) {
        const auto e = static_cast<int32_t>(random_() % static_cast<uint32_t>(shape_.experts) *
                                            (random_() % 2));
        const int32_t near = e == 0 ? static_cast<int32_t>(random_() % 8) : e;
        if (std::find(experts_.begin() + static_cast<int64_t>(first), experts_.end(), near) ==
            experts_.end()) {
          experts_.push_back(near);
        }
      }
    }
    return experts_;
  }

 private:
  const CacheShape shape_;
  const int32_t top_k_;
  const int32_t most_tokens_;
  std::mt19937 random_{9};
  int32_t layer_ = -1;
  int32_t tokens_ = 1;
  std::vector<int32_t> experts_;
};

constexpr CacheShape kShape{.layers = 2, .experts = 24};
constexpr int32_t kTopK = 4;
constexpr int32_t kSlots = 8;

// Victims are candidates, and the same calls give the same victims, in whatever order the
// candidates are named.
TEST(EvictionContractTest, VictimsAreCandidatesAndRepeatable) {
  const CacheSpec spec;
  for (const Eviction& eviction : AllRules()) {
    for (const int32_t most_tokens : {1, 40}) {
      const RuleSetup setup{.shape = kShape, .top_k = kTopK, .slots = kSlots, .cache = &spec};
      const auto a = NewEvictionRule(eviction, setup);
      const auto b = NewEvictionRule(eviction, setup);
      PlainCaches caches_a(kShape, kTopK, kSlots, a.get());
      PlainCaches caches_b(kShape, kTopK, kSlots, b.get());
      RandomCalls calls(kShape, kTopK, most_tokens);
      std::vector<ExpertKey> victims_a;
      std::vector<ExpertKey> victims_b;
      const auto note = [&](std::vector<ExpertKey>* victims) {
        return [&, victims](std::span<const ExpertKey> candidates, ExpertKey victim) {
          ASSERT_NE(std::ranges::find(candidates, victim), candidates.end()) << NameOf(eviction);
          victims->push_back(victim);
        };
      };
      caches_a.on_victim = note(&victims_a);
      caches_b.on_victim = note(&victims_b);
      caches_b.reverse_candidates = true;
      for (int call = 0; call < 4000; ++call) {
        const auto& experts = calls.Next();
        ASSERT_EQ(caches_a.Call(calls.layer(), experts), caches_b.Call(calls.layer(), experts));
        if (call == 3000) {
          a->Reset();
          b->Reset();
        }
      }
      EXPECT_GT(victims_a.size(), 1000U);
      EXPECT_EQ(victims_a, victims_b) << NameOf(eviction);
    }
  }
}

TEST(EvictionContractTest, NothingIsAllocatedOnceWarm) {
  CacheSpec spec;
  for (const Scope scope : {Scope::kLayer, Scope::kShared}) {
    spec.scope = scope;
    for (const Eviction& eviction : AllRules()) {
      const auto rule = NewEvictionRule(
          eviction, {.shape = kShape, .top_k = kTopK, .slots = kSlots, .cache = &spec});
      PlainCaches caches(kShape, kTopK, kSlots, rule.get());
      RandomCalls calls(kShape, kTopK, 40);
      int64_t before = 0;
      for (int call = 0; call < 3000; ++call) {
        const std::vector<int32_t>& experts = calls.Next();
        before = AllocationCount();
        caches.Call(calls.layer(), experts);
        if (call > 100) {
          ASSERT_EQ(AllocationCount(), before) << NameOf(eviction) << " call " << call;
        }
      }
    }
  }
}

TEST(EvictionContractTest, UnknownRulesAreNone) {
  const CacheSpec spec;
  const RuleSetup setup{.shape = kShape, .cache = &spec};
  EXPECT_EQ(NewEvictionRule("crystal_ball", setup), nullptr);
  EXPECT_EQ(NewEvictionRule(Eviction{"lru", "crystal_ball"}, setup), nullptr);
}

// The definition: all counts are multiplied, then those chosen raised.
void ExpectEagerCounts(const CacheSpec& spec, int32_t most_tokens) {
  const auto rule =
      NewEvictionRule("lfu", {.shape = kShape, .top_k = kTopK, .slots = kSlots, .cache = &spec});
  PlainCaches caches(kShape, kTopK, kSlots, rule.get());
  RandomCalls calls(kShape, kTopK, most_tokens);
  std::vector<std::vector<double>> counts(2, std::vector<double>(24));
  std::vector<std::vector<int64_t>> last(2, std::vector<int64_t>(24));
  int64_t accesses = 0;
  std::vector<int64_t> tokens(2);
  int64_t uses = 0;
  int victims = 0;
  caches.on_victim = [&](std::span<const ExpertKey> candidates, ExpertKey victim) {
    const auto layer = static_cast<size_t>(victim / 24);
    const auto before = [&](ExpertKey a, ExpertKey b) {
      const auto i = static_cast<size_t>(a % 24);
      const auto j = static_cast<size_t>(b % 24);
      // Equal but for rounding, which halving has none of: by recency.
      const double difference = counts[layer][i] - counts[layer][j];
      const double rounding = spec.frequency_decay == 0.5 ? 0 : 1e-12 * counts[layer][i];
      if (std::abs(difference) > rounding) return difference < 0;
      return last[layer][i] < last[layer][j];
    };
    ASSERT_EQ(victim, *std::ranges::min_element(candidates, before));
    if (spec.history == History::kResident) counts[layer][static_cast<size_t>(victim % 24)] = 0;
    ++victims;
  };
  const auto decay = [&](std::vector<double>* layer) {
    for (double& count : *layer) count *= spec.frequency_decay;
  };
  for (int step = 0; step < 3000; ++step) {
    for (size_t layer = 0; layer < 2; ++layer) {
      const auto experts = calls.Next();
      if (spec.decay_every.unit == SpanUnit::kSteps && (step + 1) % spec.decay_every.count == 0) {
        decay(&counts[layer]);
      }
      for (size_t i = 0; i < experts.size(); ++i) {
        if (i % kTopK == 0 && spec.decay_every.unit == SpanUnit::kTokens &&
            ++tokens[layer] % spec.decay_every.count == 0) {
          decay(&counts[layer]);
        }
        const auto e = static_cast<size_t>(experts[i]);
        counts[layer][e] += 1;
        last[layer][e] = ++uses;
        if (spec.decay_every.unit == SpanUnit::kAccesses &&
            ++accesses % spec.decay_every.count == 0) {
          for (auto& c : counts) decay(&c);
        }
      }
      caches.Call(static_cast<int32_t>(layer), experts);
    }
  }
  EXPECT_GT(victims, 1000);
}

TEST(LfuTest, DecidesAsIfEveryCountWereMultiplied) {
  CacheSpec spec;
  for (const double decay : {0.95, 0.5}) {
    spec.frequency_decay = decay;
    for (const Span every : {Span{1, SpanUnit::kTokens}, Span{7, SpanUnit::kTokens},
                             Span{3, SpanUnit::kSteps}, Span{100, SpanUnit::kAccesses}}) {
      spec.decay_every = every;
      for (const History history : {History::kAll, History::kResident}) {
        spec.history = history;
        ExpectEagerCounts(spec, 1);
      }
      spec.history = History::kAll;
      ExpectEagerCounts(spec, 40);
    }
  }
}

TEST(LaneKernelsTest, AllInstructionSetsGiveTheSameBits) {
  constexpr size_t kTokens = 77;
  constexpr size_t kPlanes = 5;
  constexpr size_t kWidth = 32 * kPlanes;
  std::mt19937 random(3);
  std::uniform_real_distribution<float> real(0.001F, 1.0F);
  std::vector<std::vector<float>> results;
  std::vector<uint32_t> words(kPlanes * 128);
  for (uint32_t& word : words) word = random() & random() & random();
  const auto reals = [&](size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = real(random);
    return values;
  };
  const auto weights = reals(128);
  const auto carried = reals(128);
  const auto chosen = reals(kWidth);
  const auto first_averages = reals(kDecays * kWidth);
  const auto recall = reals(kWidth);
  const auto table = reals(20 * kWidth);
  const std::vector<uint32_t> rows = {3, 19, 0, 7, 7};
  for (const LaneKernels* k : UsableLaneKernels()) {
    const ExpertBits bits{words.data(), 128, kPlanes};
    std::vector<float>& all = results.emplace_back();
    const auto keep = [&](const std::vector<float>& v) {
      all.insert(all.end(), v.begin(), v.end());
    };
    std::vector<int32_t> overlap(128, 1);
    k->add_overlap(bits, &words[17], overlap.data(), kTokens);
    for (size_t q = 0; q < kTokens; ++q) {
      int32_t expected = 1;
      for (size_t p = 0; p < kPlanes; ++p) {
        expected += std::popcount(words[17 + p] & words[p * 128 + q]);
      }
      EXPECT_EQ(overlap[q], expected);
    }
    std::vector<float> affinity(128);
    std::vector<float> best(9);
    all.push_back(k->affinity(overlap.data(), carried.data(), 1.3F, 0.04F, affinity.data(),
                              best.data(), kTokens));
    affinity.resize(kTokens);
    EXPECT_EQ(all.back(), *std::ranges::max_element(affinity));
    keep(affinity);
    std::vector<float> powers = weights;
    for (float& p : powers) p = -20 * p;
    const std::vector<float> exponents = powers;
    k->exp(powers.data(), powers.size());
    for (size_t i = 0; i < powers.size(); ++i) {
      EXPECT_NEAR(powers[i], std::exp(exponents[i]), 1e-6 * powers[i]);
    }
    keep(powers);
    std::vector<float> votes(kWidth);
    const std::vector<uint32_t> voters = {2, 3, 4, 40, 76};
    k->vote(bits, voters.data(), voters.size(), weights.data(), votes.data());
    keep(votes);
    std::vector<float> averages = first_averages;
    std::vector<float> ages = chosen;
    std::vector<float> context = recall;
    k->age(chosen.data(), averages.data(), ages.data(), context.data(), kWidth);
    keep(averages);
    keep(ages);
    keep(context);
    std::vector<float> features(kFeatures * kWidth);
    k->features(averages.data(), ages.data(), recall.data(), features.data(), kWidth);
    EXPECT_NEAR(features[0], 1 + 0.5 * std::log(averages[0] + 0.06), 1e-6);
    keep(features);
    std::vector<float> z(kWidth);
    k->score(features.data(), weights.data(), table.data(), rows.data(), carried.data(),
             rows.size(), z.data(), kWidth);
    keep(z);
    std::vector<float> delta(kWidth);
    std::vector<float> gradient(1 + kFeatures);
    k->gradient(recall.data(), z.data(), features.data(), kWidth - 5, delta.data(), gradient.data(),
                kWidth);
    keep(delta);
    keep(gradient);
    std::vector<float> learned = table;
    k->learn(learned.data(), rows.data(), weights.data(), rows.size(), delta.data(), kWidth);
    keep(learned);
  }
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

// The note's definition of what a similarity memory recalls, with all pairs of tokens.
TEST(SimilarityMemoryTest, RecallsWhatSimilarMomentsNeededNext) {
  constexpr CacheShape kSmall{.layers = 3, .experts = 40};
  constexpr size_t kTokens = 3700;  // the window is moved twice
  std::mt19937 random(4);
  std::vector<std::vector<std::set<int32_t>>> chosen(kTokens);
  for (auto& token : chosen) {
    const auto topic = static_cast<int32_t>(random() % 30);
    token.resize(3);
    for (auto& layer : token) {
      while (layer.size() < 4) layer.insert((topic + static_cast<int32_t>(random() % 10)) % 40);
    }
  }
  SimilarityMemory memory(kSmall, 4, {});
  std::vector<double> carried(kTokens);
  for (size_t t = 0; t < kTokens; ++t) {
    std::vector<double> overlap(kTokens);
    const size_t first = t < 1500 ? 0 : t - 1500;
    for (size_t l = 0; l < 3; ++l) {
      const std::vector<int32_t> experts(chosen[t][l].begin(), chosen[t][l].end());
      memory.Observe({.layer = static_cast<int32_t>(l),
                      .tokens = 1,
                      .top_k = 4,
                      .experts = experts,
                      .step = t});
      for (size_t q = first; q < t; ++q) {
        for (const int32_t e : experts) overlap[q] += chosen[q][l].contains(e) ? 1 : 0;
      }
      if (t % 300 != 200) continue;
      const auto affinity = [&](size_t q) {
        return 15.36 / 12 *
               (3.0 / static_cast<double>(l + 1) * overlap[q] + (q > 0 ? 0.2 * carried[q - 1] : 0));
      };
      double best = 0;
      for (size_t q = first; q < t; ++q) best = std::max(best, affinity(q));
      std::vector<double> votes(40);
      double total = 0;
      for (size_t q = first; q < t; ++q) {
        if (affinity(q) < best - 5) continue;
        const double strength = std::exp(affinity(q) - best);
        total += strength;
        for (size_t d = 1; d <= 10 && q + d <= t; ++d) {
          for (const int32_t e : chosen[q + d][l]) {
            votes[static_cast<size_t>(e)] += strength * std::pow(0.85, d - 1);
          }
        }
      }
      const std::span<const float> recall = memory.Recall();
      for (size_t e = 0; e < 40; ++e) ASSERT_NEAR(recall[e], votes[e] / total / 3, 1e-3) << t;
    }
    std::vector<double> similarity(kTokens);
    for (size_t q = first; q < t; ++q) {
      similarity[q] = overlap[q] + (q > 0 ? 0.2 * carried[q - 1] : 0);
    }
    carried = similarity;
  }
}

TEST(TraceFutureTest, FindsTheNextCallThatWantsAnExpert) {
  constexpr CacheShape kSmall{.layers = 2, .experts = 6};
  std::mt19937 random(8);
  std::vector<TraceCall> calls;
  std::vector<int32_t> experts;
  for (int32_t call = 0; call < 200; ++call) {
    const int32_t tokens = 1 + static_cast<int32_t>(random() % 3);
    calls.push_back({.layer = call % 2, .tokens = tokens, .first_row = experts.size() / 2});
    for (int32_t row = 0; row < tokens; ++row) {
      const auto e = static_cast<int32_t>(random() % 6);
      experts.push_back(e);
      experts.push_back((e + 1) % 6);
    }
  }
  const TraceFuture future(kSmall, calls, experts, 2);
  for (uint64_t call = 0; call < 200; ++call) {
    for (ExpertKey key = 0; key < 12; ++key) {
      uint64_t expected = Future::kNever;
      for (uint64_t next = 199; next > call; --next) {
        const TraceCall& c = calls[next];
        const auto rows =
            std::span(experts).subspan(c.first_row * 2, static_cast<size_t>(c.tokens) * 2);
        if (c.layer == key / 6 && std::ranges::find(rows, key % 6) != rows.end()) expected = next;
      }
      ASSERT_EQ(future.NextUse(key, call), expected);
    }
  }
}

// What only shows in single steps: thresholds, scores, predictions.
struct OneLayer {
  explicit OneLayer(const std::string& name, const CacheSpec& spec,
                    std::span<const float> likelihood = {})
      : rule(NewEvictionRule(name, {.shape = {.layers = 1, .experts = 8},
                                    .top_k = 2,
                                    .slots = 4,
                                    .cache = &spec,
                                    .likelihood = likelihood})) {}
  void Call(std::vector<int32_t> experts, std::vector<float> weights = {}) {
    std::vector<Demand> demands;
    for (const int32_t e : experts) demands.push_back({.expert = e, .tokens = 1});
    rule->Observe({.layer = 0,
                   .tokens = 1,
                   .top_k = 2,
                   .experts = experts,
                   .weights = weights,
                   .demands = demands,
                   .step = step++});
  }
  ExpertKey Victim(std::vector<ExpertKey> candidates) { return rule->Victim(candidates); }
  std::unique_ptr<EvictionRule> rule;
  uint64_t step = 0;
};

TEST(ScoreTest, AveragesTheRoutersWeights) {
  CacheSpec spec;
  spec.score_ema_alpha = 0.5;
  OneLayer layer("score", spec);
  layer.Call({0, 1}, {0.9F, 0.1F});  // 0: .45, 1: .05
  layer.Call({2, 3}, {0.6F, 0.4F});  // 0: .225, 1: .025, 2: .3, 3: .2
  EXPECT_EQ(layer.Victim({0, 2, 3}), 3);
  EXPECT_EQ(layer.Victim({0, 2}), 0);
  spec.score_top = 1;                // from now on the first rank only
  layer.Call({3, 1}, {0.1F, 0.9F});  // 0: .1125, 1: .0125, 3: .15
  EXPECT_EQ(layer.Victim({0, 1, 3}), 1);
}

TEST(FrequencyThresholdTest, KeepsWhoHasAShare) {
  CacheSpec spec;
  spec.freq_window = 8;
  spec.freq_threshold = 0.2;  // 1.6 of 8 accesses
  OneLayer layer("frequency_threshold", spec);
  for (const auto& call : {std::vector<int32_t>{0, 1}, {0, 1}, {2, 3}, {3, 4}}) layer.Call(call);
  EXPECT_EQ(layer.Victim({0, 1, 2, 3}), 2);  // the only one with a single access
  EXPECT_EQ(layer.Victim({0, 1, 2, 4}), 2);  // used before 4
  EXPECT_EQ(layer.Victim({0, 1, 3}), 0);     // all stay: the least share, then the oldest
  layer.Call({5, 6});
  EXPECT_EQ(layer.Victim({1, 2, 3}), 1);  // its first access has left the window
}

TEST(PredictedTest, KeepsTheLikely) {
  const CacheSpec spec;
  std::vector<float> likelihood = {0.5F, 0.1F, 0.9F, 0.1F, 0, 0, 0, 0};
  OneLayer layer("predicted", spec, likelihood);
  layer.Call({1, 2});
  layer.Call({3, 0});
  EXPECT_EQ(layer.Victim({0, 1, 2, 3}), 1);  // as likely as 3, but used before
  likelihood[1] = 1;
  EXPECT_EQ(layer.Victim({0, 1, 2}), 0);
}

}  // namespace
}  // namespace sluice

// What the language means: compiled policies against specs written by hand.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "cache/decision_core.h"
#include "policy/builder.h"
#include "policy/compile.h"
#include "policy/explain.h"
#include "policy/format.h"
#include "policy/shipped.h"
#include "policy/testing_policies.h"

namespace sluice {
namespace {

PolicySpec Compiled(std::string_view source, std::string_view name = "") {
  const Result<PolicySpec> spec = CompilePolicy(source, "test.moe", {}, name);
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  return spec.ok() ? *spec : PolicySpec{};
}

TEST(Language, TheSmallestPolicyHasAllDefaults) {
  PolicySpec expected;
  expected.name = "a";
  expected.cache.capacity = {.kind = Capacity::Kind::kSlots, .amount = 8};
  EXPECT_EQ(Compiled("policy a{cache{capacity=8}}"), expected);
}

TEST(Language, OldFilesKeepTheirDefaults) {
  const PolicySpec old = Compiled("version 0.6 policy a { cache { capacity = 8 } per_layer { } }");
  EXPECT_EQ(old.cache.eviction.primary, "lru");
  EXPECT_EQ(old.cache.decay_every, (Span{100, SpanUnit::kAccesses}));
  EXPECT_EQ(old.per_layer->allocation, Allocation::kEntropy);
  const PolicySpec present = Compiled("policy a { cache { capacity = 8 } per_layer { } }");
  EXPECT_EQ(present.cache.eviction.primary, "lfu");
  EXPECT_EQ(present.cache.decay_every, (Span{1, SpanUnit::kTokens}));
  EXPECT_EQ(present.per_layer->allocation, Allocation::kUniform);
}

TEST(Language, EveryOldConstructMeansWhatItDid) {
  const PolicySpec spec = Compiled(TestPolicy("everything_old"), "everything_1");
  const CacheSpec& cache = spec.cache;
  EXPECT_EQ(cache.capacity, (Capacity{Capacity::Kind::kSlots, 24}));
  EXPECT_EQ(cache.eviction.primary, "lfu");
  EXPECT_EQ(cache.pins, (std::vector<PinRange>{{0, -1, 0, 0}, {0, -1, 1, 1}, {0, -1, 17, 17}}));
  EXPECT_DOUBLE_EQ(cache.frequency_decay, 0.9);
  EXPECT_DOUBLE_EQ(cache.score_ema_alpha, 1);
  EXPECT_DOUBLE_EQ(cache.memory_threshold, 0.75);
  EXPECT_DOUBLE_EQ(cache.memory_budget_bytes, 16.0 * (1 << 30));
  EXPECT_EQ(cache.ttl, 200);
  for (const PrefetchSpec& prefetch : spec.prefetch) {
    EXPECT_EQ(prefetch.strategies, std::vector<std::string>{"history"});
    EXPECT_EQ(prefetch.lookahead, 2);
    EXPECT_EQ(prefetch.budget, 4);
  }
  EXPECT_EQ(spec.ScheduleOf(Phase::kDecode).mode, Mode::kHybrid);
  EXPECT_EQ(spec.monitor.metrics,
            (std::vector<Metric>{Metric::kHitRate, Metric::kStallMs, Metric::kMemoryPressure}));
  EXPECT_EQ(spec.per_layer->total_budget, 400);

  // Guards come first, in the order of the file; then the rules.
  ASSERT_EQ(spec.adapt.size(), 13U);
  const AdaptRule& guard = spec.adapt[0];
  EXPECT_EQ(guard.when, (Condition{{{Metric::kEvictionRate, Comparison::kGreater, 0.5}}}));
  EXPECT_EQ(guard.actions,
            (std::vector<AdaptAction>{{.tunable = Tunable::kCapacity, .number = 32}}));
  EXPECT_EQ(guard.hold, (Span{1, SpanUnit::kSteps}));
  EXPECT_EQ(spec.adapt[1].actions[0].eviction.primary, "lru");
  EXPECT_EQ(spec.adapt[3].actions[0].names, std::vector<std::string>{"lookahead"});
  const AdaptRule& rule = spec.adapt[5];
  EXPECT_EQ(rule.hold, (Span{100, SpanUnit::kAccesses}));
  EXPECT_EQ(rule.cooldown, (Span{50, SpanUnit::kAccesses}));
  EXPECT_EQ(spec.adapt[7].actions[0].tunable, Tunable::kFrequencyDecay);
  EXPECT_TRUE(spec.adapt[8].actions[0].names.empty());
  EXPECT_EQ(spec.adapt[10].actions[0].tunable, Tunable::kScheduleMode);
  EXPECT_EQ(spec.adapt[10].actions[0].number, static_cast<double>(Mode::kInPlace));
  EXPECT_EQ(spec.adapt[11].actions[0].kind, AdaptAction::Kind::kTriggerMemoryPressure);
  EXPECT_EQ(spec.adapt[12].actions[0].kind, AdaptAction::Kind::kRebalance);
  EXPECT_EQ(spec.adapt[12].actions[0].number, static_cast<double>(Allocation::kEntropy));

  const PolicySpec second = Compiled(TestPolicy("everything_old"), "_Two");
  EXPECT_EQ(second.cache.eviction, (Eviction{"score", "frequency_threshold"}));
}

TEST(Language, EveryNewConstructMeansWhatItSays) {
  const PolicySpec spec = Compiled(TestPolicy("everything_new"), "base");
  const CacheSpec& cache = spec.cache;
  EXPECT_EQ(cache.capacity, (Capacity{Capacity::Kind::kShare, 0.4}));
  EXPECT_EQ(cache.eviction, (Eviction{"slru", "sieve"}));
  EXPECT_EQ(cache.decay_every, (Span{2, SpanUnit::kSteps}));
  EXPECT_DOUBLE_EQ(cache.slru_protected, 0.6);
  EXPECT_EQ(cache.pins,
            (std::vector<PinRange>{
                {0, -1, 3, 3}, {12, 23, 0, -1}, {0, -1, 7, 7}, {0, 0, 0, 2}, {24, -1, 1, 1}}));
  EXPECT_EQ(cache.profile, "used \"often\".csv");
  EXPECT_EQ(cache.admission, Admission::kSecondTouch);
  EXPECT_EQ(cache.prefill_insert, PrefillInsert::kBypass);
  EXPECT_DOUBLE_EQ(cache.memory_budget_bytes, 512.0 * (1 << 20));
  EXPECT_EQ(cache.ttl, 0);

  const PrefetchSpec& decode = spec.PrefetchOf(Phase::kDecode);
  const PrefetchSpec& prefill = spec.PrefetchOf(Phase::kPrefill);
  EXPECT_EQ(decode.strategies, (std::vector<std::string>{"affinity", "history"}));
  EXPECT_EQ(prefill.strategies, std::vector<std::string>{"all"});
  EXPECT_EQ(decode.insert, PrefetchInsert::kStaging);
  EXPECT_EQ(prefill.insert, PrefetchInsert::kCold);
  EXPECT_EQ(decode.budget, 8);
  EXPECT_TRUE(decode.budget_idle);
  EXPECT_TRUE(prefill.budget_idle);  // of the block for both
  EXPECT_DOUBLE_EQ(prefill.min_confidence, 0.5);

  EXPECT_EQ(spec.ScheduleOf(Phase::kDecode).mode, Mode::kGreedy);
  EXPECT_EQ(spec.ScheduleOf(Phase::kPrefill).mode, Mode::kLayerwise);
  EXPECT_DOUBLE_EQ(*spec.ScheduleOf(Phase::kDecode).cpu_ms_per_token, 0.3);
  EXPECT_EQ(spec.ScheduleOf(Phase::kDecode).microbatches, 0);
  EXPECT_EQ(spec.ScheduleOf(Phase::kDecode).batch_threshold, 64);  // one number for both phases
  EXPECT_DOUBLE_EQ(spec.monitor.sample, 0.1);
  ASSERT_EQ(spec.tiers.size(), 2U);
  EXPECT_DOUBLE_EQ(spec.tiers[0].bytes_per_second, 12.5e9);
  EXPECT_DOUBLE_EQ(spec.tiers[0].capacity.amount, 8.0 * (1 << 30));

  // a and (b or c) is (a and b) or (a and c).
  ASSERT_EQ(spec.adapt.size(), 3U);
  const ConditionAtom waste{Metric::kPrefetchWaste, Comparison::kGreater, 0.75};
  const ConditionAtom stall{Metric::kStallMs, Comparison::kGreater, 0.2};
  const ConditionAtom queue{Metric::kQueueDepth, Comparison::kGreaterEqual, 8};
  EXPECT_EQ(spec.adapt[0].when, (Condition{{waste, stall}, {waste, queue}}));
  EXPECT_EQ(spec.adapt[0].cooldown, (Span{512, SpanUnit::kSteps}));
  EXPECT_EQ(spec.adapt[0].actions[0].phase, Phase::kDecode);
  EXPECT_EQ(spec.adapt[0].actions[1].text, "guesses are not used");
  EXPECT_DOUBLE_EQ(spec.adapt[1].when[0][0].value, 512.0 * (1 << 20));
  EXPECT_EQ(spec.adapt[2].hold, (Span{3, SpanUnit::kSeconds}));

  PolicySpec derived = spec;
  derived.name = "derived";
  derived.cache.capacity = {.kind = Capacity::Kind::kSlots, .amount = 16};
  derived.prefetch[0].strategies.clear();
  EXPECT_EQ(Compiled(TestPolicy("everything_new"), "derived"), derived);
}

TEST(Language, APolicyTakesBackTheGuardOfTheOneItExtends) {
  const std::string_view source = R"(
policy a { cache { capacity = 8 eviction = lru : lfu when hit_rate > 0.5 } }
policy b extends a { cache { eviction = fifo } }
policy c extends a { cache { capacity = 9 } })";
  EXPECT_TRUE(Compiled(source, "b").adapt.empty());
  EXPECT_EQ(Compiled(source, "c").adapt.size(), 1U);
}

TEST(Language, WordsAreReservedNowhere) {
  const PolicySpec spec = Compiled(
      "policy when { cache { capacity = 4 eviction = lru } "
      "adapt { when step > 1 { capacity = 5 eviction = lfu } } }");
  EXPECT_EQ(spec.name, "when");
  EXPECT_EQ(spec.adapt[0].actions.size(), 2U);
}

TEST(Builder, GivesWhatTheTextGives) {
  const Result<PolicySpec> built =
      PolicyBuilder("mine")
          .Set("cache.capacity", "40%")
          .Set("cache.eviction", "lru")
          .Set("cache.eviction", "lfu | lru")
          .Set("cache.frequency_decay", 0.9)
          .Set("cache.pin", "[0, 2..3:*]")
          .Set("prefetch.strategy", "history")
          .Set("prefetch.decode.budget", 8)
          .Set("schedule.prefill.active_only", false)
          .Set("tier.ram.capacity", "8GiB")
          .When("hit_rate < 0.4 for 64 steps", "cache.eviction = lru\nlog \"low\"")
          .Build();
  ASSERT_TRUE(built.ok()) << built.status().message();
  EXPECT_EQ(*built, Compiled(R"(
policy mine {
    schedule prefill { active_only = false }
    prefetch decode { budget = 8 }
    prefetch { strategy = history }
    tier ram { capacity = 8GiB }
    cache { pin = [0, 2..3:*] frequency_decay = 0.9 capacity = 40% eviction = lfu | lru }
    adapt { when hit_rate < 40% for 64 steps { eviction = lru log "low" } }
})"));
  const Result<PolicySpec> wrong = PolicyBuilder("mine").Set("cache.capcity", 8).Build();
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.status().message().find("capacity"), std::string::npos);
}

TEST(Print, IsAPolicyThatCompilesToTheSame) {
  for (const char* name : {"everything_old", "everything_new"}) {
    const std::string source = TestPolicy(name);
    const CompiledFile file = CompileFile(source, "test.moe");
    for (const CompiledPolicy& policy : file.policies) {
      EXPECT_EQ(Compiled(PrintPolicy(policy.spec)), policy.spec) << PrintPolicy(policy.spec);
    }
  }
}

TEST(Print, LosesNoBit) {
  for (const char* capacity : {"7%", "33.333333333333336%", "0.1%", "55.00000000000001%", "6GiB",
                               "1.1GB", "12345678901B"}) {
    const PolicySpec spec =
        Compiled(fmt::format("policy a {{ cache {{ capacity = {} }} tier ram {{ capacity = 1GiB "
                             "bandwidth = 12345678901B }} "
                             "schedule {{ mode = cost cpu_ms_per_token = 1.1us }} }}",
                             capacity));
    EXPECT_EQ(Compiled(PrintPolicy(spec)), spec) << PrintPolicy(spec);
  }
}

TEST(Show, SaysWhereEveryValueComesFrom) {
  const CompiledFile file = CompileFile(
      "policy a { cache { capacity = 8\n eviction = lru } }\n"
      "policy b extends a { cache { capacity = 9 } }",
      "test.moe");
  ASSERT_TRUE(file.diagnostics.ok());
  const std::vector<ShownParameter> shown = ShowParameters(*file.Find("b"));
  const auto row = [&](std::string_view key) {
    return *std::find_if(shown.begin(), shown.end(), [&](const auto& r) { return r.key == key; });
  };
  EXPECT_EQ(row("cache.capacity").value, "9");
  EXPECT_EQ(row("cache.capacity").from, ShownParameter::From::kWritten);
  EXPECT_EQ(row("cache.capacity").line, 3);
  EXPECT_EQ(row("cache.eviction").from, ShownParameter::From::kInherited);
  EXPECT_EQ(row("cache.eviction").policy, "a");
  EXPECT_EQ(row("cache.eviction").line, 2);
  EXPECT_EQ(row("prefetch.decode.strategy").value, "none");
  EXPECT_EQ(row("prefetch.decode.strategy").from, ShownParameter::From::kDefault);
}

TEST(Explain, GivesNumbersForAModel) {
  const CompileOptions options{.shape = TargetModel{48, 128, 8, 2654208}};
  const CompiledFile file =
      CompileFile("policy a { cache { capacity = 25% } }", "test.moe", options);
  const std::string text =
      ExplainPolicy(file.policies.at(0), options, {.read_bytes_per_second = 1.2e9});
  // 0.25 x 128 = 32 of 128; 48 x 32 x 2654208 B = 3.80 GiB; 48 x 8 x 2654208 B / 1.2e9 = 849 ms.
  EXPECT_NE(text.find("32 of 128 per layer"), std::string::npos) << text;
  EXPECT_NE(text.find("3.80 GiB"), std::string::npos) << text;
  EXPECT_NE(text.find("849 ms"), std::string::npos) << text;
}

// ---- what is shipped

TEST(Shipped, AllCompileForSmallAndLargeModels) {
  const std::vector<std::optional<TargetModel>> shapes = {
      std::nullopt, TargetModel{4, 32, 4, 100000}, TargetModel{24, 32, 4, 13200000},
      TargetModel{48, 128, 8, 2654208}, TargetModel{32, 8, 2, 90000000}};
  for (const ShippedPolicy& shipped : ShippedPolicies()) {
    for (const auto& shape : shapes) {
      const CompiledFile file =
          CompileFile(shipped.source, std::string(shipped.name), {.shape = shape});
      EXPECT_TRUE(file.diagnostics.ok()) << file.diagnostics.RenderAll();
      ASSERT_EQ(file.policies.size(), 1U) << shipped.name;
      EXPECT_EQ(file.policies[0].spec.name, shipped.name);
    }
    EXPECT_FALSE(PolicySummary(shipped.source).empty()) << shipped.name;
    const Result<std::string> canonical = FormatPolicyText(shipped.source, "shipped");
    ASSERT_TRUE(canonical.ok());
    EXPECT_EQ(*canonical, shipped.source) << "policies/" << shipped.name << ".moe";
  }
  EXPECT_EQ(ShippedPolicies().size(), 22U);
}

TEST(Shipped, AllRunInTheDecisionCore) {
  constexpr int kLayers = 6;
  constexpr int kExperts = 32;
  constexpr int kTopK = 4;
  const std::vector<double> popularity(size_t{kLayers} * kExperts, 1);
  for (const ShippedPolicy& shipped : ShippedPolicies()) {
    SCOPED_TRACE(std::string(shipped.name));
    const PolicySpec spec = Compiled(shipped.source);
    if (!spec.PrefetchOf(Phase::kDecode).table.empty()) continue;  // made by others' training
    Result<std::unique_ptr<DecisionCore>> core =
        DecisionCore::Create(spec, {.shape = {.layers = kLayers, .experts = kExperts},
                                    .top_k = kTopK,
                                    .slots = 2 * kLayers * kExperts,
                                    .expert_bytes = 1000,
                                    .popularity = popularity});
    ASSERT_TRUE(core.ok()) << core.status().message();
    for (int step = 0; step < 8; ++step) {
      (*core)->BeginStep(1);
      for (int layer = 0; layer < kLayers; ++layer) {
        const std::vector<int32_t> chosen = {step, step + 7, step + 13, step + 19};
        const std::vector<float> weights = {0.4F, 0.3F, 0.2F, 0.1F};
        (*core)->Begin({.layer = layer, .tokens = 1, .experts = chosen, .weights = weights});
      }
    }
    EXPECT_EQ((*core)->totals().accesses, uint64_t{8} * kLayers * kTopK);
  }
}

TEST(Load, FindsNamesFilesAndPoliciesOfFiles) {
  EXPECT_EQ(LoadPolicy("lru")->cache.eviction.primary, "lru");
  EXPECT_EQ(LoadPolicy("policies/lfu.moe")->cache.eviction.primary, "lfu");
  EXPECT_EQ(LoadPolicy("policies/lfu.moe:lfu")->cache.eviction.primary, "lfu");
  const auto fails = [](const std::string& name, std::string_view words) {
    const Result<PolicySpec> spec = LoadPolicy(name);
    ASSERT_FALSE(spec.ok()) << name;
    EXPECT_EQ(spec.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(spec.status().message().find(words), std::string::npos) << spec.status().message();
  };
  fails("policies/lfu.moe:lru", "did you mean lfu?");
  fails("lur", "did you mean lru?");
  fails("psychic", "lru");
  fails("policies", "directory");
}

}  // namespace
}  // namespace sluice

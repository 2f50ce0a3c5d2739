// '@' marks the cursor. What is offered is checked against the compiler: it is the other one who
// knows what may be written.
#include "policy/assist.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "policy/compile.h"
#include "policy/shipped.h"
#include "policy/testing_policies.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

std::vector<std::string> Offered(std::string text) {
  const size_t at = text.find('@');
  text.erase(at, 1);
  std::vector<std::string> words;
  for (const Completion& completion : CompleteAt(text, at).all) words.push_back(completion.text);
  return words;
}

std::string Meaning(std::string text) {
  const size_t at = text.find('@');
  text.erase(at, 1);
  const std::optional<Explanation> found = ExplainAt(text, at);
  return found ? found->text : "";
}

std::vector<std::string> Names(BlockKind block) {
  const std::vector<std::string_view> names = ParameterNames(block);
  return {names.begin(), names.end()};
}

TEST(Complete, FollowsTheGrammar) {
  EXPECT_THAT(Offered("@"), ElementsAre("version", "policy"));
  EXPECT_THAT(Offered("version 1.0\n@"), Contains("policy"));
  EXPECT_THAT(Offered("policy @"), IsEmpty());
  EXPECT_THAT(Offered("policy a @"), ElementsAre("extends"));
  EXPECT_THAT(Offered("policy a { } policy b { } policy c extends @ {"), ElementsAre("a", "b"));
  EXPECT_THAT(Offered("policy a {@}"), ElementsAre("cache", "prefetch", "schedule", "monitor",
                                                   "per_layer", "tier", "adapt"));
  EXPECT_THAT(Offered("policy a { prefetch @ {"), ElementsAre("decode", "prefill"));
  EXPECT_THAT(Offered("policy a { cache @"), IsEmpty());
  EXPECT_THAT(Offered("policy a { tier @"), ElementsAre("vram", "ram", "disk"));
}

TEST(Complete, OffersTheParametersOfTheBlock) {
  for (int i = 0; i < kBlockKinds; ++i) {
    const auto block = static_cast<BlockKind>(i);
    const std::string head = fmt::format("policy a {{ {}", BlockName(block));
    EXPECT_EQ(Offered(head + " { @ } }"), Names(block)) << head;
    EXPECT_EQ(Offered(head + " x {\n  @"), Names(block)) << head;
  }
  const std::vector<std::string> cache = Names(BlockKind::kCache);
  EXPECT_EQ(Offered("policy a { cache { ev@"), cache);
  EXPECT_EQ(Offered("policy a { cache { capacity = 8\n ev@\n scope = layer } }"), cache);
  EXPECT_EQ(Offered("policy a { cache { cap@acity = 8 } }"), cache);
  EXPECT_EQ(Offered("policy a { cache { capa\n @"), cache);
  EXPECT_EQ(Offered("policy a { cache { capacity = 8 @ } }"), cache);
  // A brace is missing before the next block, and before the next policy.
  EXPECT_EQ(Offered("policy a { cache { capacity = 8 monitor { @"), Names(BlockKind::kMonitor));
  EXPECT_EQ(Offered("policy a { cache { capacity = 8 policy b { tier ram { @"),
            Names(BlockKind::kTier));
}

TEST(Complete, OffersTheValuesOfTheParameter) {
  EXPECT_THAT(Offered("policy a { cache { scope = @ } }"), ElementsAre("layer", "shared"));
  EXPECT_THAT(Offered("policy a { cache { scope =\n@"), ElementsAre("layer", "shared"));
  EXPECT_THAT(Offered("policy a { cache { scope = @\n eviction = lru } }"),
              ElementsAre("layer", "shared"));
  EXPECT_THAT(Offered("policy a { cache { eviction = l@ } }"), IsSupersetOf({"lru", "none"}));
  EXPECT_THAT(Offered("policy a { cache { eviction = lru | @ } }"), Contains("lfu"));
  EXPECT_THAT(Offered("policy a { cache { eviction = lru | @ } }"), Not(Contains("none")));
  EXPECT_THAT(Offered("policy a { prefetch { strategy = gate + h@ } }"), Contains("history"));
  EXPECT_THAT(Offered("policy a { schedule { overlap = @ } }"), ElementsAre("true", "false"));
  EXPECT_THAT(Offered("policy a { schedule { mode = @ } }"), Not(Contains("gpu_only")));
  EXPECT_THAT(Offered("policy a { schedule { waves = @ } }"), ElementsAre("auto"));
  EXPECT_THAT(Offered("policy a { monitor { metrics = [hit_rate, @] } }"), Contains("stall_ms"));
  EXPECT_THAT(Offered("policy a { cache { decay_every = 10 @ } }"), Contains("accesses"));
  EXPECT_THAT(Offered("policy a { cache { nonsense = @ } }"), IsEmpty());
}

TEST(Complete, OffersMetricsInConditions) {
  const std::string rule = "policy a { cache { capacity = 8 } adapt { when ";
  for (const char* text :
       {"@", "hi@", "hit_rate > 40% and @", "(@", "step > 1 or (entropy < 2 and @"}) {
    EXPECT_EQ(Offered(rule + text).size(), Metrics().size()) << text;
  }
  EXPECT_THAT(Offered(rule + "hit_rate @"), IsEmpty());
  EXPECT_THAT(Offered(rule + "hit_rate > @"), IsEmpty());
  EXPECT_THAT(Offered(rule + "hit_rate > 0.4 @"), ElementsAre("and", "or", "for", "cooldown"));
  EXPECT_THAT(Offered(rule + "stall_ms > 4ms c@"), Contains("cooldown"));
  EXPECT_THAT(Offered(rule + "hit_rate > 40% for 5 @"), IsSupersetOf({"steps", "tokens", "s"}));
  EXPECT_THAT(Offered(rule + "hit_rate > 40% for 5 st@"), Contains("steps"));
  EXPECT_THAT(Offered("policy a { adapt { @"), ElementsAre("when"));
  EXPECT_THAT(Offered("policy a { cache { eviction = lru : lfu @"), ElementsAre("when"));
  EXPECT_EQ(Offered("policy a { cache { eviction = lru : lfu when @").size(), Metrics().size());
}

TEST(Complete, OffersInRulesWhatTheyMaySet) {
  const std::string rule = "policy a { adapt { when hit_rate > 40% for 5 steps { ";
  size_t tunables = 0;
  for (const Parameter& parameter : Parameters()) tunables += parameter.change ? 1 : 0;
  EXPECT_EQ(Offered(rule + "@").size(), tunables + 4);
  EXPECT_THAT(Offered(rule + "@"), IsSupersetOf({"cache.eviction", "prefetch.budget", "log"}));
  EXPECT_THAT(Offered(rule + "@"), Not(Contains("cache.scope")));
  EXPECT_THAT(Offered(rule + "cache.eviction = lru c@"), Contains("cache.eviction"));
  EXPECT_THAT(Offered(rule + "cache.@"), IsSupersetOf({"capacity", "eviction"}));
  EXPECT_THAT(Offered(rule + "cache.@\n eviction = lru }"), Not(Contains("scope")));
  EXPECT_THAT(Offered(rule + "prefetch.@"), IsSupersetOf({"budget", "decode"}));
  EXPECT_THAT(Offered(rule + "prefetch.decode.@"), Contains("budget"));
  EXPECT_THAT(Offered(rule + "prefetch.decode.@"), Not(Contains("decode")));
  EXPECT_THAT(Offered(rule + "cache.eviction = @"), Contains("lru"));
  EXPECT_THAT(Offered(rule + "eviction = @"), Contains("lru"));
  EXPECT_THAT(Offered(rule + "cache.capacity = @"), IsEmpty());
  EXPECT_THAT(Offered(rule + "trigger @"), ElementsAre("memory_pressure"));
  EXPECT_THAT(Offered(rule + "rebalance @"), Contains("entropy"));
  EXPECT_THAT(Offered(rule + "reset @"), ElementsAre("profile", "stats"));
  EXPECT_THAT(Offered(rule + "log @"), IsEmpty());
}

TEST(Complete, OffersNothingInCommentsStringsAndNumbers) {
  EXPECT_THAT(Offered("# a comm@ent"), IsEmpty());
  EXPECT_THAT(Offered("policy a { # x @\n}"), IsEmpty());
  EXPECT_THAT(Offered("policy a { cache { profile = \"fi@le\" } }"), IsEmpty());
  EXPECT_THAT(Offered("policy a { cache { capacity = 4@"), IsEmpty());
  EXPECT_THAT(Offered("policy a { cache { capacity = 4G@"), IsEmpty());
}

TEST(Complete, ReplacesTheWordAtTheCursor) {
  const std::string text = "policy a { cache { evi = lru } }";
  const size_t begin = text.find("evi");
  EXPECT_EQ(CompleteAt(text, begin + 2).replaced.offset, begin);
  EXPECT_EQ(CompleteAt(text, begin + 2).replaced.length, 3U);
  EXPECT_EQ(CompleteAt(text, begin).replaced.length, 0U);  // before a word nothing is replaced
}

// Every value that is offered is one that the compiler knows by that name.
TEST(Complete, OffersOnlyWhatTheCompilerTakes) {
  for (const Parameter& parameter : Parameters()) {
    const std::string head =
        fmt::format("policy a {{ {} x {{ {} = ", BlockName(parameter.block), parameter.name);
    for (const std::string& value : Offered(head + "@ } }")) {
      const std::string label = parameter.block == BlockKind::kTier ? " ram" : "";
      const std::string text =
          fmt::format("policy a {{ {}{} {{ {} = {} }} }}", BlockName(parameter.block), label,
                      parameter.name, value);
      const CompiledFile file = CompileFile(text, "test.moe", {.use = PolicyUse::kReplay});
      for (const Diagnostic& found : file.diagnostics.found()) {
        EXPECT_TRUE(found.code != "E101" && found.code != "E201" && found.code != "E209") << text;
      }
    }
  }
}

TEST(Explain, SaysWhatAParameterIs) {
  const std::string text = Meaning("policy a { cache { frequency@_decay = 0.9 } }");
  EXPECT_EQ(text,
            "`cache.frequency_decay`: number (0, 1)\n\nfactor on every use count, once per "
            "decay_every\n\nDefault: 0.95. Rules of adapt may set it.");
  EXPECT_THAT(Meaning("policy a { cache { capac@ity = 8 } }"), HasSubstr("Has to be given."));
  EXPECT_THAT(Meaning("policy a { cache { eviction = lr@u } }"), HasSubstr("`cache.eviction`"));
  EXPECT_THAT(Meaning("policy a { tier ram { capac@ity = 8 } }"), HasSubstr("`tier.capacity`"));
  EXPECT_THAT(Meaning("policy a { adapt { when step > 1 { prefetch.decode.bud@get = 1 } } }"),
              HasSubstr("`prefetch.budget`"));
  EXPECT_THAT(Meaning("policy a { adapt { when step > 1 { eviction@ = lru } } }"),
              HasSubstr("`cache.eviction`"));
  // A word for both a block and a parameter.
  EXPECT_THAT(Meaning("policy a { per_@layer { } }"), HasSubstr("block"));
  EXPECT_THAT(Meaning("policy a { monitor { per_@layer = true } }"),
              HasSubstr("`monitor.per_layer`"));
}

TEST(Explain, SaysWhatOtherWordsAre) {
  EXPECT_THAT(Meaning("policy a { sch@edule decode { } }"),
              HasSubstr("order experts are computed"));
  EXPECT_THAT(Meaning("policy a { schedule de@code { } }"), HasSubstr("batch_threshold"));
  EXPECT_THAT(Meaning("policy a { adapt { when hit_@rate > 1 { } } }"), HasSubstr("share or %"));
  EXPECT_THAT(Meaning("policy a { adapt { when hit_rate > 1 for 3 steps cool@down 3 steps { } } }"),
              HasSubstr("rests"));
  EXPECT_THAT(Meaning("policy a { adapt { when step > 1 { reset st@ats } } }"),
              HasSubstr("forgets"));
  EXPECT_THAT(Meaning("pol@icy a { }"), HasSubstr("a policy"));
  EXPECT_EQ(Meaning("policy a@ { }"), "");
  EXPECT_EQ(Meaning("policy a { cache { capacity = 8@ } } # cache"), "");
  EXPECT_EQ(Meaning("policy a { } # ca@che"), "");
}

// In good files every parameter and every metric of a condition has a meaning, and no place of any
// file, whole or cut off, is too much.
TEST(Explain, KnowsEveryParameterOfGoodFiles) {
  std::vector<std::string> sources = {TestPolicy("everything_new"), TestPolicy("everything_old"),
                                      TestPolicy("broken")};
  for (const ShippedPolicy& shipped : ShippedPolicies()) sources.emplace_back(shipped.source);
  for (const std::string& source : sources) {
    const CompiledFile file = CompileFile(source, "test.moe");
    for (const PolicyNode& policy : file.tree.policies) {
      for (const BlockNode& block : policy.blocks) {
        for (const ParameterNode& parameter : block.parameters) {
          const std::optional<BlockKind> kind = FindBlock(block.kind.text);
          if (!kind || FindParameter(*kind, parameter.name.text) == nullptr) continue;
          const auto found = ExplainAt(source, parameter.name.place.offset);
          const std::string name = fmt::format("`{}.{}`", block.kind.text, parameter.name.text);
          ASSERT_TRUE(found) << name;
          EXPECT_THAT(found->text, HasSubstr(name));
        }
      }
    }
    for (size_t i = 0; i <= source.size(); i += 7) {
      CompleteAt(std::string_view(source).substr(0, i), i);
      CompleteAt(source, i);
      ExplainAt(source, i);
    }
  }
}

}  // namespace
}  // namespace sluice

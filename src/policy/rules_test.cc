// Every rule has a policy that breaks it and one that just does not.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "policy/compile.h"
#include "policy/parser.h"

namespace sluice {
namespace {

// A model of 12 layers of 32 experts, 4 per token, 1 MB each; or none.
enum class With { kNoModel, kModel };

struct Case {
  std::string_view code;
  std::string breaks;
  std::string keeps;
  With model = With::kNoModel;
  // What else `keeps` is warned about, and `breaks` reports.
  std::set<std::string> also = {};
};

std::set<std::string> Codes(const std::string& source, With model) {
  CompileOptions options;
  if (model == With::kModel) options.shape = TargetModel{12, 32, 4, 1000000};
  const CompiledFile file = CompileFile(source, "test.moe", options);
  std::set<std::string> codes;
  for (const Diagnostic& found : file.diagnostics.found()) codes.emplace(found.code);
  return codes;
}

std::string Policy(const std::string& blocks) { return "policy a {\n" + blocks + "\n}\n"; }
std::string Cache(const std::string& parameters) {
  return Policy("cache { capacity = 16 " + parameters + " }");
}
std::string Prefetch(const std::string& parameters) {
  return Policy("cache { capacity = 16 } prefetch { " + parameters + " }");
}
std::string Schedule(const std::string& parameters) {
  return Policy("cache { capacity = 16 } schedule { " + parameters + " }");
}
std::string Adapt(const std::string& rules, const std::string& blocks = "") {
  return Policy("cache { capacity = 16 } " + blocks + " adapt { " + rules + " }");
}
std::string PerLayer(const std::string& parameters) {
  return Policy("cache { capacity = 16 } per_layer { " + parameters + " }");
}
std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
std::string ManyPolicies(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    all += "policy p" + std::to_string(i) + " { cache { capacity = 1 } }\n";
  }
  return all;
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"E101", Cache("eviction == lru"), Cache("eviction = lru")},
      {"E101", Cache("eviction = ~lru"), Cache("eviction = lru # ~\n")},
      {"E101", Cache("profile = \"open"), Cache("profile = \"shut\" init = profile")},
      {"E101", "policy a { cache { capacity = 1 }", "policy a { cache { capacity = 1 } }"},
      {"E101", "", "policy a { cache { capacity = 1 } }"},
      {"E101", Adapt("when step > 3 { }"), Adapt("when step > 3 { reset stats }")},
      {"E102", "version 1.1 " + Cache(""), "version 1.0 " + Cache("")},
      {"E103", ManyPolicies(1001), ManyPolicies(1000)},
      {"E103",
       Adapt("when " + Repeated("(", 40) + "step > 1" + Repeated(")", 40) + " { reset stats }"),
       Adapt("when " + Repeated("(", 30) + "step > 1" + Repeated(")", 30) + " { reset stats }")},
      {"E103", Adapt(Repeated("when step > 3 { reset stats } ", 65)),
       Adapt(Repeated("when step > 3 { reset stats } ", 64))},
      {"E103", Cache("pin = [" + Repeated("1, ", 4097) + "]"),
       Cache("pin = [" + Repeated("1, ", 4096) + "]")},
      {"E103", Adapt("when step > 3 { " + Repeated("reset stats ", 65) + "}"),
       Adapt("when step > 3 { " + Repeated("reset stats ", 64) + "}")},
      {"E201", Cache("eviction = lur"), Cache("eviction = lru")},
      {"E201", Cache("scope = layers"), Cache("scope = layer")},
      {"E201", Prefetch("strategy = psychic"), Prefetch("strategy = history")},
      {"E201", Adapt("when step > 1 { reset everything }"), Adapt("when step > 1 { reset stats }")},
      {"E202", Adapt("when hitrate < 0.5 { eviction = lru }"),
       Adapt("when hit_rate < 0.5 { eviction = lru }")},
      {"E202", Policy("cache { capacity = 1 } monitor { metrics = [hit] }"),
       Policy("cache { capacity = 1 } monitor { metrics = [hit_rate] }")},
      {"E203", Cache("ttl = 5 ttl = 6"), Cache("ttl = 5")},
      {"E204", Policy("cache { capacity = 1 } schedule { } schedule { }"),
       Policy("cache { capacity = 1 } schedule { } schedule decode { } schedule prefill { }")},
      {"E205", Policy("schedule { mode = fetch }"), Cache("")},
      {"E206", Policy("cache { eviction = lru }"), Policy("cache { capacity = auto }")},
      {"E207", Policy("cach { capacity = 1 } cache { capacity = 1 }"), Cache("")},
      {"E207", Cache("capcity = 3"), Cache("")},
      {"E207", Cache("budget = 3"), Prefetch("strategy = history budget = 3")},
      {"E207", Policy("cache { capacity = 1 } tier floppy { capacity = 1MiB }"),
       Policy("cache { capacity = 1 } tier ram { capacity = 1MiB }")},
      {"E208", Cache("") + Cache(""), Cache("")},
      {"E208", "policy b extends a { } " + Cache(""), Cache("") + "policy b extends a { }"},
      {"E208", "policy a extends a { cache { capacity = 1 } }", Cache("")},
      {"E209", Cache("ttl = lru"), Cache("ttl = none")},
      {"E209", Cache("ttl = 5ms"), Cache("ttl = 5")},
      {"E209", Cache("ttl = 2.5"), Cache("ttl = 2.0")},
      {"E209", Cache("decay_every = 5 MiB eviction = lfu"),
       Cache("decay_every = 5 steps eviction = lfu")},
      {"E209", Cache("memory_budget_gb = 6GX"),
       Cache("memory_budget_gb = 6GB memory_threshold = 0.8")},
      {"E209", Policy("cache { capacity = 0.5 }"), Policy("cache { capacity = 50% }")},
      {"E209", Policy("cache { capacity = 1 } monitor { window = 0 }"),
       Policy("cache { capacity = 1 } monitor { window = 1 }")},
      {"E209", Adapt("when free_memory < 5ms { reset stats }"),
       Adapt("when free_memory < 5MiB { reset stats }")},
      {"E210", Policy("cache decode { capacity = 1 }"),
       Policy("cache { capacity = 1 } schedule decode { }")},
      {"E210", Adapt("when step > 1 { cache.decode.eviction = lru }"),
       Adapt("when step > 1 { schedule.decode.mode = fetch }")},
      {"E301", Policy("cache { capacity = 0 }"), Policy("cache { capacity = 1 }")},
      {"E301", Policy("cache { capacity = 33 }"), Policy("cache { capacity = 32 }"), With::kModel},
      {"E301", Policy("cache { capacity = 385 scope = shared }"),
       Policy("cache { capacity = 384 scope = shared }"), With::kModel},
      {"E302", Cache("pin = [9999999]"), Cache("pin = [511]")},
      {"E302", Cache("pin = [5..3]"), Cache("pin = [3..5]")},
      {"E303", Cache("pin = [0..16]"), Cache("pin = [0..15, 3, 4..9]")},
      {"E303", Cache("pin = [2:*]"), Cache("pin = [2:0..15, 3:16..31]"), With::kModel},
      {"E304", Cache("eviction = lfu frequency_decay = 1"),
       Cache("eviction = lfu frequency_decay = 0.999")},
      {"E304", Cache("eviction = lfu frequency_decay = 0"),
       Cache("eviction = lfu frequency_decay = 1e-9")},
      {"E305", Cache("eviction = frequency_threshold freq_threshold = 1.01"),
       Cache("eviction = frequency_threshold freq_threshold = 1")},
      {"E305", Cache("eviction = frequency_threshold freq_threshold = -0.1"),
       Cache("eviction = frequency_threshold freq_threshold = 0%")},
      {"E306", Cache("eviction = frequency_threshold freq_window = 0"),
       Cache("eviction = frequency_threshold freq_window = 1")},
      {"E307",
       Policy("cache { capacity = 8 eviction = score score_ema_alpha = 0 } prefetch { strategy = "
              "score }"),
       Policy("cache { capacity = 8 eviction = score score_ema_alpha = 1 } prefetch { strategy = "
              "score }")},
      {"E308",
       Policy("cache { capacity = 3 }"),
       Policy("cache { capacity = 4 }"),
       With::kModel,
       {"W902"}},
      {"E308",
       Policy("cache { capacity = 36MB }"),
       Policy("cache { capacity = 36MB } schedule { mode = in_place }"),
       With::kModel,
       {"W902"}},
      {"E309", Cache("init = profile"), Cache("init = profile profile = \"p.csv\"")},
      {"E310", Cache("admission = never"), Cache("admission = never pin = [0]")},
      {"E311", Cache("eviction = none init = first"),
       Cache("eviction = none init = first admission = never")},
      {"E312", Cache("eviction = belady"), Cache("eviction = lru")},
      {"E313", Cache("eviction = lru | none"), Cache("eviction = lru | fifo")},
      {"E313", Cache("eviction = lru | fifo | sieve"), Cache("eviction = lru | sieve")},
      {"E313", Policy("cache { capacity = 1 eviction = lru | fifo }"),
       Policy("cache { capacity = 2 eviction = lru | fifo }")},
      {"E314", Cache("eviction = slru slru_protected = 1"),
       Cache("eviction = slru slru_protected = 0.99")},
      {"E314", Cache("eviction = lfu decay_every = 0 tokens"),
       Cache("eviction = lfu decay_every = 1 tokens")},
      {"E314", Cache("insert_cap = 0"), Cache("insert_cap = 1")},
      {"E314", Cache("protect = 12"), Cache("protect = 11"), With::kModel},
      {"E315", Policy("cache { capacity = 0% }"), Policy("cache { capacity = 0.1% }")},
      {"E315", Policy("cache { capacity = 101% }"), Policy("cache { capacity = 100% }")},
      {"E315", Policy("cache { capacity = 11MB }"), Policy("cache { capacity = 96MB }"),
       With::kModel},
      {"E316", Cache("pin = [12:0]"), Cache("pin = [11:0, 12..*:0]"), With::kModel},
      {"E316", Cache("pin = [32]"), Cache("pin = [31]"), With::kModel},
      {"E401", Prefetch("strategy = history lookahead = 0"),
       Prefetch("strategy = history lookahead = 1")},
      {"E402", Prefetch("strategy = history budget = 0"),
       Prefetch("strategy = history budget = 1")},
      {"E403", Prefetch("strategy = history insert = cold budget = 17"),
       Prefetch("strategy = history insert = cold budget = 16")},
      {"E404", Prefetch("strategy = affinity affinity_threshold = 1.1"),
       Prefetch("strategy = affinity affinity_threshold = 100%")},
      {"E405", Prefetch("strategy = history history_window = 0"),
       Prefetch("strategy = history history_window = 1")},
      {"E406", Prefetch("strategy = history lookahead = 12"),
       Prefetch("strategy = history lookahead = 11"), With::kModel},
      {"E406", Prefetch("strategy = gate lookahead = 5"),
       Prefetch("strategy = gate lookahead = 4")},
      {"E407", Prefetch("strategy = affinity learn = offline"),
       Prefetch("strategy = affinity learn = offline table = \"t\"")},
      {"E407", Prefetch("strategy = predictor"), Prefetch("strategy = predictor table = \"t\"")},
      {"E408", Prefetch("strategy = history + all"), Prefetch("strategy = history + affinity")},
      {"E408", Prefetch("strategy = history + history"), Prefetch("strategy = history")},
      {"E409", Prefetch("strategy = history min_confidence = 1.1"),
       Prefetch("strategy = history min_confidence = 1")},
      {"E409", Prefetch("strategy = history max_inflight = 0"),
       Prefetch("strategy = history max_inflight = 1")},
      {"E409", Prefetch("strategy = pattern store = 0"), Prefetch("strategy = pattern store = 1")},
      {"E410", Prefetch("strategy = history insert = hot budget = 13 min_confidence = 0.1"),
       Prefetch("strategy = history insert = hot budget = 12 min_confidence = 0.1"), With::kModel},
      {"E501", Schedule("mode = hybrid offload_threshold_ms = 0"),
       Schedule("mode = hybrid offload_threshold_ms = 1us")},
      {"E502", Schedule("mode = hybrid overlap = false"), Schedule("mode = hybrid overlap = true")},
      {"E503", Schedule("mode = cost cpu_ms_per_token = 0"),
       Schedule("mode = cost cpu_ms_per_token = 0.01")},
      {"E503", Schedule("mode = greedy cpu_ms_fixed = -1"),
       Schedule("mode = greedy cpu_ms_fixed = 0")},
      {"E504", Schedule("route_bias = 1"), Schedule("route_bias = 1 lossy = true")},
      {"E504", Schedule("drop_below = 0.1"), Schedule("drop_below = 0")},
      {"E504", Schedule("min_experts = 3"), Schedule("min_experts = 4"), With::kModel},
      {"E504", Schedule("defer = 1"), Schedule("defer = 1 lossy = true")},
      {"E505", Schedule("batch_threshold = 0"), Schedule("batch_threshold = 1")},
      {"E505", Schedule("waves = 0"), Schedule("waves = auto")},
      {"E505", Schedule("microbatches = 0"), Schedule("microbatches = 1")},
      {"E505", Schedule("replicate = 0"), Schedule("replicate = 1")},
      {"E505", Schedule("defer = 4 lossy = true"), Schedule("defer = 3 lossy = true"),
       With::kModel},
      {"E505",
       Policy("cache { capacity = 1 } schedule decode { batch_threshold = 4 } schedule prefill { "
              "batch_threshold = 5 }"),
       Policy("cache { capacity = 1 } schedule decode { batch_threshold = 5 } schedule prefill { "
              "batch_threshold = 5 }")},
      {"E602", Policy("cache { capacity = 16 scope = shared } per_layer { }"), PerLayer("")},
      {"E603", PerLayer("min_capacity = 5 max_capacity = 4"),
       PerLayer("min_capacity = 4 max_capacity = 4")},
      {"E603", PerLayer("min_capacity = 4 total_budget = 47"),
       PerLayer("min_capacity = 4 total_budget = 48"), With::kModel},
      {"E604", Policy("cache { capacity = 16 pin = [0..4] } per_layer { max_capacity = 4 }"),
       Policy("cache { capacity = 16 pin = [0..3] } per_layer { max_capacity = 4 }")},
      {"E605", Cache("backend = pagecache"),
       Cache("backend = pagecache eviction = none admission = never init = first")},
      {"E605",
       Cache("backend = pagecache eviction = none admission = never init = first pin = [0]"),
       Cache("backend = arena eviction = none admission = never init = first pin = [0]")},
      {"E606",
       Policy("cache { capacity = 1 } tier disk { capacity = 9GiB } tier ram { capacity = 10GiB }"),
       Policy(
           "cache { capacity = 1 } tier ram { capacity = 9GiB } tier disk { capacity = 10GiB }")},
      {"E606",
       Policy("cache { capacity = 1 } tier ram { capacity = 9GiB } tier disk { capacity = 8GiB }"),
       Policy("cache { capacity = 1 } tier ram { capacity = 9GiB } tier disk { capacity = 9GiB }")},
      {"E606",
       Policy("cache { capacity = 1 } tier ram { capacity = 1GiB bandwidth = 1 } tier disk { "
              "capacity = 1GiB bandwidth = 2 }"),
       Policy("cache { capacity = 1 } tier ram { capacity = 1GiB bandwidth = 2 } tier disk { "
              "capacity = 1GiB bandwidth = 1 }")},
      {"E701", Cache("memory_threshold = 1.1"), Cache("memory_threshold = 1")},
      {"E701", Cache("memory_threshold = 0"), Cache("memory_threshold = none")},
      {"E702", Cache("memory_threshold = 0.6"), Cache("memory_threshold = 0.7")},
      {"E702", Cache("memory_threshold = 0.6 memory_headroom = 0"),
       Cache("memory_threshold = 0.6 memory_headroom = 0.6")},
      {"E703", Cache("memory_threshold = 0.8 memory_budget_gb = 0"),
       Cache("memory_threshold = 0.8 memory_budget_gb = 0.5")},
      {"E704", Cache("expert_size_gb = 0"), Cache("expert_size_gb = 0.01")},
      {"E705", Cache("ttl = 0"), Cache("ttl = 1")},
      {"E801", Adapt("when step > 1 { cache.scope = shared }"),
       Adapt("when step > 1 { cache.ttl = 5 }")},
      {"E801", Cache("scope = layer : shared when step > 5"), Cache("ttl = 5 : 6 when step > 5")},
      {"E802", Adapt("when step > 1 { cache.ttl = lru }"),
       Adapt("when step > 1 { cache.ttl = none }")},
      {"E802", Adapt("when step > 1 { capacity = 50% }"), Adapt("when step > 1 { capacity = 15 }")},
      {"E803", Adapt("when step > 1 { capacity = 3 }", "schedule { }"),
       Adapt("when step > 1 { capacity = 4 }", "schedule { }"), With::kModel},
      {"E803", Adapt("when step > 1 { frequency_decay = 1 }"),
       Adapt("when step > 1 { frequency_decay = 0.5 }")},
      {"E803",
       Adapt("when step > 1 { eviction = none }"),
       Adapt("when step > 1 { eviction = none admission = never }"),
       With::kNoModel,
       {"E803"}},
      {"E804", Adapt("when step > 1 { trigger memory_pressure }"),
       Policy("cache { capacity = 1 memory_threshold = 0.9 } adapt { when step > 1 { trigger "
              "memory_pressure } }")},
      {"E804", Adapt("when step > 1 { rebalance uniform }"),
       Adapt("when step > 1 { rebalance uniform }", "per_layer { }")},
      {"E805", Adapt("when step > 1 for 0 steps { reset stats }"),
       Adapt("when step > 1 for 1 steps { reset stats }")},
      {"E805", Adapt("when step > 1 cooldown 0 steps { reset stats }"),
       Adapt("when step > 1 cooldown 1 steps { reset stats }")},
      {"E805", Adapt("when prefetch_waste > 0.5 { reset stats }"),
       Adapt("when prefetch_waste > 0.5 { reset stats }", "prefetch { strategy = history }")},
      {"E806",
       Adapt("when " + Repeated("(step > 1 or step < 3) and ", 5) +
             "(step > 1 or step < 3) { reset stats }"),
       Adapt("when " + Repeated("(step > 1 or step < 3) and ", 4) +
             "(step > 1 or step < 3) { reset stats }")},
      {"W901", Cache("eviction = score"),
       Policy("cache { capacity = 16 eviction = score } prefetch { strategy = score }")},
      {"W902", Policy("cache { capacity = 7 }"), Policy("cache { capacity = 8 }"), With::kModel},
      {"W903",
       Adapt("when hit_rate < 0.5 { eviction = lru } when hit_rate > 0.4 { eviction = lfu }"),
       Adapt("when hit_rate < 0.4 { eviction = lru } when hit_rate >= 0.4 { eviction = lfu }")},
      {"W903", Adapt("when hit_rate < 0.5 { eviction = lru } when step > 9 { eviction = lfu }"),
       Adapt("when hit_rate < 0.5 { eviction = lru } when step > 9 { eviction = lru }")},
      {"W904", Cache("eviction = lru frequency_decay = 0.9"),
       Cache("eviction = lfu frequency_decay = 0.9")},
      {"W904", Prefetch("budget = 3"), Prefetch("strategy = history budget = 3")},
      {"W904", Prefetch("strategy = history affinity_threshold = 0.5"),
       Prefetch("strategy = affinity affinity_threshold = 0.5")},
      {"W904", Schedule("offload_threshold_ms = 5"),
       Schedule("mode = hybrid offload_threshold_ms = 5")},
      {"W905", Cache("history = resident"), Cache("history = all")},
      {"W906", Prefetch("strategy = history budget = 5"),
       Prefetch("strategy = history budget = 5 min_confidence = 0.1"), With::kModel},
      {"W906", Prefetch("strategy = history budget = 5"), Prefetch("strategy = history budget = 4"),
       With::kModel},
  };
  return cases;
}

TEST(Rules, EachIsBrokenByOnePolicyAndJustKeptByAnother) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(std::string(c.code));
    const std::set<std::string> broken = Codes(c.breaks, c.model);
    EXPECT_TRUE(broken.contains(std::string(c.code))) << c.breaks;
    for (const std::string& code : broken) {
      EXPECT_TRUE(code == c.code || c.also.contains(code) || code[0] == 'W') << code << "\n"
                                                                             << c.breaks;
    }
    for (const std::string& code : Codes(c.keeps, c.model)) {
      EXPECT_TRUE(c.also.contains(code)) << code << "\n" << c.keeps;
    }
  }
}

TEST(Rules, AllAreTested) {
  std::set<std::string_view> tested;
  for (const Case& c : Cases()) tested.insert(c.code);
  for (const PolicyRule& rule : PolicyRules()) {
    EXPECT_TRUE(tested.contains(rule.code)) << rule.code << " " << rule.title;
  }
}

TEST(Diagnostics, FindsEverythingInOneGo) {
  const std::string source = R"(version 1.0
policy a {
    cache {
        capacity = 0
        eviction = lur
        tll = 5
        pin = [1, ]]
        frequency_decay 0.5
    }
    prefech { budget = 1 }
    schedule { mode = fast }
    adapt { when hitrate < 0.5 { eviction = lru } }
}
)";
  const CompiledFile file = CompileFile(source, "my.moe");
  std::vector<std::pair<std::string, int>> found;
  for (const Diagnostic& d : file.diagnostics.found()) {
    found.emplace_back(std::string(d.code), d.place.line);
  }
  EXPECT_EQ(found, (std::vector<std::pair<std::string, int>>{{"E301", 4},
                                                             {"E201", 5},
                                                             {"E207", 6},
                                                             {"E101", 7},
                                                             {"E101", 8},
                                                             {"E207", 10},
                                                             {"E201", 11},
                                                             {"E202", 12}}))
      << file.diagnostics.RenderAll();
  const std::string text = file.diagnostics.RenderAll();
  EXPECT_NE(text.find("my.moe:5:20: error E201: unknown eviction 'lur'\n"
                      "            eviction = lur\n"
                      "                       ^~~\n"
                      "    did you mean lru?\n"),
            std::string::npos)
      << text;
}

TEST(Diagnostics, OneBrokenValueHidesNoOther) {
  EXPECT_EQ(Codes(Policy("cache { capacity = 33 eviction = lur pin = [32] admission = nevr }"),
                  With::kModel),
            (std::set<std::string>{"E201", "E301", "E316"}));
  // But what may follow from a broken value is not said.
  EXPECT_EQ(Codes(Cache("eviction = none admission = nevr"), With::kNoModel),
            std::set<std::string>{"E201"});
}

TEST(Diagnostics, AreBounded) {
  std::string source = "policy a { cache { capacity = 1 ";
  for (int i = 0; i < 10000; ++i) source += "x" + std::to_string(i) + " = 1 ";
  const CompiledFile file = CompileFile(source + "} }", "test.moe");
  EXPECT_EQ(file.diagnostics.found().size(), Diagnostics::kMost);
  EXPECT_FALSE(CompileFile(std::string(kMostPolicyBytes + 1, ' '), "test.moe").diagnostics.ok());
}

TEST(Diagnostics, ErrorsCountBeyondManyWarnings) {
  std::string source = "version 0.7 policy a { cache { capacity = 4 } monitor { metrics = [";
  for (int i = 0; i < 300; ++i) source += "x" + std::to_string(i) + ", ";
  source += "] } schedule { mode = wrong } }";
  const CompiledFile file = CompileFile(source, "test.moe");
  EXPECT_EQ(file.diagnostics.errors(), 1U);
  EXPECT_EQ(file.diagnostics.found().size(), Diagnostics::kMost + 1);
}

TEST(Rules, OldFilesMayNameMetricsAndActionsThatDoNothing) {
  const std::string blocks =
      "policy a { cache { capacity = 4 } monitor { metrics = [gpu_temperature] } "
      "adapt { when hit_rate < 0.5 { colour = red } } }";
  EXPECT_EQ(Codes("version 0.7 " + blocks, With::kNoModel), std::set<std::string>{"W904"});
  EXPECT_EQ(Codes(blocks, With::kNoModel), (std::set<std::string>{"E202", "E207"}));
}

TEST(Rules, BeladyIsForReplays) {
  const CompileOptions replay{.use = PolicyUse::kReplay};
  EXPECT_TRUE(CompilePolicy(Cache("eviction = belady"), "test.moe", replay).ok());
}

}  // namespace
}  // namespace sluice

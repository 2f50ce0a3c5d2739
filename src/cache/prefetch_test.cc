// The contract of every predictor in prefetch/builtins.inc and of blends, and what each one claims.
#include "cache/prefetch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cache/allocation_count.h"
#include "cache/prefetch/arithmetic.h"

namespace sluice {
namespace {

// Calls with the content that they point at.
class CallMaker {
 public:
  struct Shape {
    CacheShape cache;
    int32_t top_k = 1;
    int32_t tokens = 1;  // of every third step; one otherwise
    bool weights = true;
    bool gate = true;
  };
  CallMaker(const Shape& shape, uint32_t seed) : shape_(shape), random_(seed) {}

  // The next layer's call. Valid until the one after.
  const LayerCall& Next() {
    const int32_t layers = shape_.cache.layers;
    const uint64_t step = call_.call / static_cast<uint64_t>(layers);
    const int32_t layer = static_cast<int32_t>(call_.call % static_cast<uint64_t>(layers));
    const int32_t tokens = step % 3 == 2 ? shape_.tokens : 1;
    experts_.clear();
    weights_.clear();
    demands_.clear();
    for (int32_t t = 0; t < tokens; ++t) Token(layer);
    call_ = {.layer = layer,
             .tokens = tokens,
             .top_k = shape_.top_k,
             .experts = experts_,
             .weights = weights_,
             .demands = demands_,
             .phase = tokens > 1 ? Phase::kPrefill : Phase::kDecode,
             .step = step,
             .call = call_.call};
    if (shape_.gate) {
      guess_.clear();
      for (int32_t e = 0; e < std::min(shape_.cache.experts, 2 * shape_.top_k); ++e) {
        guess_.push_back({.expert = shape_.cache.experts - 1 - e,
                          .probability = 1.0F / static_cast<float>(e + 2)});
      }
      call_.gate = {.layer = (layer + 1) % layers, .experts = guess_};
    }
    ++calls_;
    const LayerCall& made = call_;
    current_ = made;
    call_.call = calls_;
    return current_;
  }

 private:
  void Token(int32_t layer) {
    const int32_t experts = shape_.cache.experts;
    const size_t first = experts_.size();
    while (experts_.size() < first + static_cast<size_t>(shape_.top_k)) {
      // A topic that lasts for some tokens, seen alike in all layers.
      const auto spread = static_cast<int32_t>(random_() % static_cast<uint32_t>(experts));
      const auto topic = static_cast<int32_t>(calls_ / 200);
      const int32_t e = random_() % 4 != 0 ? (topic * 7 + layer + spread / 8) % experts : spread;
      if (std::find(experts_.begin() + static_cast<std::ptrdiff_t>(first), experts_.end(), e) !=
          experts_.end()) {
        continue;
      }
      experts_.push_back(e);
      if (shape_.weights) weights_.push_back(1.0F / static_cast<float>(shape_.top_k));
      const auto demand =
          std::ranges::find_if(demands_, [e](const Demand& d) { return d.expert == e; });
      if (demand == demands_.end()) {
        demands_.push_back({.expert = e, .tokens = 1});
      } else {
        ++demand->tokens;
      }
    }
  }

  const Shape shape_;
  std::mt19937 random_;
  std::vector<int32_t> experts_;
  std::vector<float> weights_;
  std::vector<Demand> demands_;
  std::vector<Likely> guess_;
  uint64_t calls_ = 0;
  LayerCall call_;
  LayerCall current_;
};

// Every strategy alone, and blends.
std::vector<std::vector<std::string>> AllLists() {
  std::vector<std::vector<std::string>> lists;
  for (const std::string_view name : PredictorNames()) lists.push_back({std::string(name)});
  std::vector<std::string> everything;
  for (const std::string_view name : PredictorNames()) {
    if (Blendable(name)) everything.emplace_back(name);
  }
  lists.push_back(everything);
  lists.push_back({"learned", "similar"});
  lists.push_back({"affinity", "history"});
  return lists;
}

std::string Name(const std::vector<std::string>& list) {
  std::string name;
  for (const std::string& part : list) name += (name.empty() ? "" : "+") + part;
  return name;
}

PrefetchSpec SpecOf(const std::vector<std::string>& list) {
  PrefetchSpec spec;
  spec.strategies = list;
  spec.store = 50;  // full soon
  spec.history_window = 20;
  spec.affinity_threshold = 0;
  return spec;
}

constexpr std::string_view kTable =
    "sluice-table 1 3 12\n"
    "# what follows what\n"
    "follow 1 0 5 0.75\n"
    "bias 2 4 -1.5\n"
    "weight 2 1 3 4 2.5\n"
    "weight 0 2 3 4 0.5\n";

struct Probabilities {
  std::vector<float> values;
  friend bool operator==(const Probabilities&, const Probabilities&) = default;
};

// What a predictor says in `calls` calls of distances 1, 2 and 5, which wrap.
Probabilities SaidBy(Predictor* predictor, const CallMaker::Shape& shape, int calls) {
  CallMaker maker(shape, 5);
  Probabilities said;
  std::vector<float> probability(static_cast<size_t>(shape.cache.experts));
  for (int i = 0; i < calls; ++i) {
    const LayerCall& call = maker.Next();
    predictor->Observe(call);
    for (const int32_t distance : {1, 2, 5}) {
      std::ranges::fill(probability, std::nanf(""));
      predictor->Predict(call, (call.layer + distance) % shape.cache.layers, distance, probability);
      said.values.insert(said.values.end(), probability.begin(), probability.end());
    }
  }
  return said;
}

TEST(PredictorContractTest, ProbabilitiesAreInRangeRepeatableAndForgotten) {
  for (const CallMaker::Shape& shape :
       {CallMaker::Shape{.cache = {.layers = 3, .experts = 12}, .top_k = 2, .tokens = 20},
        CallMaker::Shape{
            .cache = {.layers = 3, .experts = 12}, .top_k = 2, .weights = false, .gate = false},
        CallMaker::Shape{.cache = {.layers = 2, .experts = 9}, .top_k = 9, .tokens = 3},
        CallMaker::Shape{.cache = {.layers = 1, .experts = 1}, .top_k = 1, .tokens = 600},
        CallMaker::Shape{.cache = {.layers = 4, .experts = 130}, .top_k = 20}}) {
    for (const std::vector<std::string>& list : AllLists()) {
      SCOPED_TRACE(Name(list) + " of " + std::to_string(shape.cache.experts));
      for (const PatternKey key : {PatternKey::kTrajectory, PatternKey::kSequence}) {
        PrefetchSpec spec = SpecOf(list);
        spec.key = key;
        const CacheSpec cache;
        const PredictorSetup setup{.shape = shape.cache,
                                   .top_k = shape.top_k,
                                   .prefetch = &spec,
                                   .cache = &cache,
                                   .table = kTable};
        const auto a = NewPredictor(std::span(list), setup);
        const auto b = NewPredictor(std::span(list), setup);
        const Probabilities said = SaidBy(a.get(), shape, 600);
        for (const float p : said.values) {
          ASSERT_GE(p, 0);  // and so no NaN
          ASSERT_LE(p, 1);
        }
        EXPECT_EQ(said, SaidBy(b.get(), shape, 600));
        a->Reset();
        EXPECT_EQ(said, SaidBy(a.get(), shape, 600)) << "after Reset";
      }
    }
  }
}

TEST(PredictorContractTest, AllocatesNothingOnceWarm) {
  const CallMaker::Shape shape{.cache = {.layers = 3, .experts = 12}, .top_k = 2, .tokens = 20};
  for (const std::vector<std::string>& list : AllLists()) {
    const PrefetchSpec spec = SpecOf(list);
    const CacheSpec cache;
    const auto predictor = NewPredictor(std::span(list), {.shape = shape.cache,
                                                          .top_k = shape.top_k,
                                                          .prefetch = &spec,
                                                          .cache = &cache,
                                                          .table = kTable});
    std::vector<float> probability(12);
    CallMaker maker(shape, 6);
    for (int i = 0; i < 600; ++i) {
      const LayerCall& call = maker.Next();
      const int64_t before = AllocationCount();
      predictor->Observe(call);
      predictor->Predict(call, (call.layer + 1) % 3, 1, probability);
      predictor->Predict(call, (call.layer + 2) % 3, 2, probability);
      if (i >= 9) {
        ASSERT_EQ(AllocationCount(), before) << Name(list) << ", call " << i;
      }
    }
  }
}

// 48 layers of 512 experts, 10 chosen: the largest models there are.
TEST(PredictorContractTest, LargeModelsTakeBoundedMemory) {
  const CacheShape shape{.layers = 48, .experts = 512};
  for (const std::string_view name : PredictorNames()) {
    PrefetchSpec spec;
    spec.store = 1 << 20;
    const CacheSpec cache;
    const int64_t before = AllocatedBytes();
    const auto predictor =
        NewPredictor(name, {.shape = shape, .top_k = 10, .prefetch = &spec, .cache = &cache});
    EXPECT_LT(AllocatedBytes() - before, int64_t{64} << 20) << name;
    RecordProperty(std::string(name), std::to_string(AllocatedBytes() - before));
  }
}

// Of the experts for which a blend says p, a share of p is chosen. The routing: each layer repeats
// the previous layer's choice shifted by one with probability 0.7, and draws anew otherwise.
TEST(BlendTest, IsCalibrated) {
  const CacheShape shape{.layers = 4, .experts = 32};
  const std::vector<std::string> list = {"learned", "similar"};
  const PrefetchSpec spec = SpecOf(list);
  const CacheSpec cache;
  const auto blend = NewPredictor(std::span(list),
                                  {.shape = shape, .top_k = 2, .prefetch = &spec, .cache = &cache});
  std::mt19937 random(3);
  std::vector<float> said(32);
  std::vector<int32_t> chosen = {0, 1};
  int64_t likely = 0;
  int64_t came_true = 0;
  double expected = 0;
  for (uint64_t i = 0; i < 40000; ++i) {
    std::vector<int32_t> next;
    for (const int32_t e : chosen) {
      if (random() % 10 < 7) next.push_back((e + 1) % 32);
    }
    while (next.size() < 2) {
      const auto e = static_cast<int32_t>(random() % 32);
      if (std::ranges::find(next, e) == next.end()) next.push_back(e);
    }
    chosen = next;
    for (size_t e = 0; i > 20000 && e < said.size(); ++e) {
      if (said[e] < 0.5F) continue;
      ++likely;
      expected += said[e];
      came_true += std::ranges::count(chosen, static_cast<int32_t>(e));
    }
    const std::vector<Demand> demands = {{.expert = chosen[0], .tokens = 1},
                                         {.expert = chosen[1], .tokens = 1}};
    const auto layer = static_cast<int32_t>(i % 4);
    const LayerCall call{.layer = layer,
                         .tokens = 1,
                         .top_k = 2,
                         .experts = chosen,
                         .demands = demands,
                         .step = i / 4,
                         .call = i};
    blend->Observe(call);
    blend->Predict(call, (layer + 1) % 4, 1, said);
  }
  // Two shifted experts per call are worth 0.7 and a bit each.
  EXPECT_GT(likely, 30000);
  EXPECT_NEAR(static_cast<double>(came_true) / static_cast<double>(likely),
              expected / static_cast<double>(likely), 0.02);
  EXPECT_NEAR(static_cast<double>(came_true) / static_cast<double>(likely), 0.71, 0.02);
}

// The gate's first guess is always right, its second never: it is believed accordingly.
TEST(GateTest, LearnsHowFarToTrust) {
  const CacheShape shape{.layers = 2, .experts = 16};
  const std::vector<std::string> list = {"gate"};
  const PrefetchSpec spec = SpecOf(list);
  const CacheSpec cache;
  const auto gate =
      NewPredictor("gate", {.shape = shape, .top_k = 1, .prefetch = &spec, .cache = &cache});
  std::mt19937 random(3);
  std::vector<float> said(16);
  int32_t next = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const std::vector<int32_t> chosen = {next};
    const std::vector<Demand> demands = {{.expert = next, .tokens = 1}};
    next = static_cast<int32_t>(random() % 16);
    const std::vector<Likely> guess = {{.expert = next, .probability = 0.4F},
                                       {.expert = (next + 1) % 16, .probability = 0.4F}};
    const auto layer = static_cast<int32_t>(i % 2);
    LayerCall call{.layer = layer,
                   .tokens = 1,
                   .top_k = 1,
                   .experts = chosen,
                   .demands = demands,
                   .step = i / 2,
                   .call = i};
    call.gate = {.layer = 1 - layer, .experts = guess};
    gate->Observe(call);
    gate->Predict(call, 1 - layer, 1, said);
  }
  EXPECT_GT(said[static_cast<size_t>(next)], 0.95F);
  EXPECT_LT(said[static_cast<size_t>(next + 1) % 16], 0.05F);
  EXPECT_LT(said[static_cast<size_t>(next + 2) % 16], 0.02F);
}

TEST(PredictorTableTest, SaysWhereItIsWrong) {
  const CacheShape shape{.layers = 3, .experts = 12};
  EXPECT_TRUE(CheckPredictorTable(kTable, shape).ok());
  EXPECT_TRUE(CheckPredictorTable("", shape).ok());
  const auto message = [shape](std::string_view text) {
    return CheckPredictorTable(text, shape).message();
  };
  EXPECT_EQ(message("layer,from,to"), "line 1: line 1 should be 'sluice-table 1 LAYERS EXPERTS'");
  EXPECT_EQ(message("sluice-table 1 4 12\n"),
            "line 1: the table is for 4 layers of 12 experts, the model has 3 of 12");
  EXPECT_EQ(message("sluice-table 1 3 12\n\nfollow 3 0 0 1\n"), "line 3: '3' is no layer in 0..2");
  EXPECT_EQ(message("sluice-table 1 3 12\nfollow 1 0 0 1.5\n"),
            "line 2: '1.5' is no probability in 0..1");
  EXPECT_EQ(message("sluice-table 1 3 12\nbias 1 0 nan\n"),
            "line 2: 'nan' is no log-odds in -100..100");
  EXPECT_NE(message("sluice-table 1 3 12\nweight 1 0 0 1 1 1 1\n"), "");
}

// With `learn = off` a table's numbers are what is said.
TEST(PredictorTableTest, IsTheModelThatItSays) {
  PrefetchSpec spec;
  spec.learn = Learn::kOff;
  const CacheSpec cache;
  const CacheShape shape{.layers = 3, .experts = 12};
  const auto predictor = NewPredictor(
      "predictor",
      {.shape = shape, .top_k = 2, .prefetch = &spec, .cache = &cache, .table = kTable});
  const std::vector<int32_t> chosen = {3, 7};
  const std::vector<Demand> demands = {{.expert = 3, .tokens = 1}, {.expert = 7, .tokens = 1}};
  const LayerCall call{.layer = 1, .tokens = 1, .top_k = 2, .experts = chosen, .demands = demands};
  predictor->Observe(call);
  std::vector<float> said(12);
  predictor->Predict(call, 2, 1, said);
  EXPECT_NEAR(said[4], 1 / (1 + std::exp(-1.0)), 1e-6);  // -1.5 + 2.5
  EXPECT_NEAR(said[5], 0.5, 1e-6);
  predictor->Predict(call, 0, 2, said);
  EXPECT_NEAR(said[4], 1 / (1 + std::exp(-0.5)), 1e-6);
}

TEST(ArithmeticTest, AgreesWithTheLibrary) {
  for (float x = 1e-6F; x < 1e6F; x *= 1.03F) {
    EXPECT_NEAR(Log(x), std::log(static_cast<double>(x)), 2e-6) << x;
  }
  for (float x = -60; x < 60; x += 0.173F) {
    EXPECT_NEAR(Exp(x) / std::exp(static_cast<double>(x)), 1, 2e-6) << x;
  }
  EXPECT_EQ(Exp(-1000.0F), Exp(-80.0F));
  EXPECT_NEAR(Logit(0.0F), std::log(1e-5), 1e-3);
  EXPECT_NEAR(Logit(1.0F), -std::log(1e-5), 0.01);
}

}  // namespace
}  // namespace sluice

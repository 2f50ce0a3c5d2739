#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace sluice {
namespace {

const std::vector<float> kLogits = {1.0F, 3.0F, 2.0F, 3.0F, -1.0F};

std::map<int32_t, int> Draw(SamplingParams params, int times) {
  SamplingScratch scratch;
  Sampler sampler(params, &scratch);
  std::map<int32_t, int> counts;
  for (int i = 0; i < times; ++i) ++counts[sampler.Sample(kLogits, {})];
  return counts;
}

TEST(SamplerTest, GreedyTakesTheLikeliestAndTheLowerIdOnTies) {
  SamplingScratch scratch;
  Sampler sampler({}, &scratch);
  EXPECT_EQ(sampler.Sample(kLogits, {}), 1);
  const std::vector<float> nan = {NAN, NAN, 1.0F};
  EXPECT_EQ(sampler.Sample(nan, {}), 2);
  const std::vector<float> all_nan = {NAN, NAN};
  EXPECT_GE(sampler.Sample(all_nan, {}), 0);
}

TEST(SamplerTest, FrequenciesFollowTheSoftmax) {
  constexpr int kTimes = 200000;
  const auto counts = Draw({.temperature = 0.7F, .seed = 5}, kTimes);
  double total = 0;
  for (const float logit : kLogits) total += std::exp(logit / 0.7);
  for (size_t i = 0; i < kLogits.size(); ++i) {
    const double expected = std::exp(kLogits[i] / 0.7) / total;
    const auto found = counts.find(static_cast<int32_t>(i));
    const double actual = found == counts.end() ? 0 : static_cast<double>(found->second) / kTimes;
    EXPECT_NEAR(actual, expected, 5 * std::sqrt(expected / kTimes) + 1e-5);
  }
}

TEST(SamplerTest, FiltersKeepWhatTheySay) {
  EXPECT_EQ(Draw({.temperature = 5, .top_k = 1}, 100).size(), 1U);
  const auto top_three = Draw({.temperature = 5, .top_k = 3}, 2000);
  EXPECT_EQ(top_three.size(), 3U);
  EXPECT_TRUE(top_three.contains(1) && top_three.contains(2) && top_three.contains(3));
  // The two likeliest have 0.40 each: 0.5 needs both.
  EXPECT_EQ(Draw({.temperature = 5, .top_p = 0.5F}, 2000).size(), 2U);
  EXPECT_EQ(Draw({.temperature = 5, .top_p = 0.01F}, 2000).size(), 1U);
  // e^-1 = 0.37 of the likeliest stays, e^-2 = 0.14 goes.
  EXPECT_EQ(Draw({.temperature = 5, .min_p = 0.3F}, 2000).size(), 3U);
}

TEST(SamplerTest, PenaltiesWeakenWhatWasSeen) {
  const std::vector<int32_t> history = {4, 1, 3, 3};
  SamplingScratch scratch;
  const auto sample = [&](const SamplingParams& params) {
    return Sampler(params, &scratch).Sample(kLogits, history);
  };
  EXPECT_EQ(sample({.repetition_penalty = 2}), 2);
  EXPECT_EQ(sample({.frequency_penalty = 0.6F}), 1);  // 2.4, 2.0, 1.8
  EXPECT_EQ(sample({.presence_penalty = 1.5F}), 2);
  EXPECT_EQ(sample({.presence_penalty = 1.5F, .penalty_last_n = 2}), 1);
  EXPECT_EQ(sample({.presence_penalty = 1.5F, .penalty_last_n = 0}), 1);
}

TEST(SamplerTest, SeedsRepeat) {
  SamplingScratch scratch;
  Sampler a({.temperature = 1, .seed = 9}, &scratch);
  Sampler b({.temperature = 1, .seed = 9}, &scratch);
  Sampler c({.temperature = 1, .seed = 10}, &scratch);
  int different = 0;
  for (int i = 0; i < 200; ++i) {
    const int32_t token = a.Sample(kLogits, {});
    EXPECT_EQ(token, b.Sample(kLogits, {}));
    different += token != c.Sample(kLogits, {}) ? 1 : 0;
  }
  EXPECT_GT(different, 20);
}

TEST(SamplerTest, NonsenseIsRefusedByName) {
  for (const SamplingParams& params :
       {SamplingParams{.temperature = -1}, SamplingParams{.temperature = NAN},
        SamplingParams{.top_k = -1}, SamplingParams{.top_p = 0}, SamplingParams{.top_p = 1.5F},
        SamplingParams{.min_p = -0.1F}, SamplingParams{.repetition_penalty = 0},
        SamplingParams{.presence_penalty = 1e9F}, SamplingParams{.frequency_penalty = INFINITY},
        SamplingParams{.penalty_last_n = -2}}) {
    EXPECT_EQ(CheckSamplingParams(params).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(CheckSamplingParams({}).ok());
}

}  // namespace
}  // namespace sluice

#include "plan/memory_plan.h"

#include <gtest/gtest.h>

#include "model/embedded_model.h"

namespace sluice {
namespace {

constexpr uint64_t kMiB = 1U << 20;

class MemoryPlanTest : public ::testing::Test {
 protected:
  MemoryRequest Request(uint64_t budget) const {
    return {.budget_bytes = budget, .process_bytes = 5 * kMiB, .kv_tokens = 512};
  }

  ThreadPool pool_{1};
  std::unique_ptr<Device> device_ = CreateDevice("auto", &pool_).value();
  Model model_ = OpenEmbeddedModel().value();
};

TEST_F(MemoryPlanTest, NeverUsesMoreThanTheBudget) {
  int64_t last = 0;
  for (uint64_t budget = 15 * kMiB; budget < 60 * kMiB; budget += kMiB / 3) {
    const auto plan = PlanMemory(model_, *device_, Request(budget));
    if (!plan.ok()) {
      EXPECT_EQ(last, 0);
      continue;
    }
    EXPECT_LE(plan->used_bytes(), budget);
    EXPECT_GE(plan->slots, 1);
    EXPECT_LE(plan->slots, plan->all_slots);
    last = plan->slots;
  }
  EXPECT_EQ(last, 192);
}

TEST_F(MemoryPlanTest, TheMinimumItNamesWorksAndLessDoesNot) {
  const auto roomy = PlanMemory(model_, *device_, Request(1024 * kMiB));
  ASSERT_TRUE(roomy.ok());
  EXPECT_EQ(roomy->slots, roomy->all_slots);
  MemoryRequest least = Request(0);
  least.prefill_chunk = 16;
  const auto refused = PlanMemory(model_, *device_, least);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  least.budget_bytes = 1024 * kMiB;
  const uint64_t minimum = PlanMemory(model_, *device_, least)->minimum_bytes();
  least.budget_bytes = minimum;
  EXPECT_EQ(PlanMemory(model_, *device_, least)->slots, 1);
  least.budget_bytes = minimum - 1;
  EXPECT_FALSE(PlanMemory(model_, *device_, least).ok());
}

TEST_F(MemoryPlanTest, ContextCostsWhatItsKeysAndValuesTake) {
  MemoryRequest request = Request(1024 * kMiB);
  request.kv_tokens = 100;
  // Two pages of 64 tokens, 6 layers, keys and values, 2 heads of 32, 2 bytes each.
  EXPECT_EQ(PlanMemory(model_, *device_, request)->kv_bytes, 2U * 64 * 6 * 2 * 2 * 32 * 2);
  request.kv_format = KvFormat::kQ8_0;
  EXPECT_EQ(PlanMemory(model_, *device_, request)->kv_bytes, 2U * 64 * 6 * 2 * 2 * 34);
}

TEST(ParseBudgetTest, ReadsBytesSharesAndAuto) {
  const MemoryState state{.total_bytes = 1000, .available_bytes = 400};
  EXPECT_EQ(*ParseBudget("2KiB", state), 2048U);
  EXPECT_EQ(*ParseBudget("50%", state), 500U);
  EXPECT_EQ(*ParseBudget("auto", state), 380U);
  for (const char* text : {"", "%", "0%", "101%", "x%", "-5", "many"}) {
    EXPECT_FALSE(ParseBudget(text, state).ok()) << text;
  }
}

}  // namespace
}  // namespace sluice

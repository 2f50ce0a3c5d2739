#include "sluice/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice {
namespace {

Result<int> Half(int x) {
  if (x % 2 != 0) return InvalidArgumentError("odd");
  return x / 2;
}

Status Quarter(int x, int* out) {
  SLUICE_TRY_ASSIGN(const int half, Half(x));
  SLUICE_TRY_ASSIGN(*out, Half(half));
  return {};
}

TEST(StatusTest, TryAssignPassesValuesAndStopsAtTheFirstFailure) {
  int out = 0;
  EXPECT_TRUE(Quarter(12, &out).ok());
  EXPECT_EQ(out, 3);
  EXPECT_EQ(Quarter(6, &out).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(out, 3);
}

TEST(StatusTest, AnnotateAddsContextToFailuresOnly) {
  EXPECT_EQ(NotFoundError("blk.3").Annotate("m.gguf").message(), "m.gguf: blk.3");
  EXPECT_EQ(NotFoundError("blk.3").Annotate("m.gguf").code(), StatusCode::kNotFound);
  EXPECT_TRUE(Status().Annotate("m.gguf").ok());
}

TEST(StatusTest, ResultHoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  ASSERT_TRUE(result.ok());
  std::unique_ptr<int> moved = std::move(result).value();
  EXPECT_EQ(*moved, 5);
}

TEST(StatusDeathTest, ReadingAFailedResultAborts) {
  Result<int> failed = Half(3);
  EXPECT_DEATH((void)failed.value(), "");
}

}  // namespace
}  // namespace sluice

#include "base/byte_size.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ByteSizeTest, ReadsWhatPeopleWrite) {
  EXPECT_EQ(*ParseByteSize("4096"), 4096U);
  EXPECT_EQ(*ParseByteSize("6GiB"), uint64_t{6} << 30);
  EXPECT_EQ(*ParseByteSize("6g"), uint64_t{6} << 30);
  EXPECT_EQ(*ParseByteSize("1.5 MiB"), uint64_t{3} << 19);
  EXPECT_EQ(*ParseByteSize("2GB"), 2000000000U);
}

TEST(ByteSizeTest, RefusesTheRestAndSaysHow) {
  for (const char* text : {"", "GiB", "-1", "1x", "1e300", "nan", "12 parsecs"}) {
    const auto result = ParseByteSize(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_NE(result.status().message().find("6GiB"), std::string::npos);
  }
}

TEST(ByteSizeTest, FormatsForPeople) {
  EXPECT_EQ(FormatByteSize(17), "17 B");
  EXPECT_EQ(FormatByteSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatByteSize(uint64_t{3} << 29), "1.50 GiB");
}

}  // namespace
}  // namespace sluice

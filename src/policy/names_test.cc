#include "policy/names.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice {
namespace {

TEST(Names, DistanceCountsSlipsOfTheFinger) {
  // Wikipedia's examples of Levenshtein and optimal string alignment distance.
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3U);
  EXPECT_EQ(EditDistance("ca", "abc"), 3U);
  EXPECT_EQ(EditDistance("lur", "lru"), 1U);
  EXPECT_EQ(EditDistance("", "abc"), 3U);
  EXPECT_EQ(EditDistance("same", "same"), 0U);
}

TEST(Names, OffersWhatIsNear) {
  constexpr std::array<std::string_view, 4> kKnown = {"lru", "lfu", "capacity", "prefetch_waste"};
  EXPECT_EQ(NearestName("capcity", kKnown), "capacity");
  EXPECT_EQ(NearestName("prefetchwaste", kKnown), "prefetch_waste");
  EXPECT_EQ(NearestName("zebra", kKnown), "");
  EXPECT_EQ(NearestName("x", kKnown), "");
  EXPECT_EQ(SuggestName("lur", kKnown), "did you mean lru?");
  EXPECT_EQ(SuggestName("zebra", kKnown), "known: lru, lfu, capacity, prefetch_waste");
}

}  // namespace
}  // namespace sluice

#include "policy/editor_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

// What UTF-16 makes of each text is counted by hand from the Unicode tables.
TEST(EditorText, CountsUtf16Units) {
  // a; e with acute: 2 bytes, 1 unit; euro: 3 bytes, 1 unit; grinning face: 4 bytes, 2 units; z
  const EditorText text("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z");
  const std::vector<size_t> bytes = {0, 1, 3, 6, 10, 11};
  const std::vector<uint32_t> units = {0, 1, 2, 3, 5, 6};
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(text.PositionAt(bytes[i]), (EditorPosition{0, units[i]})) << i;
    EXPECT_EQ(text.OffsetAt({0, units[i]}), bytes[i]) << i;
  }
  EXPECT_EQ(text.OffsetAt({0, 4}), 6U);  // between the halves of the pair
  EXPECT_EQ(text.PositionAt(8).character, 3U);
}

TEST(EditorText, KnowsAllLineEnds) {
  const EditorText text("ab\ncd\r\n\r\nef\rgh\n");
  EXPECT_EQ(text.OffsetAt({1, 0}), 3U);
  EXPECT_EQ(text.OffsetAt({2, 0}), 7U);
  EXPECT_EQ(text.OffsetAt({3, 0}), 9U);
  EXPECT_EQ(text.OffsetAt({4, 1}), 13U);
  EXPECT_EQ(text.PositionAt(15), (EditorPosition{5, 0}));
  EXPECT_EQ(text.PositionAt(6), (EditorPosition{1, 2}));  // between CR and LF
}

TEST(EditorText, StaysInsideWhateverIsAsked) {
  const EditorText text("ab\r\ncd");
  EXPECT_EQ(text.OffsetAt({0, 99}), 2U);
  EXPECT_EQ(text.OffsetAt({1, UINT32_MAX}), 6U);
  EXPECT_EQ(text.OffsetAt({UINT32_MAX, 0}), 6U);
  EXPECT_EQ(text.PositionAt(1000), (EditorPosition{1, 2}));
  EXPECT_EQ(EditorText("").OffsetAt({0, 5}), 0U);
  EXPECT_EQ(EditorText("").PositionAt(0), (EditorPosition{0, 0}));
  // Bytes that are no UTF-8: a lead without its rest.
  const EditorText broken("\xF0\nx");
  EXPECT_EQ(broken.OffsetAt({0, 9}), 1U);
  EXPECT_EQ(broken.PositionAt(2), (EditorPosition{1, 0}));
}

}  // namespace
}  // namespace sluice

#include "tokenizer/charsmap.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

void AppendUnit(uint32_t unit, std::string* bytes) {
  for (int shift = 0; shift < 32; shift += 8) bytes->push_back(static_cast<char>(unit >> shift));
}

// A table as the format defines it, with 256 units for the children of each node: roomy, and right.
class TableBuilder {
 public:
  TableBuilder() : units_(512) { units_[0] = 256U << 10; }

  TableBuilder& Add(const std::string& key, const std::string& replacement) {
    uint32_t at = 0;  // a node; its children start at
    uint32_t children = 256;
    for (const char c : key) {
      at = children ^ static_cast<uint8_t>(c);
      if (units_[at] == 0) {
        const auto block = static_cast<uint32_t>(units_.size());
        units_.resize(units_.size() + 256);
        units_[at] = ((at ^ block) << 10) | static_cast<uint8_t>(c);
      }
      children = at ^ (units_[at] >> 10);
    }
    units_[at] |= 1U << 8;
    units_[children] = (1U << 31) | static_cast<uint32_t>(replacements_.size());
    replacements_ += replacement + '\0';
    return *this;
  }

  std::string Bytes() const {
    std::string bytes;
    AppendUnit(static_cast<uint32_t>(units_.size() * 4), &bytes);
    for (const uint32_t unit : units_) AppendUnit(unit, &bytes);
    return bytes + replacements_;
  }

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

std::string SmallTable() {
  return TableBuilder().Add("a", "x").Add("abc", "long").Add("\u00A0", " ").Add("b", "").Bytes();
}

TEST(CharsmapTest, FindsLongestAndShortest) {
  const Result<Charsmap> table = Charsmap::Create(SmallTable());
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->Longest("abcd").bytes, 3U);
  EXPECT_EQ(table->Longest("abcd").replacement, "long");
  EXPECT_EQ(table->Longest("abd").replacement, "x");
  EXPECT_EQ(table->Shortest("abcd").bytes, 1U);
  EXPECT_EQ(table->Shortest("abcd").replacement, "x");
  EXPECT_EQ(table->Longest("\u00A0a").bytes, 2U);
  EXPECT_EQ(table->Longest("b").bytes, 1U);
  EXPECT_EQ(table->Longest("b").replacement, "");
  for (const char* other : {"", "c", "\xC2", "\xFF"}) EXPECT_EQ(table->Longest(other).bytes, 0U);
  EXPECT_EQ(table->longest_replacement(), 4U);
}

TEST(CharsmapTest, RefusesDamage) {
  const std::string whole = SmallTable();
  EXPECT_FALSE(Charsmap::Create("").ok());
  EXPECT_FALSE(Charsmap::Create(whole.substr(0, 3)).ok());
  EXPECT_FALSE(Charsmap::Create(whole.substr(0, whole.size() / 2)).ok());
  EXPECT_FALSE(Charsmap::Create(whole.substr(0, whole.size() - 1)).ok());
  std::string odd = whole;
  odd[0] = 3;
  EXPECT_FALSE(Charsmap::Create(odd).ok());
  const std::string behind = TableBuilder().Add("a", "x").Bytes();
  EXPECT_FALSE(Charsmap::Create(behind.substr(0, behind.size() - 2)).ok());
}

TEST(CharsmapTest, ADamagedTrieLeadsNowhere) {
  std::mt19937 random(3);
  const std::string whole = SmallTable();
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole;
    for (int hit = 0; hit < 20; ++hit) damaged[4 + random() % (whole.size() - 4)] ^= random() % 256;
    const Result<Charsmap> table = Charsmap::Create(damaged);
    if (!table.ok()) continue;
    for (const char* text : {"abcabc", "bbbb", "\u00A0\u00A0"}) {
      EXPECT_LE(table->Longest(text).bytes, std::string(text).size());
    }
  }
}

TEST(Base64Test, ReadsWhatTheStandardGives) {  // RFC 4648, chapter 10
  const std::vector<std::pair<const char*, const char*>> vectors{
      {"", ""},           {"Zg==", "f"},         {"Zm8=", "fo"},         {"Zm9v", "foo"},
      {"Zm9vYg", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}, {"+/8=", "\xFB\xFF"}};
  for (const auto& [spelt, bytes] : vectors) {
    const Result<std::string> read = DecodeBase64(spelt);
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, bytes);
  }
  for (const char* bad : {"Zm9v!", "Zm 9v", "\xFF", "=a"}) EXPECT_FALSE(DecodeBase64(bad).ok());
}

}  // namespace
}  // namespace sluice

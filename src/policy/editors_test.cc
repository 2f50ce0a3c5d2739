// editors/moe.tmLanguage.json knows the words that the lists have, all of them and no others.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "policy/assist.h"
#include "policy/parameters.h"
#include "policy/syntax.h"

namespace sluice {
namespace {

constexpr const char* kGrammar = "editors/moe.tmLanguage.json";

class Grammar : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(kGrammar);
    text_ = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    ASSERT_FALSE(text_.empty()) << kGrammar;
  }
  void ExpectGroup(const std::set<std::string_view>& words) const {
    const std::string group = fmt::format("(?:{})", fmt::join(words, "|"));
    EXPECT_NE(text_.find(group), std::string::npos) << kGrammar << " does not have\n" << group;
  }

 private:
  std::string text_;
};

std::set<std::string_view> KeywordsOf(const std::set<KeywordRole>& roles) {
  std::set<std::string_view> words;
  for (const Keyword& keyword : Keywords()) {
    if (roles.contains(keyword.role)) words.insert(keyword.name);
  }
  return words;
}

std::set<std::string_view> MetricSet() {
  std::set<std::string_view> words;
  for (const MetricName& metric : Metrics()) words.insert(metric.name);
  return words;
}

TEST_F(Grammar, HasTheKeywords) {
  ExpectGroup(KeywordsOf({KeywordRole::kFile, KeywordRole::kExtends, KeywordRole::kWhen,
                          KeywordRole::kJoin, KeywordRole::kSpan, KeywordRole::kAction}));
  ExpectGroup(KeywordsOf({KeywordRole::kBlock}));
  ExpectGroup(KeywordsOf({KeywordRole::kPhase}));
}

TEST_F(Grammar, HasTheParametersAndMetrics) {
  std::set<std::string_view> parameters;
  for (const Parameter& parameter : Parameters()) parameters.insert(parameter.name);
  ExpectGroup(parameters);
  ExpectGroup(MetricSet());
}

TEST_F(Grammar, HasTheValues) {
  std::set<std::string_view> values = KeywordsOf({KeywordRole::kTriggered, KeywordRole::kReset});
  for (const Parameter& parameter : Parameters()) {
    for (const NamedNumber& word : parameter.type.words) values.insert(word.name);
  }
  for (const std::string_view name : EvictionNames()) values.insert(name);
  for (const std::string_view name : StrategyNames()) values.insert(name);
  for (const std::string_view name : TierNames()) values.insert(name);
  for (const std::string_view name : {"auto", "idle", "true", "false"}) values.insert(name);
  ExpectGroup(values);
}

TEST_F(Grammar, HasTheUnits) {
  std::set<std::string_view> units(UnitNames().begin(), UnitNames().end());
  ExpectGroup(units);
}

}  // namespace
}  // namespace sluice

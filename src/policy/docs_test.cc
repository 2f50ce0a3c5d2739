// docs/policy-language.md has the tables that the lists make, and an entry for every rule.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "policy/diagnostics.h"
#include "policy/parameters.h"

namespace sluice {
namespace {

constexpr const char* kDocument = "docs/policy-language.md";

std::string ReadDocs() {
  std::ifstream file(kDocument);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// In a table '|' divides cells.
std::string Cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.insert(at, "\\");
  }
  return text;
}

std::string ParameterTable(BlockKind block) {
  std::string table =
      "| parameter | value | default | adapt | meaning |\n| --- | --- | --- | --- | --- |\n";
  for (const Parameter& parameter : Parameters()) {
    if (parameter.block != block) continue;
    table += fmt::format("| `{}` | {} | {} | {} | {} |\n", parameter.name,
                         Cell(TypeText(parameter)), DefaultText(parameter),
                         parameter.change ? "yes" : "", Cell(std::string(parameter.help)));
  }
  return table;
}

std::string MetricTable() {
  std::string table = "| metric | unit | meaning |\n| --- | --- | --- |\n";
  for (const MetricName& metric : Metrics()) {
    std::string_view unit = "number";
    if (metric.unit == Unit::kShare) unit = "share or %";
    if (metric.unit == Unit::kMilliseconds) unit = "ms";
    if (metric.unit == Unit::kBytes) unit = "bytes";
    table += fmt::format("| `{}` | {} | {} |\n", metric.name, unit, metric.help);
  }
  return table;
}

TEST(Docs, HaveTheTablesOfTheLists) {
  const std::string docs = ReadDocs();
  ASSERT_FALSE(docs.empty()) << kDocument;
  for (int i = 0; i < kBlockKinds; ++i) {
    const std::string table = ParameterTable(static_cast<BlockKind>(i));
    EXPECT_NE(docs.find(table), std::string::npos) << kDocument << " does not have this table:\n"
                                                   << table;
  }
  EXPECT_NE(docs.find(MetricTable()), std::string::npos)
      << kDocument << " does not have this table:\n"
      << MetricTable();
}

TEST(Docs, HaveAnEntryForEveryRule) {
  const std::string docs = ReadDocs();
  for (const PolicyRule& rule : PolicyRules()) {
    EXPECT_NE(docs.find(fmt::format("| {} | {} |", rule.code, rule.title)), std::string::npos)
        << rule.code << " " << rule.title;
  }
}

}  // namespace
}  // namespace sluice

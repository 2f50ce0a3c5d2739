// Renders what Transformers' Jinja environment rendered (tests/golden/make_template_cases.py):
// every construct of the language, and templates in the manner of the published ones.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "template/template.h"

namespace sluice::jinja {
namespace {

using Json = nlohmann::ordered_json;

Result<std::string> RenderJson(const std::string& source, const Json& context) {
  SLUICE_TRY_ASSIGN(const ChatTemplate parsed, ChatTemplate::Parse(source));
  SLUICE_TRY_ASSIGN(const Value values, ValueFromJson(context.dump(), Author::kPerson));
  SLUICE_TRY_ASSIGN(RenderedText rendered, parsed.Render(*values.dict(), {}));
  return std::move(rendered.text);
}

TEST(TemplateGoldenTest, EveryCaseIsAsTransformersRendersIt) {
  std::ifstream file("tests/golden/templates.json");
  const Json golden = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(golden.is_object());
  ASSERT_GT(golden["cases"].size(), 300U);
  for (const Json& line : golden["cases"]) {
    const std::string source = line[0].is_number()
                                   ? golden["templates"][line[0].get<size_t>()].get<std::string>()
                                   : line[0].get<std::string>();
    SCOPED_TRACE(line[0].dump() + " of " + line[1].dump());
    const Result<std::string> rendered =
        RenderJson(source, golden["contexts"][line[1].get<std::string>()]);
    if (!line[2].is_null()) {
      EXPECT_EQ(rendered.ok() ? *rendered : rendered.status().message(),
                line[2].get<std::string>());
      continue;
    }
    EXPECT_FALSE(rendered.ok()) << *rendered;
    if (rendered.ok()) continue;
    EXPECT_TRUE(rendered.status().message().starts_with("line ")) << rendered.status().message();
  }
}

}  // namespace
}  // namespace sluice::jinja

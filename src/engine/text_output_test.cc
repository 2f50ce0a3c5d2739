#include "engine/text_output.h"

#include <gtest/gtest.h>

#include "model/embedded_model.h"

namespace sluice {
namespace {

class TextOutputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = new Model(OpenEmbeddedModel().value()); }
  static void TearDownTestSuite() { delete model_; }

  // The pieces that come out for the tokens of `text`, and what Flush adds.
  static std::vector<std::string> Stream(const std::string& text, std::vector<std::string> stop,
                                         bool* stopped) {
    TextOutput output(model_->tokenizer.get(), std::move(stop));
    std::vector<std::string> pieces;
    for (const TokenId id : model_->tokenizer->Encode(text, SpecialTokens::kPlain)) {
      pieces.push_back(output.Push(id));
    }
    pieces.push_back(output.Flush());
    *stopped = output.stopped();
    return pieces;
  }
  static std::string Joined(const std::vector<std::string>& pieces) {
    std::string text;
    for (const std::string& piece : pieces) text += piece;
    return text;
  }

  static Model* model_;
};
Model* TextOutputTest::model_ = nullptr;  // NOLINT

TEST_F(TextOutputTest, WithoutStopStringsEverythingComesOut) {
  bool stopped = true;
  EXPECT_EQ(Joined(Stream("naïve ☃ text", {}, &stopped)), "naïve ☃ text");
  EXPECT_FALSE(stopped);
}

TEST_F(TextOutputTest, StopStringsCutWhereverTokensEnd) {
  bool stopped = false;
  EXPECT_EQ(Joined(Stream("one two three", {"two"}, &stopped)), "one ");
  EXPECT_TRUE(stopped);
  EXPECT_EQ(Joined(Stream("one two three", {"three", "e t"}, &stopped)), "on");
  EXPECT_EQ(Joined(Stream("aab aac", {"aac"}, &stopped)), "aab ");
  EXPECT_EQ(Joined(Stream("almost tw", {"two"}, &stopped)), "almost tw");
  EXPECT_FALSE(stopped);
}

TEST_F(TextOutputTest, NothingOfAStopStringIsShownEarly) {
  bool stopped = false;
  std::string shown;
  for (const std::string& piece : Stream("abcabcabd!", {"abcabd"}, &stopped)) {
    shown += piece;
    EXPECT_TRUE(std::string("abc").starts_with(shown)) << shown;
  }
  EXPECT_EQ(shown, "abc");
}

}  // namespace
}  // namespace sluice

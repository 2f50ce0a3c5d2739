// Weights that are no numbers: the message names the tensor or the layer, and who does not meet
// them gets the right answer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "model/embedded_model.h"
#include "sluice/engine.h"

namespace sluice {
namespace {

constexpr uint16_t kHalfNan = 0x7E00;
constexpr uint16_t kHalfInfinity = 0x7C00;

class NotFiniteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(path_, std::ios::binary) << *OpenEmbeddedFile().value()->ReadAll(64U << 20);
    model_ = std::make_unique<Model>(OpenEmbeddedModel().value());
  }
  void TearDown() override { std::filesystem::remove(path_); }

  // `count` times `number`, every `step` bytes, from byte `from` of the tensor.
  void Overwrite(const std::string& tensor, uint64_t from, uint16_t number, int count = 1,
                 uint64_t step = 34) {
    const uint64_t offset = model_->checkpoint.tensors.entries().at(tensor).offset + from;
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int i = 0; i < count; ++i) {
      file.seekp(static_cast<std::streamoff>(offset + static_cast<uint64_t>(i) * step));
      file.write(reinterpret_cast<const char*>(&number), sizeof(number));
    }
  }
  Result<std::unique_ptr<Engine>> Open() {
    return Engine::Open({.model = path_, .ram_budget = "256MiB", .context_tokens = 64});
  }
  static Status Ask(Engine* engine, const std::string& prompt) {
    SLUICE_TRY_ASSIGN(TokenStream stream, engine->Submit({.prompt = prompt, .max_tokens = 2}));
    while (true) {
      SLUICE_TRY_ASSIGN(const std::optional<Event> event, stream.Next());
      if (!event) return {};
    }
  }
  void ExpectMessage(const Status& status, const std::string& words) {
    EXPECT_EQ(status.code(), StatusCode::kCorrupt);
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(path_), std::string::npos) << status.message();
  }

  const std::string path_ =
      std::filesystem::temp_directory_path() / ("sluice_not_finite_" + std::to_string(getpid()));
  std::unique_ptr<Model> model_;
};

TEST_F(NotFiniteTest, VectorsAreRefusedByName) {
  Overwrite("blk.3.attn_norm.weight", 2, 0x7F80);  // the upper half of a float32: infinity
  ExpectMessage(Open().status(), "tensor 'blk.3.attn_norm.weight'");
}

TEST_F(NotFiniteTest, ADamagedLayerIsNamed) {
  // All scales of a Q8_0 matrix: whatever it is multiplied with.
  const int blocks = 256 * 256 / 32;
  Overwrite("blk.2.attn_output.weight", 0, kHalfNan, blocks);
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  ExpectMessage(Ask(engine->get(), "a"), "from layer 2 on");
}

// The next matrix rounds activations to bytes, and a byte is always finite.
TEST_F(NotFiniteTest, ValuesThatAreRoundedAfterwardsAreNotForgotten) {
  for (const uint16_t number : {kHalfNan, kHalfInfinity}) {
    SetUp();
    Overwrite("blk.0.attn_v.weight", 0, number, 64 * 256 / 32);
    auto engine = Open();
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    ExpectMessage(Ask(engine->get(), "a"), "from layer 0 on");
  }
}

TEST_F(NotFiniteTest, TheOutputMatrixIsNamed) {
  Overwrite("output.weight", 0, kHalfNan);
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  ExpectMessage(Ask(engine->get(), "a"), "in the output matrix");
}

TEST_F(NotFiniteTest, OnlyWhoMeetsItFails) {
  auto whole = Engine::Open({.ram_budget = "256MiB"});
  const auto ids = whole.value()->Encode("b");
  ASSERT_TRUE(ids.ok());
  const uint64_t row_bytes = 256 / 32 * 34;
  Overwrite("token_embd.weight", static_cast<uint64_t>(ids->at(0)) * row_bytes, kHalfNan);
  auto engine = Open();
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  ExpectMessage(Ask(engine->get(), "b"), "in the embedding");
  EXPECT_TRUE(Ask(engine->get(), "a").ok());
}

}  // namespace
}  // namespace sluice

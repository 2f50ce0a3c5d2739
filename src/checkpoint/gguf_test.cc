// The GGUF reader on files made here byte by byte, and on every small damage to one of them.
// That files of the `gguf` package read right is shown end to end by tests/transformers_test.cc.
#include "checkpoint/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/checkpoint.h"
#include "checkpoint/testing_gguf.h"

namespace sluice {
namespace {

class GgufTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("sluice_gguf_test_" + std::to_string(getpid()) + ".gguf");
  }
  void TearDown() override { std::filesystem::remove(path_); }

  Result<Checkpoint> Open(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    return OpenCheckpoint(path_.string());
  }
  void ExpectError(const GgufBuilder& file, const std::string& words) {
    const auto result = Open(file.bytes());
    ASSERT_FALSE(result.ok()) << words;
    EXPECT_NE(result.status().message().find(words), std::string::npos)
        << result.status().message();
    EXPECT_NE(result.status().message().find(path_.string()), std::string::npos);
  }

  // One key of each type, two tensors.
  static GgufBuilder Valid() {
    GgufBuilder file;
    file.Header(2, 5);
    file.String("general.architecture").Raw<uint32_t>(8).String("test");
    file.String("a.count").Raw<uint32_t>(4).Raw<uint32_t>(7);
    file.String("a.flag").Raw<uint32_t>(7).Raw<uint8_t>(1);
    file.String("a.names").Raw<uint32_t>(9).Raw<uint32_t>(8).Raw<uint64_t>(2).String("x").String(
        "yy");
    file.String("a.numbers").Raw<uint32_t>(9).Raw<uint32_t>(6).Raw<uint64_t>(2);
    file.Raw<float>(0.5F).Raw<float>(2.0F);
    file.Tensor("w", {64, 3}, 8, 0).Tensor("v", {5}, 0, 224);
    return file.Pad().Zeros(224 + 20);
  }

  std::filesystem::path path_;
};

TEST_F(GgufTest, ReadsKeysAndTensors) {
  const auto checkpoint = Open(Valid().bytes());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const Metadata& metadata = checkpoint->metadata;
  EXPECT_EQ(*metadata.String("general.architecture"), "test");
  EXPECT_EQ(*metadata.Int("a.count", 0, 10), 7);
  EXPECT_TRUE(*metadata.BoolOr("a.flag", false));
  EXPECT_EQ(**metadata.Strings("a.names"), (std::vector<std::string>{"x", "yy"}));
  EXPECT_EQ(**metadata.Floats("a.numbers"), (std::vector<double>{0.5, 2.0}));
  EXPECT_EQ(metadata.Int("a.count", 8, 10).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(metadata.Int("a.flag", 0, 1).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(metadata.Int("a.absent", 0, 1).status().code(), StatusCode::kNotFound);
  const auto w = checkpoint->tensors.Matrix("w", 3, 64);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w->bytes, 3U * 2 * 34);
  EXPECT_EQ(w->offset % 32, 0U);
  EXPECT_EQ(checkpoint->tensors.Matrix("w", 64, 3).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(checkpoint->tensors.Matrix("u", 3, 64).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(checkpoint->tensors.Matrix("v", 1, 5).ok());
}

TEST_F(GgufTest, WhatCannotBeIsNamed) {
  GgufBuilder magic;
  ExpectError(magic.Raw<uint32_t>(1), "not a GGUF file");
  ExpectError(GgufBuilder().Raw<uint32_t>(0x46554747).Raw<uint32_t>(1), "version 1");
  ExpectError(GgufBuilder().Raw<uint32_t>(0x46554747).Raw<uint32_t>(0x03000000), "big-endian");
  ExpectError(GgufBuilder().Header(uint64_t{1} << 60, 0), "too many");
  ExpectError(GgufBuilder().Header(0, uint64_t{1} << 60), "too many");
  ExpectError(GgufBuilder().Header(0, 1).Raw<uint64_t>(uint64_t{1} << 62), "too long");
  ExpectError(GgufBuilder().Header(0, 1).String("k").Raw<uint32_t>(99), "99");
  ExpectError(GgufBuilder().Header(0, 1).String("k").Raw<uint32_t>(7).Raw<uint8_t>(2), "boolean");
  ExpectError(
      GgufBuilder().Header(0, 1).String("k").Raw<uint32_t>(9).Raw<uint32_t>(10).Raw<uint64_t>(
          1 << 20),
      "past the end");
  ExpectError(GgufBuilder()
                  .Header(0, 2)
                  .String("k")
                  .Raw<uint32_t>(7)
                  .Raw<uint8_t>(1)
                  .String("k")
                  .Raw<uint32_t>(7)
                  .Raw<uint8_t>(1),
              "twice");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {32}, 16, 0).Pad(), "IQ2_XXS");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {33}, 8, 0).Pad().Zeros(64), "blocks");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {}, 0, 0).Pad().Zeros(64), "dimensions");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {0}, 0, 0).Pad().Zeros(64), "shape");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {uint64_t{1} << 62, 8}, 0, 0).Pad().Zeros(64),
              "shape");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {64}, 0, 0).Pad().Zeros(64), "incomplete");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {4}, 0, 7).Pad().Zeros(64), "offset");
  ExpectError(GgufBuilder().Header(1, 0).Tensor("t", {4}, 0, UINT64_MAX - 31).Pad().Zeros(64),
              "offset");
  ExpectError(
      GgufBuilder().Header(2, 0).Tensor("t", {4}, 0, 0).Tensor("t", {4}, 0, 32).Pad().Zeros(64),
      "twice");
  ExpectError(
      GgufBuilder().Header(2, 0).Tensor("t", {16}, 0, 0).Tensor("u", {4}, 0, 32).Pad().Zeros(64),
      "share");
}

TEST_F(GgufTest, NoSmallDamageIsMoreThanAnError) {
  const std::string valid = Valid().bytes();
  for (size_t length = 0; length < valid.size(); ++length) {
    EXPECT_FALSE(Open(valid.substr(0, length)).ok());
  }
  const size_t header = valid.size() - 244;
  for (size_t at = 0; at < header; ++at) {
    for (const int value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
      std::string damaged = valid;
      damaged[at] = static_cast<char>(value);
      const auto result = Open(damaged);  // an answer or an error
      EXPECT_EQ(result.ok(), result.status().message().empty());
    }
  }
}

}  // namespace
}  // namespace sluice

#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/checkpoint.h"

namespace sluice {
namespace {

class SafetensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("sluice_safetensors_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary | std::ios::trunc) << text;
  }
  static std::string Bytes(const std::string& header, size_t data_bytes) {
    const uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header +
           std::string(data_bytes, '\0');
  }
  Status Read(const std::string& header, size_t data_bytes, TensorTable* tensors) {
    Write("t.safetensors", Bytes(header, data_bytes));
    auto file = File::Open((folder_ / "t.safetensors").string());
    return ReadSafetensors(tensors->AddFile(std::move(file).value()), tensors);
  }
  void ExpectError(const std::string& header, size_t data_bytes, const std::string& words) {
    TensorTable tensors;
    const Status status = Read(header, data_bytes, &tensors);
    ASSERT_FALSE(status.ok()) << header;
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    EXPECT_NE(status.message().find("t.safetensors"), std::string::npos) << status.message();
  }

  std::filesystem::path folder_;
};

TEST_F(SafetensorsTest, ReadsTensorsAndSkipsWhatNoWeightIs) {
  TensorTable tensors;
  ASSERT_TRUE(Read(R"({"__metadata__":{"format":"pt"},)"
                   R"("a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
                   R"("n":{"dtype":"I64","shape":[1],"data_offsets":[12,20]}}   )",
                   20, &tensors)
                  .ok());
  EXPECT_TRUE(tensors.Matrix("a", 2, 3).ok());
  EXPECT_EQ(tensors.Matrix("a", 2, 3)->format, Format::kBF16);
  EXPECT_FALSE(tensors.Has("n"));
}

TEST_F(SafetensorsTest, WhatCannotBeIsNamed) {
  ExpectError("", 0, "header");
  ExpectError("[1]", 0, "header");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})", 16, "JSON");
  ExpectError(R"({"a":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}})", 16, "F99");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4]}})", 0, "data_offsets");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}})", 12, "incomplete");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12, "incomplete");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 20, "after the last");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[4,20]}})", 20, "hole");
  ExpectError(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", 16, "negative");
  ExpectError(R"({"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,16]}})", 16,
              "shape");
  ExpectError(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
              R"("a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}})",
              32, "twice");
  ExpectError(R"({"a":{"dtype":{"x":1},"shape":[4],"data_offsets":[0,16]}})", 16, "nested");
}

TEST_F(SafetensorsTest, DirectoriesNameWhatIsWrong) {
  const auto error = [&] { return OpenCheckpoint(folder_.string()).status().message(); };
  EXPECT_NE(error().find("config.json"), std::string::npos);
  Write("config.json", "{");
  EXPECT_NE(error().find("not a JSON object"), std::string::npos);
  Write("config.json", R"({"model_type":"x","nested":{"a":1,"b":[1,2]},"nothing":null})");
  EXPECT_NE(error().find("model.safetensors"), std::string::npos);
  Write("model.safetensors", Bytes("{}", 0));
  const auto checkpoint = OpenCheckpoint(folder_.string());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(*checkpoint->metadata.Int("nested.a", 0, 5), 1);
  EXPECT_EQ((*checkpoint->metadata.Ints("nested.b"))->size(), 2U);
  EXPECT_FALSE(checkpoint->metadata.Has("nothing"));
  Write("model.safetensors.index.json", R"({"weight_map":{"a":"../../etc/passwd"}})");
  EXPECT_NE(error().find("no file name"), std::string::npos);
  Write("model.safetensors.index.json", R"({"weight_map":{"a":"part-2.safetensors"}})");
  EXPECT_NE(error().find("part-2.safetensors"), std::string::npos);
  Write("model.safetensors.index.json", "[]");
  EXPECT_NE(error().find("weight_map"), std::string::npos);
  Write("config.json", std::string(100, '['));
  EXPECT_NE(error().find("not a JSON object"), std::string::npos);
}

}  // namespace
}  // namespace sluice

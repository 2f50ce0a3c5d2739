// What the writer makes is read back by our reader here and by the gguf package in
// tests/synth_test.py.
#include "checkpoint/gguf_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <numeric>
#include <thread>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace sluice {
namespace {

std::string TemporaryPath(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::to_string(getpid()) + name)).string();
}

Status WriteTwoTensors(const std::string& path) {
  SLUICE_TRY_ASSIGN(GgufWriter out, GgufWriter::Create(path, "toy"));
  out.AddU32("a.number", 7);
  out.AddF32("a.float", 0.5F);
  out.AddBool("a.bool", true);
  const std::vector<std::string> words = {"", "zwei"};
  out.AddStrings("a.words", words);
  const std::vector<int32_t> numbers = {-1, 2};
  out.AddI32s("a.numbers", numbers);
  const std::vector<float> floats = {1.5F};
  out.AddF32s("a.floats", floats);
  const std::vector<int64_t> odd = {3};  // 12 bytes: padding before the next tensor
  const std::vector<int64_t> matrix = {2, 4};
  out.AddTensor("odd", Format::kF32, odd);
  out.AddTensor("matrix", Format::kF32, matrix);
  SLUICE_TRY(out.Begin());
  std::vector<float> values(11);
  std::iota(values.begin(), values.end(), 1.0F);
  const auto bytes = std::as_bytes(std::span(values));
  SLUICE_TRY(out.Write(bytes.first(5)));  // pieces of any size
  SLUICE_TRY(out.Write(bytes.subspan(5, 7)));
  SLUICE_TRY(out.Write(bytes.subspan(12)));
  return out.Finish();
}

TEST(GgufWriterTest, WhatIsWrittenIsRead) {
  const std::string path = TemporaryPath("_writer.gguf");
  ASSERT_TRUE(WriteTwoTensors(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  auto opened = OpenCheckpoint(path);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const Metadata& keys = opened->metadata;
  EXPECT_EQ(*keys.String("general.architecture"), "toy");
  EXPECT_EQ(*keys.Int("a.number", 0, 100), 7);
  EXPECT_EQ(*keys.Float("a.float"), 0.5);
  EXPECT_EQ(*keys.BoolOr("a.bool", false), true);
  EXPECT_EQ(**keys.Strings("a.words"), (std::vector<std::string>{"", "zwei"}));
  EXPECT_EQ(**keys.Ints("a.numbers"), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(**keys.Floats("a.floats"), (std::vector<double>{1.5}));
  const auto matrix = opened->tensors.Matrix("matrix", 2, 4);
  ASSERT_TRUE(matrix.ok()) << matrix.status().message();
  EXPECT_EQ(matrix->offset % 32, 0U);
  float values[8] = {};
  ASSERT_TRUE(matrix->file->ReadAt(matrix->offset, std::as_writable_bytes(std::span(values))).ok());
  EXPECT_EQ(values[0], 4.0F);
  EXPECT_EQ(values[7], 11.0F);
  std::filesystem::remove(path);
}

TEST(GgufWriterTest, AnUnfinishedFileIsRemovedAndAnOldOneStays) {
  const std::string path = TemporaryPath("_unfinished.gguf");
  ASSERT_TRUE(WriteTwoTensors(path).ok());
  const auto bytes = std::filesystem::file_size(path);
  {
    auto out = GgufWriter::Create(path, "toy");
    ASSERT_TRUE(out.ok());
    ASSERT_TRUE(out->Begin().ok());
    EXPECT_TRUE(std::filesystem::exists(path + ".partial"));
  }
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  EXPECT_EQ(std::filesystem::file_size(path), bytes);
  std::filesystem::remove(path);
}

// Two tensors of 2 x 8 and 3 x 8 floats, written up to `bytes` of them (all: SIZE_MAX), from where
// an earlier call stopped.
Result<GgufWriter::Place> ContinueUpTo(const std::string& path, std::string_view sources,
                                       size_t bytes) {
  SLUICE_TRY_ASSIGN(GgufWriter out, GgufWriter::Create(path, "toy"));
  const std::vector<int64_t> shapes[] = {{2, 8}, {3, 8}};
  out.AddTensor("first", Format::kF32, shapes[0]);
  out.AddTensor("second", Format::kF32, shapes[1]);
  SLUICE_TRY_ASSIGN(const GgufWriter::Place place, out.BeginOrContinue(sources));
  std::vector<float> values(40);
  std::iota(values.begin(), values.end(), 1.0F);
  const auto all = std::as_bytes(std::span(values));
  size_t at = place.tensor * 64 + place.bytes;
  if (place.tensor == 2) at = all.size();
  for (; at < std::min(all.size(), bytes); at += 4) SLUICE_TRY(out.Write(all.subspan(at, 4)));
  if (at == all.size()) SLUICE_TRY(out.Finish());
  return place;
}

TEST(GgufWriterTest, ContinuesWhereAnotherStopped) {
  const std::string path = TemporaryPath("_continued.gguf");
  ASSERT_TRUE(ContinueUpTo(path, "weights", SIZE_MAX).ok());
  const std::string whole = *(*File::Open(path))->ReadAll(1 << 20);
  EXPECT_EQ(whole.substr(0, 4), "GGUF");
  std::filesystem::remove(path);
  for (const size_t stop : {0, 4, 32, 60, 64, 100, 156, 160}) {
    ASSERT_TRUE(ContinueUpTo(path, "weights", stop).ok());
    if (stop < 160) {
      EXPECT_FALSE(std::filesystem::exists(path));
      EXPECT_NE((*(*File::Open(path + ".partial"))->ReadAll(1 << 20)).substr(0, 4), "GGUF");
    }
    const auto place = ContinueUpTo(path, "weights", SIZE_MAX);
    ASSERT_TRUE(place.ok()) << place.status().message();
    if (stop < 160) {
      EXPECT_EQ(place->tensor, stop < 64 ? 0U : 1U) << stop;
      EXPECT_EQ(place->bytes, stop < 64 ? stop : stop - 64) << stop;
    }
    EXPECT_EQ(*(*File::Open(path))->ReadAll(1 << 20), whole) << stop;
    std::filesystem::remove(path);
  }
}

TEST(GgufWriterTest, WhatWasMadeOfSomethingElseIsBegunAnew) {
  const std::string path = TemporaryPath("_anew.gguf");
  ASSERT_TRUE(ContinueUpTo(path, "weights", 100).ok());
  const auto place = ContinueUpTo(path, "other weights", 100);
  ASSERT_TRUE(place.ok());
  EXPECT_EQ(place->tensor, 0U);
  EXPECT_EQ(place->bytes, 0U);
  std::filesystem::resize_file(path + ".partial", 10);  // not even a header
  EXPECT_EQ(ContinueUpTo(path, "other weights", SIZE_MAX)->tensor, 0U);
  std::filesystem::remove(path);
}

TEST(GgufWriterTest, AWriterThatNeverBeganLeavesWhatAnotherWrote) {
  const std::string path = TemporaryPath("_never_began.gguf");
  ASSERT_TRUE(ContinueUpTo(path, "weights", 100).ok());
  ASSERT_TRUE(GgufWriter::Create(path, "toy").ok());
  EXPECT_EQ(ContinueUpTo(path, "weights", SIZE_MAX)->bytes, 36U);
  ASSERT_TRUE(GgufWriter::Create(path, "toy").ok());
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  std::filesystem::remove(path);
}

TEST(GgufWriterTest, AFileThatCannotGetItsNameStaysToBeContinued) {
  const std::string path = TemporaryPath("_nameless.gguf");
  ASSERT_TRUE(ContinueUpTo(path, "weights", 100).ok());
  {
    auto out = GgufWriter::Create(path, "toy");
    ASSERT_TRUE(out.ok());
    const std::vector<int64_t> shape = {8};
    out->AddTensor("only", Format::kF32, shape);
    ASSERT_TRUE(out->BeginOrContinue("weights").ok());
    ASSERT_TRUE(out->Write(std::vector<std::byte>(32)).ok());
    std::filesystem::create_directory(path);
    const Status failure = out->Finish();
    EXPECT_NE(failure.message().find(path + ".partial"), std::string::npos) << failure.message();
  }
  EXPECT_NE((*(*File::Open(path + ".partial"))->ReadAll(1 << 20)).substr(0, 4), "GGUF");
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".partial");
}

// Each finishes the file or hears that another is at it; nobody's work gets another's name.
TEST(GgufWriterTest, WritersOfOneFileLeaveAWholeOne) {
  const std::string path = TemporaryPath("_contended.gguf");
  ASSERT_TRUE(ContinueUpTo(path, "weights", SIZE_MAX).ok());
  const std::string whole = *(*File::Open(path))->ReadAll(1 << 20);
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&path] {
      for (int round = 0; round < 8; ++round) {
        const auto place = ContinueUpTo(path, "weights", SIZE_MAX);
        const std::string said = place.ok() ? "somebody" : place.status().message();
        EXPECT_NE(said.find("somebody"), std::string::npos) << said;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(*(*File::Open(path))->ReadAll(1 << 20), whole);
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  std::filesystem::remove(path);
}

TEST(GgufWriterTest, OnlyOneWritesAFile) {
  const std::string path = TemporaryPath("_locked.gguf");
  const auto first = GgufWriter::Create(path, "toy");
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(GgufWriter::Create(path, "toy").ok());
}

TEST(GgufWriterTest, AFolderThatIsNotThereIsNamed) {
  const auto out = GgufWriter::Create("/no/such/folder/x.gguf", "toy");
  ASSERT_FALSE(out.ok());
  EXPECT_NE(out.status().message().find("/no/such/folder/x.gguf"), std::string::npos);
}

}  // namespace
}  // namespace sluice

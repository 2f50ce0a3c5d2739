#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "base/memory.h"

namespace sluice {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ =
        std::filesystem::temp_directory_path() / ("sluice_file_test_" + std::to_string(getpid()));
    std::mt19937 random(7);
    content_.resize(3'000'001);
    for (char& c : content_) c = static_cast<char>(random());
    std::ofstream(path_, std::ios::binary) << content_;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::filesystem::path path_;
  std::string content_;
};

TEST_F(FileTest, ReadsExactlyOrSaysWhy) {
  auto file = File::Open(path_);
  ASSERT_TRUE(file.ok());
  std::vector<std::byte> out(1000);
  ASSERT_TRUE((*file)->ReadAt(2'999'001, out).ok());
  EXPECT_EQ(std::memcmp(out.data(), content_.data() + 2'999'001, 1000), 0);
  const Status past = (*file)->ReadAt(2'999'002, out);
  EXPECT_EQ(past.code(), StatusCode::kCorrupt);
  EXPECT_NE(past.message().find("3000001"), std::string::npos) << past.message();
  EXPECT_EQ(File::Open("/no/such/file").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(File::Open("/tmp").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(FileTest, ARangeIsAFileOfItsOwn) {
  auto file = File::OpenRange(path_, 100, 50, "inner");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->bytes(), 50U);
  EXPECT_EQ(*(*file)->ReadAll(50), content_.substr(100, 50));
  EXPECT_FALSE((*file)->ReadAll(49).ok());
  EXPECT_FALSE(File::OpenRange(path_, 3'000'000, 2, "inner").ok());
}

TEST_F(FileTest, WhatIsWrittenToIsNoLongerRead) {
  auto file = File::Open(path_);
  ASSERT_TRUE(file.ok());
  std::vector<std::byte> out(1000);
  std::filesystem::rename(path_, path_.string() + ".moved");  // the name alone is nothing
  EXPECT_TRUE((*file)->ReadAt(0, out).ok());
  std::filesystem::rename(path_.string() + ".moved", path_);
  // Clocks of file systems tick in milliseconds.
  std::filesystem::last_write_time(
      path_, std::filesystem::file_time_type::clock::now() + std::chrono::seconds(1));
  const Status status = (*file)->ReadAt(0, out);
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_NE(status.message().find("somebody wrote to the file"), std::string::npos);
  EXPECT_NE(status.message().find(path_.string()), std::string::npos);
}

class ReadQueueTest : public FileTest, public ::testing::WithParamInterface<ReadQueue::Backend> {
 protected:
  std::unique_ptr<ReadQueue> Queue(int depth) {
    auto queue = ReadQueue::Create(depth, GetParam());
    return queue.ok() ? std::move(queue).value() : nullptr;
  }
};

TEST_P(ReadQueueTest, DeliversEveryReadWhateverItsAlignment) {
  auto queue = Queue(3);
  if (queue == nullptr) GTEST_SKIP() << "io_uring is refused here";
  auto file = File::OpenRange(path_, 1, content_.size() - 1, "inner");
  ASSERT_TRUE(file.ok());
  struct Read {
    uint64_t offset, bytes;
    PageBuffer buffer;
  };
  std::mt19937 random(3);
  std::vector<Read> reads;
  for (int i = 0; i < 40; ++i) {
    const uint64_t offset = random() % (content_.size() - 2);
    const uint64_t bytes = 1 + random() % std::min<uint64_t>(content_.size() - 1 - offset, 300000);
    const AlignedExtent extent = ReadQueue::Extent(**file, offset, bytes);
    EXPECT_LE(extent.bytes, bytes + kAlignedExtentSlack);
    reads.push_back({offset, bytes, PageBuffer::Allocate(extent.bytes, "test").value()});
  }
  for (size_t i = 0; i < reads.size(); ++i) {
    queue->Submit({.file = file->get(),
                   .offset = reads[i].offset,
                   .bytes = reads[i].bytes,
                   .buffer = reads[i].buffer.data(),
                   .tag = i,
                   .urgency = i % 3 == 0 ? Urgency::kSpeculative : Urgency::kDemand});
  }
  std::vector<bool> seen(reads.size());
  for (size_t done = 0; done < reads.size();) {
    ReadCompletion completions[4];
    const size_t n = queue->Wait(completions);
    for (size_t k = 0; k < n; ++k) {
      ASSERT_TRUE(completions[k].status.ok()) << completions[k].status.message();
      const Read& read = reads[completions[k].tag];
      const uint64_t skip = ReadQueue::Extent(**file, read.offset, read.bytes).skip;
      EXPECT_EQ(
          std::memcmp(read.buffer.data() + skip, content_.data() + 1 + read.offset, read.bytes), 0);
      EXPECT_FALSE(seen[completions[k].tag]);
      seen[completions[k].tag] = true;
    }
    done += n;
  }
  ReadCompletion none[1];
  EXPECT_EQ(queue->Poll(none), 0U);
}

TEST_P(ReadQueueTest, AFileThatShrinksIsAnError) {
  auto queue = Queue(2);
  if (queue == nullptr) GTEST_SKIP() << "io_uring is refused here";
  auto file = File::Open(path_);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path_, 5000);
  PageBuffer buffer = PageBuffer::Allocate(16384, "test").value();
  queue->Submit({.file = file->get(), .offset = 4000, .bytes = 8000, .buffer = buffer.data()});
  ReadCompletion completion[1];
  ASSERT_EQ(queue->Wait(completion), 1U);
  EXPECT_EQ(completion[0].status.code(), StatusCode::kIo);
  EXPECT_NE(completion[0].status.message().find("shortened"), std::string::npos);
}

TEST_P(ReadQueueTest, MayBeDestroyedWithReadsUnderWay) {
  constexpr uint64_t kReads = 8;
  constexpr uint64_t kStride = 1 << 20;
  PageBuffer buffers = PageBuffer::Allocate(kReads * kStride, "test").value();
  auto file = File::Open(path_);
  ASSERT_TRUE(file.ok());
  auto queue = Queue(2);
  if (queue == nullptr) GTEST_SKIP() << "io_uring is refused here";
  for (uint64_t i = 0; i < kReads; ++i) {
    queue->Submit({.file = file->get(),
                   .offset = 0,
                   .bytes = 1000000,
                   .buffer = buffers.data() + i * kStride});
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ReadQueueTest,
                         ::testing::Values(ReadQueue::Backend::kIoUring,
                                           ReadQueue::Backend::kThreads),
                         [](const auto& param) {
                           return param.param == ReadQueue::Backend::kIoUring ? "IoUring"
                                                                              : "Threads";
                         });

}  // namespace
}  // namespace sluice

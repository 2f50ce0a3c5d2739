#include "base/write_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class WriteFileTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  static std::string Content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const fs::path folder_ = fs::temp_directory_path() / ("sluice_write_" + std::to_string(getpid()));
};

TEST_F(WriteFileTest, ReplacesAFileAndLeavesNothingElse) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(WriteWholeFile(path.string(), "one").ok());
  ASSERT_TRUE(WriteWholeFile(path.string(), "two").ok());
  EXPECT_EQ(Content(path), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(WriteFileTest, AnUnfinishedFileIsNotThere) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(WriteWholeFile(path.string(), "old").ok());
  {
    auto file = WholeFile::Create(path.string());
    ASSERT_TRUE(file.ok());
    const WholeFile moved = *std::move(file);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
  }
  EXPECT_EQ(Content(path), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
  auto file = WholeFile::Create(path.string());
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Write("one ").ok() && file->Write("two").ok());
  EXPECT_EQ(Content(path), "old");
  ASSERT_TRUE(file->Finish().ok());
  EXPECT_EQ(Content(path), "one two");
}

TEST_F(WriteFileTest, AFailureNamesTheFileAndKeepsWhatWasThere) {
  const Status no_folder = WriteWholeFile((folder_ / "none" / "a").string(), "x");
  EXPECT_THAT(no_folder.message(), testing::HasSubstr("none/a"));
  EXPECT_THAT(no_folder.message(), testing::HasSubstr("No such file"));
  EXPECT_FALSE(WriteWholeFile(folder_.string(), "x").ok());
  EXPECT_TRUE(fs::is_directory(folder_));
}

// A device must not give way to a file of its name.
TEST_F(WriteFileTest, WhatIsNoRegularFileIsWrittenToAndStays) {
  ASSERT_TRUE(WriteWholeFile("/dev/null", "x").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const Status full = WriteWholeFile("/dev/full", std::string(1 << 20, 'x'));
  EXPECT_THAT(full.message(), testing::HasSubstr("/dev/full: cannot write: No space left"));
  EXPECT_FALSE(CheckReplaceable("/dev/null").ok());
  EXPECT_FALSE(CheckReplaceable(folder_.string()).ok());
  EXPECT_TRUE(CheckReplaceable((folder_ / "new").string()).ok());
}

}  // namespace
}  // namespace sluice

#include "base/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace sluice {
namespace {

// A machine in a folder: /proc/meminfo, /proc/self/cgroup and the cgroup files.
class MemoryStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        std::filesystem::temp_directory_path() / ("sluice_memory_test_" + std::to_string(getpid()));
    Write("/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 800 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = root_.string() + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  MemoryState Read() { return ReadMemoryState(root_); }

  std::filesystem::path root_;
};

TEST_F(MemoryStateTest, WithoutCgroupsTheMachineCounts) {
  EXPECT_EQ(Read().total_bytes, 1000U * 1024);
  EXPECT_EQ(Read().available_bytes, 800U * 1024);
}

TEST_F(MemoryStateTest, CgroupV2LimitsOfParentsCount) {
  Write("/proc/self/cgroup", "0::/a/b\n");
  Write("/sys/fs/cgroup/a/b/memory.max", "max\n");
  Write("/sys/fs/cgroup/a/memory.max", "409600\n");
  Write("/sys/fs/cgroup/a/memory.current", "204800\n");
  Write("/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 102400\n");
  EXPECT_EQ(Read().total_bytes, 409600U);
  EXPECT_EQ(Read().available_bytes, 307200U);
}

TEST_F(MemoryStateTest, CgroupV1LimitsCount) {
  Write("/proc/self/cgroup", "5:cpu,memory:/job\n0::/\n");
  Write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "500000\n");
  Write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "600000\n");
  EXPECT_EQ(Read().available_bytes, 0U);
}

TEST(PageBufferTest, IsAlignedZeroedAndMovable) {
  for (const size_t bytes : {size_t{1}, size_t{5000}, size_t{5} << 20}) {
    PageBuffer buffer = PageBuffer::Allocate(bytes, "test").value();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 4096, 0U);
    EXPECT_EQ(buffer.data()[bytes - 1], std::byte{0});
    std::memset(buffer.data(), 1, bytes);
    PageBuffer moved = std::move(buffer);
    EXPECT_EQ(moved.size(), bytes);
  }
}

TEST(PageBufferTest, AnImpossibleSizeIsAnAnswer) {
  EXPECT_EQ(PageBuffer::Allocate(size_t{1} << 60, "the test").status().code(),
            StatusCode::kResourceExhausted);
}

TEST(ResidentBytesTest, SeesWhatIsTouched) {
  const uint64_t before = ResidentBytes();
  PageBuffer buffer = PageBuffer::Allocate(size_t{16} << 20, "test").value();
  std::memset(buffer.data(), 1, buffer.size());
  EXPECT_GE(ResidentBytes(), before + (size_t{15} << 20));
  EXPECT_GE(PeakResidentBytes(), ResidentBytes());
}

}  // namespace
}  // namespace sluice

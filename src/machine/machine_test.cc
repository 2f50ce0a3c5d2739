#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "machine/compute_speed.h"
#include "machine/disk_speed.h"
#include "machine/machine_profile.h"

namespace sluice {
namespace {

std::string TemporaryPath(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::to_string(getpid()) + name)).string();
}

// How fast a machine is, is no matter of tests: a busy one may be slow without bound.
TEST(MemorySpeedTest, IsAPositiveRate) {
  const auto rate = MeasureMemoryRead(PageKind::kSmall, 2, 64 << 20, 0.02);
  ASSERT_TRUE(rate.ok()) << rate.status().message();
  EXPECT_GT(rate->best, 0);
  EXPECT_LE(rate->median, rate->best);
}

TEST(ComputeSpeedTest, TheInstructionIsTheOneThatTheKernelReports) {
  std::ifstream in("/proc/cpuinfo");
  const std::string flags(std::istreambuf_iterator<char>(in), {});
  if (flags.find("avx512_vnni") == std::string::npos) GTEST_SKIP() << "no AVX-512 VNNI here";
  EXPECT_STREQ(InstructionSet(DotProduct::kInt8), "avx512vnni");
  EXPECT_GT(MeasureClock(0.02), 0);
  EXPECT_GT(MeasureProducts(DotProduct::kInt8, 1, 0.05).best, 0);
}

TEST(DiskSpeedTest, ReadsAFile) {
  const std::string path = TemporaryPath("_disk");
  {
    std::ofstream out(path, std::ios::binary);
    out << std::string(8 << 20, 'x');
  }
  auto file = File::Open(path);
  ASSERT_TRUE(file.ok());
  const auto rate = MeasureDirectRead(**file, 1 << 20, 4, 0.02, {});
  ASSERT_TRUE(rate.ok()) << rate.status().message();
  EXPECT_GT(rate->bytes_per_s, 0);
  std::filesystem::remove(path);
}

TEST(MachineProfileTest, IsKeptAndRefusedWhereItIsNotOurs) {
  const std::string path = TemporaryPath("_folder") + "/deeper/profile.json";
  EXPECT_EQ(LoadProfile(path).status().code(), StatusCode::kNotFound);
  MachineProfile profile{.cpu = CpuName(), .threads = 3, .clock_hz = 2.5e9};
  profile.int8_all = {.best = 2, .median = 1};
  profile.disk.push_back({.request_bytes = 4096, .depth = 7, .bytes_per_s = 1e9});
  ASSERT_TRUE(StoreProfile(profile, path).ok());
  const auto loaded = LoadProfile(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(ProfileJson(*loaded), ProfileJson(profile));
  profile.cpu = "another";
  ASSERT_TRUE(StoreProfile(profile, path).ok());
  EXPECT_EQ(LoadProfile(path).status().code(), StatusCode::kInvalidArgument);
  for (const char* text : {"", "[1]", "{}", R"({"version":2})", R"({"version":"x"})"}) {
    std::ofstream(path) << text;
    EXPECT_EQ(LoadProfile(path).status().code(), StatusCode::kCorrupt) << text;
  }
  std::filesystem::remove_all(TemporaryPath("_folder"));
}

}  // namespace
}  // namespace sluice

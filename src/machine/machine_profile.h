// What this machine can do, as measured by `sluice profile`, and where that is kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "machine/memory_speed.h"
#include "sluice/status.h"

namespace sluice {

struct DiskPoint {
  uint64_t request_bytes = 0;
  int depth = 0;  // reads under way
  double bytes_per_s = 0;
};

// All rates per second; 0: not measured, or this machine has no instruction for it.
struct MachineProfile {
  std::string cpu;   // whose profile it is
  int threads = 0;   // of "all threads"
  std::string date;  // UTC, ISO 8601
  double clock_hz = 0;
  Rate memory_huge_one, memory_huge_all, memory_small_one, memory_small_all;  // bytes
  std::string int8_isa, bf16_isa, f32_isa;
  Rate int8_one, int8_all, bf16_one, bf16_all, f32_one, f32_all;  // multiply-accumulates
  std::string disk_device;  // "major:minor" of the file that was read; empty: no disk measured
  std::vector<DiskPoint> disk;
  // At the request size and depth that were best, for `disk_seconds`.
  uint64_t disk_request_bytes = 0;
  int disk_depth = 0;
  double disk_seconds = 0;
  double disk_sustained = 0, disk_worst_second = 0, disk_busy = 0;  // busy: all cores compute
};

// The processor's name, as profiles carry it.
std::string CpuName();
// "major:minor" of the device that holds `path`; "" if it cannot be told.
std::string DeviceOf(const std::string& path);

// $XDG_CACHE_HOME/sluice/profile.json, or ~/.cache/sluice/profile.json. Fails without a home.
Result<std::string> ProfilePath();
std::string ProfileJson(const MachineProfile& profile);
// Replaces the file at once; makes its folder.
Status StoreProfile(const MachineProfile& profile, const std::string& path);
// kNotFound if there is none, kCorrupt if it is damaged or of another version, and
// kInvalidArgument if it is another machine's.
Result<MachineProfile> LoadProfile(const std::string& path);

}  // namespace sluice

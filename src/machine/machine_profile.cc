#include "machine/machine_profile.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/write_file.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

struct NamedRate {
  const char* name;
  Rate MachineProfile::*rate;
};
constexpr NamedRate kRates[] = {
    {"memory_huge_one", &MachineProfile::memory_huge_one},
    {"memory_huge_all", &MachineProfile::memory_huge_all},
    {"memory_small_one", &MachineProfile::memory_small_one},
    {"memory_small_all", &MachineProfile::memory_small_all},
    {"int8_one", &MachineProfile::int8_one},
    {"int8_all", &MachineProfile::int8_all},
    {"bf16_one", &MachineProfile::bf16_one},
    {"bf16_all", &MachineProfile::bf16_all},
    {"f32_one", &MachineProfile::f32_one},
    {"f32_all", &MachineProfile::f32_all},
};
struct NamedNumber {
  const char* name;
  double MachineProfile::*number;
};
constexpr NamedNumber kNumbers[] = {
    {"clock_hz", &MachineProfile::clock_hz},
    {"disk_seconds", &MachineProfile::disk_seconds},
    {"disk_sustained", &MachineProfile::disk_sustained},
    {"disk_worst_second", &MachineProfile::disk_worst_second},
    {"disk_busy", &MachineProfile::disk_busy},
};
struct NamedText {
  const char* name;
  std::string MachineProfile::*text;
};
constexpr NamedText kTexts[] = {
    {"cpu", &MachineProfile::cpu},           {"date", &MachineProfile::date},
    {"int8_isa", &MachineProfile::int8_isa}, {"bf16_isa", &MachineProfile::bf16_isa},
    {"f32_isa", &MachineProfile::f32_isa},   {"disk_device", &MachineProfile::disk_device},
};

MachineProfile FromJson(const Json& json) {
  MachineProfile profile;
  for (const NamedText& field : kTexts)
    profile.*field.text = json.at(field.name).get<std::string>();
  for (const NamedNumber& field : kNumbers) {
    profile.*field.number = json.at(field.name).get<double>();
  }
  for (const NamedRate& field : kRates) {
    const Json& rate = json.at(field.name);
    profile.*field.rate = {.best = rate.at("best").get<double>(),
                           .median = rate.at("median").get<double>()};
  }
  profile.threads = json.at("threads").get<int>();
  profile.disk_request_bytes = json.at("disk_request_bytes").get<uint64_t>();
  profile.disk_depth = json.at("disk_depth").get<int>();
  for (const Json& point : json.at("disk")) {
    profile.disk.push_back({.request_bytes = point.at("request_bytes").get<uint64_t>(),
                            .depth = point.at("depth").get<int>(),
                            .bytes_per_s = point.at("bytes_per_s").get<double>()});
  }
  return profile;
}

}  // namespace

std::string CpuName() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string DeviceOf(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return "";
  return fmt::format("{}:{}", major(status.st_dev), minor(status.st_dev));
}

Result<std::string> ProfilePath() {
  // Nothing here changes the environment, which is what would make reading it unsafe.
  const char* cache = std::getenv("XDG_CACHE_HOME");  // NOLINT(concurrency-mt-unsafe)
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/sluice/profile.json";
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  if (home == nullptr || home[0] == '\0') {
    return NotFoundError(
        "neither XDG_CACHE_HOME nor HOME says where the machine's profile is kept");
  }
  return std::string(home) + "/.cache/sluice/profile.json";
}

std::string ProfileJson(const MachineProfile& profile) {
  Json json = {{"version", kVersion}, {"threads", profile.threads}};
  for (const NamedText& field : kTexts) json[field.name] = profile.*field.text;
  for (const NamedNumber& field : kNumbers) json[field.name] = profile.*field.number;
  for (const NamedRate& field : kRates) {
    const Rate& rate = profile.*field.rate;
    json[field.name] = {{"best", rate.best}, {"median", rate.median}};
  }
  json["disk_request_bytes"] = profile.disk_request_bytes;
  json["disk_depth"] = profile.disk_depth;
  json["disk"] = Json::array();
  for (const DiskPoint& point : profile.disk) {
    json["disk"].push_back({{"request_bytes", point.request_bytes},
                            {"depth", point.depth},
                            {"bytes_per_s", point.bytes_per_s}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Status StoreProfile(const MachineProfile& profile, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  return WriteWholeFile(path, ProfileJson(profile));
}

Result<MachineProfile> LoadProfile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFoundError(path + ": no profile of this machine; `sluice profile` makes one");
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const auto damaged = [&path](const std::string& why) {
    return CorruptError(path + ": " + why + "; `sluice profile` makes a new one");
  };
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return damaged("not JSON");
  MachineProfile profile;
  try {  // the library reports missing fields by exceptions
    if (json.at("version").get<int>() != kVersion) return damaged("a profile of another version");
    profile = FromJson(json);
  } catch (const Json::exception& missing) {
    return damaged(missing.what());
  }
  if (profile.cpu != CpuName()) {
    return InvalidArgumentError(
        fmt::format("{}: the profile of another machine ({}); `sluice profile` makes a new one",
                    path, profile.cpu));
  }
  return profile;
}

}  // namespace sluice

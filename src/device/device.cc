#include "device/device.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace sluice {

#define SLUICE_DEVICE(name, factory) std::unique_ptr<Device> factory(ThreadPool* pool);
#include "device/devices.inc"
#undef SLUICE_DEVICE

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Device> (*create)(ThreadPool* pool);
};
constexpr Entry kDevices[] = {
#define SLUICE_DEVICE(name, factory) {#name, factory},
#include "device/devices.inc"
#undef SLUICE_DEVICE
};

}  // namespace

std::vector<std::string> DeviceNames() {
  ThreadPool alone(1);
  std::vector<std::string> names;
  for (const Entry& entry : kDevices) {
    if (entry.create(&alone) != nullptr) names.emplace_back(entry.name);
  }
  return names;
}

Result<std::unique_ptr<Device>> CreateDevice(std::string_view name, ThreadPool* pool) {
  for (const Entry& entry : kDevices) {
    if (name != "auto" && name != entry.name) continue;
    if (std::unique_ptr<Device> device = entry.create(pool)) return device;
    if (name == entry.name) {
      return UnsupportedError(fmt::format("this machine cannot run the device '{}'", name));
    }
  }
  return InvalidArgumentError(fmt::format("there is no device '{}'; this machine has {}", name,
                                          fmt::join(DeviceNames(), ", ")));
}

}  // namespace sluice

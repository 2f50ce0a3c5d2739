// Where arithmetic happens: memory, the layout of weights in it, and Ops.
//
// On a CPU the device's memory is RAM, Pack permutes bytes and every operation is done when it
// returns. A device with a memory of its own implements the same interface with copies and streams.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "device/ops.h"
#include "sluice/status.h"

namespace sluice {

// The largest step that a device will see.
struct StepShape {
  int64_t tokens = 0;
  int64_t cols = 0;          // of the widest matrix, or of the heads of a HeadProduct together
  int64_t top_k = 0;         // experts per token
  int64_t ff = 0;            // inner width of an expert
  int64_t dense_ff = 0;      // of the widest feed-forward network that every token goes through
  int64_t head_dim = 0;      // of keys and values, the larger
  int64_t heads_per_kv = 0;  // query heads that share a key-value head
};

class Device {
 public:
  virtual ~Device() = default;

  // "reference", "avx512", ...
  virtual std::string name() const = 0;
  virtual Ops& ops() = 0;

  // Brings a matrix from the file's layout into the device's, which has just as many bytes.
  // `to` may be equal to `from` or lie before it, overlapping; else they must not overlap.
  // Rows may be packed in several calls if each but the last has a multiple of kPackRows rows.
  static constexpr int64_t kPackRows = 16;
  virtual void Pack(Format format, int64_t rows, int64_t cols, const std::byte* from,
                    std::byte* to) const = 0;

  // Bytes that the operations will take for themselves, at most.
  virtual int64_t ScratchBytes(const StepShape& step) const = 0;
};

// The devices of this build that this machine can run, best first: see devices.inc.
std::vector<std::string> DeviceNames();
// `name`: one of DeviceNames(), or "auto" for the best. `pool` outlives the device.
Result<std::unique_ptr<Device>> CreateDevice(std::string_view name, ThreadPool* pool);

}  // namespace sluice

// What a multiplication on the CPU takes in, and the memory that it is made in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "device/cpu/panel.h"
#include "tensor/q8_activation.h"

namespace sluice {

// Activations in the forms that weights ask for (Activation); a form that no weight has asked for
// is empty. Rows by pointer, so that experts gather without copying.
struct InputRows {
  std::vector<const float*> floats;
  std::vector<Q8Row> quantized;
  const ColumnBlock* panels = nullptr;  // `quantized` as column panels, or null
};

// Memory that grows and is kept; 64-byte aligned, not initialised.
class Scratch {
 public:
  std::byte* Get(int64_t bytes) {
    const auto wanted = static_cast<size_t>(bytes);
    if (buffer_.size() < wanted) {
      Result<PageBuffer> larger = PageBuffer::Allocate(wanted, "scratch");
      if (!larger.ok()) throw std::bad_alloc();  // as a vector that cannot grow
      buffer_ = std::move(larger).value();
    }
    return buffer_.data();
  }
  float* Floats(int64_t count) {
    return reinterpret_cast<float*>(Get(count * static_cast<int64_t>(sizeof(float))));
  }

 private:
  PageBuffer buffer_;
};

// Bytes for one quantized row of `cols` activations, whatever `cols`.
inline int64_t QuantizedRowBytes(int64_t cols) { return Q8RowBytes((cols + 31) / 32 * 32); }

}  // namespace sluice

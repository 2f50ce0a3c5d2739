// GGUF files for tests, well-formed or not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// Writes a GGUF header field by field.
class GgufBuilder {
 public:
  template <typename T>
  GgufBuilder& Raw(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  GgufBuilder& String(const std::string& text) {
    Raw<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  GgufBuilder& Header(uint64_t tensors, uint64_t keys) {
    return Raw<uint32_t>(0x46554747).Raw<uint32_t>(3).Raw<uint64_t>(tensors).Raw<uint64_t>(keys);
  }
  GgufBuilder& Tensor(const std::string& name, std::vector<uint64_t> dims, uint32_t type,
                      uint64_t offset) {
    String(name).Raw<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) Raw<uint64_t>(dim);
    return Raw<uint32_t>(type).Raw<uint64_t>(offset);
  }
  GgufBuilder& Pad(size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_ += '\0';
    return *this;
  }
  GgufBuilder& Zeros(size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace sluice

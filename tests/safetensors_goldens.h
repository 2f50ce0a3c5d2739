// Reads the golden files of tests/golden: safetensors with F32 and I32 tensors. Test-only, and
// apart from the reader under test on purpose: a fault there must not hide itself.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice {

class Goldens {
 public:
  explicit Goldens(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(in), {});
    if (content_.size() < sizeof(uint64_t)) return;
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, content_.data(), sizeof(header_bytes));
    header_ = nlohmann::json::parse(content_.substr(sizeof(uint64_t), header_bytes));
    data_begin_ = sizeof(uint64_t) + header_bytes;
  }

  bool ok() const { return !header_.is_null(); }
  bool Has(const std::string& name) const { return header_.contains(name); }
  std::vector<int64_t> Shape(const std::string& name) const {
    return header_.at(name).at("shape").get<std::vector<int64_t>>();
  }
  template <typename T>
  std::vector<T> Values(const std::string& name) const {
    const auto offsets = header_.at(name).at("data_offsets").get<std::vector<uint64_t>>();
    std::vector<T> values((offsets[1] - offsets[0]) / sizeof(T));
    std::memcpy(values.data(), content_.data() + data_begin_ + offsets[0], offsets[1] - offsets[0]);
    return values;
  }

 private:
  std::string content_;
  nlohmann::json header_;
  uint64_t data_begin_ = 0;
};

}  // namespace sluice

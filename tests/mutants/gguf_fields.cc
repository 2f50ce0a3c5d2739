#include "mutants/gguf_fields.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr uint32_t kFloat32 = 6;
constexpr uint32_t kString = 8;
constexpr uint32_t kArray = 9;
// Elements of an array that become fields: vocabularies have thousands, all alike.
constexpr uint64_t kElementsMapped = 8;

size_t WidthOf(uint32_t type) {
  constexpr size_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kWidths[type];
}

class Walk {
 public:
  explicit Walk(const std::string& file) : file_(file) {}

  uint64_t Number(GgufFieldKind kind, size_t bytes) {
    map.fields.push_back({.kind = kind, .at = at_, .bytes = bytes});
    return Skip(bytes);
  }
  uint64_t Skip(size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, file_.data() + at_, std::min<size_t>(bytes, sizeof(value)));
    at_ += bytes;
    return value;
  }
  void Text() {
    const auto bytes = static_cast<size_t>(Number(GgufFieldKind::kCount, 8));
    map.fields.push_back({.kind = GgufFieldKind::kText, .at = at_, .bytes = bytes});
    at_ += bytes;
  }
  void Value(uint32_t type) {
    if (type == kString) return Text();
    if (type == kArray) return Array();
    (void)Number(type == kFloat32 ? GgufFieldKind::kFloat : GgufFieldKind::kInteger, WidthOf(type));
  }
  void Array() {
    const auto type = static_cast<uint32_t>(Number(GgufFieldKind::kType, 4));
    const uint64_t count = Number(GgufFieldKind::kCount, 8);
    for (uint64_t i = 0; i < count; ++i) {
      const size_t known = map.fields.size();
      Value(type);
      if (i >= kElementsMapped) map.fields.resize(known);
    }
  }
  void Tensor() {
    Text();
    const uint64_t dimensions = Number(GgufFieldKind::kCount, 4);
    for (uint64_t d = 0; d < dimensions; ++d) (void)Number(GgufFieldKind::kShape, 8);
    const size_t type_at = at_;
    const auto type = static_cast<uint32_t>(Number(GgufFieldKind::kType, 4));
    const uint64_t offset = Number(GgufFieldKind::kOffset, 8);
    map.tensors.push_back({.type_at = type_at, .offset = offset, .bytes = 0, .type = type});
  }
  // Offsets count from the first multiple of 32 behind the header.
  void Finish() {
    map.header_bytes = at_;
    const size_t begin = (at_ + 31) / 32 * 32;
    for (GgufTensor& tensor : map.tensors) tensor.offset += begin;
    for (GgufTensor& tensor : map.tensors) {
      size_t end = file_.size();
      for (const GgufTensor& other : map.tensors) {
        if (other.offset > tensor.offset) end = std::min(end, other.offset);
      }
      tensor.bytes = end - tensor.offset;
    }
  }

  GgufMap map;

 private:
  const std::string& file_;
  size_t at_ = 0;
};

}  // namespace

GgufMap MapGguf(const std::string& file) {
  Walk walk(file);
  (void)walk.Number(GgufFieldKind::kType, 4);  // magic
  (void)walk.Number(GgufFieldKind::kType, 4);  // version
  const uint64_t tensors = walk.Number(GgufFieldKind::kCount, 8);
  const uint64_t keys = walk.Number(GgufFieldKind::kCount, 8);
  for (uint64_t i = 0; i < keys; ++i) {
    walk.Text();
    walk.Value(static_cast<uint32_t>(walk.Number(GgufFieldKind::kType, 4)));
  }
  for (uint64_t i = 0; i < tensors; ++i) walk.Tensor();
  walk.Finish();
  return std::move(walk.map);
}

}  // namespace sluice

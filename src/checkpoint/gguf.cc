#include "checkpoint/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
// Far beyond any real file (the largest have some 2,000 tensors and 60 keys), far below harm.
constexpr uint64_t kMaxKeys = 1U << 16;
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxStringBytes = 64U << 20;
constexpr uint64_t kMaxArrayElements = 1U << 24;
constexpr uint32_t kMaxDimensions = 4;

enum class ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

// Reads a file front to back through a small window.
class Cursor {
 public:
  explicit Cursor(const File* file) : file_(file) {}

  const File* file() const { return file_; }
  uint64_t position() const { return window_begin_ + used_; }
  uint64_t left() const { return file_->bytes() - position(); }

  Status Error(const std::string& what) const {
    return CorruptError(fmt::format("{}: at byte {}: {}", file_->name(), position(), what));
  }

  Status Read(void* out, size_t bytes) {
    if (bytes > left()) return Error("the header goes on past the end of the file");
    auto* to = static_cast<std::byte*>(out);
    while (bytes > 0) {
      if (used_ == window_.size()) SLUICE_TRY(Refill());
      const size_t n = std::min(bytes, window_.size() - used_);
      std::memcpy(to, window_.data() + used_, n);
      used_ += n;
      to += n;
      bytes -= n;
    }
    return {};
  }

  template <typename T>
  Result<T> Scalar() {
    T value{};
    SLUICE_TRY(Read(&value, sizeof(value)));
    return value;
  }

  Result<std::string> String(uint64_t limit) {
    SLUICE_TRY_ASSIGN(const uint64_t bytes, Scalar<uint64_t>());
    if (bytes > limit || bytes > left()) {
      return Error(fmt::format("a string of {} bytes is too long", bytes));
    }
    std::string text(bytes, '\0');
    SLUICE_TRY(Read(text.data(), bytes));
    return text;
  }

 private:
  Status Refill() {
    constexpr uint64_t kWindowBytes = 256U << 10;
    window_begin_ += used_;
    used_ = 0;
    window_.resize(std::min(kWindowBytes, file_->bytes() - window_begin_));
    return file_->ReadAt(window_begin_, window_);
  }

  const File* file_;
  uint64_t window_begin_ = 0;
  size_t used_ = 0;
  std::vector<std::byte> window_;
};

// Reads scalars of GGUF type T, `count` of them, as Out.
template <typename T, typename Out>
Result<std::vector<Out>> ReadNumbers(Cursor* in, uint64_t count) {
  if (count > in->left() / sizeof(T)) return in->Error("an array goes on past the end of the file");
  std::vector<T> raw(count);
  SLUICE_TRY(in->Read(raw.data(), count * sizeof(T)));
  return std::vector<Out>(raw.begin(), raw.end());
}

Result<std::vector<std::string>> ReadStrings(Cursor* in, uint64_t count) {
  if (count > in->left() / sizeof(uint64_t)) {
    return in->Error("an array goes on past the end of the file");
  }
  std::vector<std::string> strings;
  for (uint64_t i = 0; i < count; ++i) {
    SLUICE_TRY_ASSIGN(std::string text, in->String(kMaxStringBytes));
    strings.push_back(std::move(text));
  }
  return strings;
}

template <typename Out>
Result<MetadataValue> AsValue(Result<std::vector<Out>> numbers) {
  if (!numbers.ok()) return numbers.status();
  return MetadataValue(*std::move(numbers));
}

Result<MetadataValue> ReadArray(Cursor* in) {
  SLUICE_TRY_ASSIGN(const uint32_t type, in->Scalar<uint32_t>());
  SLUICE_TRY_ASSIGN(const uint64_t count, in->Scalar<uint64_t>());
  if (count > kMaxArrayElements) {
    return in->Error(fmt::format("an array of {} elements is too long", count));
  }
  switch (static_cast<ValueType>(type)) {
    case ValueType::kU8:
    case ValueType::kBool:
      return AsValue(ReadNumbers<uint8_t, int64_t>(in, count));
    case ValueType::kI8:
      return AsValue(ReadNumbers<int8_t, int64_t>(in, count));
    case ValueType::kU16:
      return AsValue(ReadNumbers<uint16_t, int64_t>(in, count));
    case ValueType::kI16:
      return AsValue(ReadNumbers<int16_t, int64_t>(in, count));
    case ValueType::kU32:
      return AsValue(ReadNumbers<uint32_t, int64_t>(in, count));
    case ValueType::kI32:
      return AsValue(ReadNumbers<int32_t, int64_t>(in, count));
    case ValueType::kU64:
      return AsValue(ReadNumbers<uint64_t, int64_t>(in, count));
    case ValueType::kI64:
      return AsValue(ReadNumbers<int64_t, int64_t>(in, count));
    case ValueType::kF32:
      return AsValue(ReadNumbers<float, double>(in, count));
    case ValueType::kF64:
      return AsValue(ReadNumbers<double, double>(in, count));
    case ValueType::kString:
      return AsValue(ReadStrings(in, count));
    case ValueType::kArray:
      return in->Error("an array of arrays is not supported");
  }
  return in->Error(fmt::format("array element type {} does not exist", type));
}

template <typename T, typename Out>
Result<MetadataValue> ReadScalar(Cursor* in) {
  SLUICE_TRY_ASSIGN(const T value, in->Scalar<T>());
  return MetadataValue(static_cast<Out>(value));
}

Result<MetadataValue> ReadValue(Cursor* in) {
  SLUICE_TRY_ASSIGN(const uint32_t type, in->Scalar<uint32_t>());
  switch (static_cast<ValueType>(type)) {
    case ValueType::kU8:
      return ReadScalar<uint8_t, uint64_t>(in);
    case ValueType::kI8:
      return ReadScalar<int8_t, int64_t>(in);
    case ValueType::kU16:
      return ReadScalar<uint16_t, uint64_t>(in);
    case ValueType::kI16:
      return ReadScalar<int16_t, int64_t>(in);
    case ValueType::kU32:
      return ReadScalar<uint32_t, uint64_t>(in);
    case ValueType::kI32:
      return ReadScalar<int32_t, int64_t>(in);
    case ValueType::kU64:
      return ReadScalar<uint64_t, uint64_t>(in);
    case ValueType::kI64:
      return ReadScalar<int64_t, int64_t>(in);
    case ValueType::kF32:
      return ReadScalar<float, double>(in);
    case ValueType::kF64:
      return ReadScalar<double, double>(in);
    case ValueType::kArray:
      return ReadArray(in);
    case ValueType::kBool: {
      SLUICE_TRY_ASSIGN(const uint8_t value, in->Scalar<uint8_t>());
      if (value > 1) return in->Error(fmt::format("a boolean has the value {}", value));
      return MetadataValue(value == 1);
    }
    case ValueType::kString: {
      SLUICE_TRY_ASSIGN(std::string text, in->String(kMaxStringBytes));
      return MetadataValue(std::move(text));
    }
  }
  return in->Error(fmt::format("value type {} does not exist", type));
}

struct TensorHeader {
  std::string name;
  std::vector<int64_t> shape;
  Format format;
  uint64_t offset;  // from the start of the tensor data
};

Result<TensorHeader> ReadTensorHeader(Cursor* in) {
  TensorHeader header{};
  SLUICE_TRY_ASSIGN(header.name, in->String(kMaxKeyBytes));
  SLUICE_TRY_ASSIGN(const uint32_t dimensions, in->Scalar<uint32_t>());
  if (dimensions == 0 || dimensions > kMaxDimensions) {
    return in->Error(fmt::format("tensor '{}' has {} dimensions", header.name, dimensions));
  }
  for (uint32_t i = 0; i < dimensions; ++i) {
    SLUICE_TRY_ASSIGN(const uint64_t size, in->Scalar<uint64_t>());
    header.shape.push_back(size > static_cast<uint64_t>(INT64_MAX) ? 0
                                                                   : static_cast<int64_t>(size));
  }
  std::ranges::reverse(header.shape);  // the file has the contiguous dimension first
  SLUICE_TRY_ASSIGN(const uint32_t type, in->Scalar<uint32_t>());
  const std::optional<Format> format = FormatOfGgufType(type);
  if (!format) {
    return UnsupportedError(
        fmt::format("{}: tensor '{}' has format {} ({}), which is not supported",
                    in->file()->name(), header.name, GgufTypeName(type), type));
  }
  header.format = *format;
  SLUICE_TRY_ASSIGN(header.offset, in->Scalar<uint64_t>());
  return header;
}

Result<uint64_t> Alignment(const Metadata& metadata) {
  constexpr int64_t kDefault = 32;
  SLUICE_TRY_ASSIGN(const int64_t alignment,
                    metadata.IntOr("general.alignment", 1, int64_t{1} << 30, kDefault));
  if (!std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return CorruptError(fmt::format("{}: 'general.alignment' is {}, which is no power of two",
                                    metadata.source(), alignment));
  }
  return static_cast<uint64_t>(alignment);
}

// Tensors may lie in any order, but not on each other.
Status CheckOverlap(const File* file, std::vector<std::pair<uint64_t, uint64_t>> ranges) {
  std::ranges::sort(ranges);
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) {
      return CorruptError(
          fmt::format("{}: two tensors share the bytes at {}", file->name(), ranges[i].first));
    }
  }
  return {};
}

Status ReadPreamble(Cursor* in, uint64_t* tensor_count, uint64_t* key_count) {
  SLUICE_TRY_ASSIGN(const uint32_t magic, in->Scalar<uint32_t>());
  if (magic != kMagic) {
    return CorruptError(in->file()->name() + ": not a GGUF file (its first bytes are not 'GGUF')");
  }
  SLUICE_TRY_ASSIGN(const uint32_t version, in->Scalar<uint32_t>());
  if ((version & 0xFFFFU) == 0) {
    return UnsupportedError(in->file()->name() + ": a big-endian GGUF file; convert it first");
  }
  if (version != 2 && version != 3) {
    return UnsupportedError(fmt::format("{}: GGUF version {}; versions 2 and 3 are supported",
                                        in->file()->name(), version));
  }
  SLUICE_TRY_ASSIGN(*tensor_count, in->Scalar<uint64_t>());
  SLUICE_TRY_ASSIGN(*key_count, in->Scalar<uint64_t>());
  if (*tensor_count > kMaxTensors) {
    return in->Error(fmt::format("{} tensors are too many", *tensor_count));
  }
  if (*key_count > kMaxKeys) return in->Error(fmt::format("{} keys are too many", *key_count));
  return {};
}

Status ReadKeys(Cursor* in, uint64_t count, Metadata* metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    SLUICE_TRY_ASSIGN(std::string key, in->String(kMaxKeyBytes));
    Result<MetadataValue> value = ReadValue(in);
    if (!value.ok()) return value.status().Annotate("key '" + key + "'");
    if (!metadata->Insert(key, *std::move(value))) {
      return in->Error(fmt::format("key '{}' appears twice", key));
    }
  }
  return {};
}

}  // namespace

Status ReadGguf(const File* file, Metadata* metadata, TensorTable* tensors) {
  Cursor in(file);
  uint64_t tensor_count = 0;
  uint64_t key_count = 0;
  SLUICE_TRY(ReadPreamble(&in, &tensor_count, &key_count));
  Metadata own(file->name());
  SLUICE_TRY(ReadKeys(&in, key_count, &own));
  SLUICE_TRY_ASSIGN(const uint64_t alignment, Alignment(own));

  std::vector<TensorHeader> headers;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    SLUICE_TRY_ASSIGN(TensorHeader header, ReadTensorHeader(&in));
    headers.push_back(std::move(header));
  }
  const uint64_t data_begin = (in.position() + alignment - 1) / alignment * alignment;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (TensorHeader& header : headers) {
    if (header.offset % alignment != 0 || header.offset > file->bytes()) {
      return CorruptError(fmt::format("{}: tensor '{}' has the impossible offset {}", file->name(),
                                      header.name, header.offset));
    }
    TensorEntry entry{.file = file,
                      .offset = data_begin + header.offset,
                      .format = header.format,
                      .shape = std::move(header.shape)};
    SLUICE_TRY(tensors->Insert(header.name, std::move(entry)));
    const TensorEntry& inserted = tensors->entries().find(header.name)->second;
    ranges.emplace_back(inserted.offset, inserted.offset + inserted.bytes);
  }
  SLUICE_TRY(CheckOverlap(file, std::move(ranges)));
  if (metadata != nullptr) *metadata = std::move(own);
  return {};
}

Result<std::vector<EncodedKey>> ReadEncodedKeys(const File* file) {
  Cursor in(file);
  uint64_t tensor_count = 0;
  uint64_t key_count = 0;
  SLUICE_TRY(ReadPreamble(&in, &tensor_count, &key_count));
  std::vector<EncodedKey> keys;
  for (uint64_t i = 0; i < key_count; ++i) {
    EncodedKey key;
    SLUICE_TRY_ASSIGN(key.name, in.String(kMaxKeyBytes));
    const uint64_t begin = in.position();
    Result<MetadataValue> value = ReadValue(&in);
    if (!value.ok()) return value.status().Annotate("key '" + key.name + "'");
    key.type_and_value.resize(in.position() - begin);
    SLUICE_TRY(file->ReadAt(begin, std::as_writable_bytes(std::span(key.type_and_value))));
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace sluice

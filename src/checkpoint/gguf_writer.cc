#include "checkpoint/gguf_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/write_file.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is written as it lies in memory");

// What readers assume where general.alignment is absent.
constexpr uint64_t kAlignment = 32;

// Value types of the format.
constexpr uint32_t kU32 = 4;
constexpr uint32_t kI32 = 5;
constexpr uint32_t kF32 = 6;
constexpr uint32_t kBool = 7;
constexpr uint32_t kString = 8;
constexpr uint32_t kArray = 9;

constexpr uint64_t Padded(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Result<GgufWriter> GgufWriter::Create(const std::string& path, std::string_view architecture) {
  SLUICE_TRY(CheckReplaceable(path));
  const int fd = open((path + ".partial").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    return IoError(
        fmt::format("{}.partial: cannot write: {}", path, std::generic_category().message(errno)));
  }
  GgufWriter writer(path, fd);
  writer.AddString("general.architecture", architecture);
  return writer;
}

GgufWriter::GgufWriter(GgufWriter&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      keys_(std::move(other.keys_)),
      tensors_(std::move(other.tensors_)),
      key_count_(other.key_count_),
      sizes_(std::move(other.sizes_)),
      tensor_bytes_(other.tensor_bytes_),
      end_(other.end_),
      current_(other.current_),
      written_(other.written_) {}

GgufWriter::~GgufWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(partial().c_str());
}

template <typename T>
void GgufWriter::Number(T value) {
  keys_.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void GgufWriter::String(std::string_view text) {
  Number<uint64_t>(text.size());
  keys_.append(text);
}

void GgufWriter::Key(std::string_view key, uint32_t type) {
  String(key);
  Number(type);
  ++key_count_;
}

void GgufWriter::ArrayKey(std::string_view key, uint32_t type, uint64_t count) {
  Key(key, kArray);
  Number(type);
  Number(count);
}

void GgufWriter::AddU32(std::string_view key, uint32_t value) {
  Key(key, kU32);
  Number(value);
}

void GgufWriter::AddF32(std::string_view key, float value) {
  Key(key, kF32);
  Number(value);
}

void GgufWriter::AddBool(std::string_view key, bool value) {
  Key(key, kBool);
  Number<uint8_t>(value ? 1 : 0);
}

void GgufWriter::AddString(std::string_view key, std::string_view value) {
  Key(key, kString);
  String(value);
}

void GgufWriter::AddStrings(std::string_view key, std::span<const std::string> values) {
  ArrayKey(key, kString, values.size());
  for (const std::string& value : values) String(value);
}

void GgufWriter::AddI32s(std::string_view key, std::span<const int32_t> values) {
  ArrayKey(key, kI32, values.size());
  for (const int32_t value : values) Number(value);
}

void GgufWriter::AddF32s(std::string_view key, std::span<const float> values) {
  ArrayKey(key, kF32, values.size());
  for (const float value : values) Number(value);
}

void GgufWriter::AddTensor(std::string_view name, const GgufTensorType& type,
                           std::span<const int64_t> shape) {
  SLUICE_CHECK(!shape.empty() && shape.back() % type.block_elements == 0);
  const auto append = [this](const auto& value) {
    tensors_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(uint64_t{name.size()});
  tensors_.append(name);
  append(static_cast<uint32_t>(shape.size()));
  uint64_t elements = 1;
  for (size_t i = shape.size(); i-- > 0;) {  // the file has the contiguous dimension first
    append(static_cast<uint64_t>(shape[i]));
    elements *= static_cast<uint64_t>(shape[i]);
  }
  append(type.number);
  append(end_);
  const uint64_t bytes = elements / static_cast<uint64_t>(type.block_elements) *
                         static_cast<uint64_t>(type.block_bytes);
  sizes_.push_back(bytes);
  tensor_bytes_ += bytes;
  end_ += Padded(bytes);
}

Status GgufWriter::Begin() {
  constexpr uint32_t kVersion = 3;
  std::string header = "GGUF";
  const auto append = [&header](const auto& value) {
    header.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(kVersion);
  append(uint64_t{sizes_.size()});
  append(key_count_);
  header += keys_;
  header += tensors_;
  header.resize(Padded(header.size()));
  const auto whole = static_cast<off_t>(header.size() + end_);
  // Some file systems cannot reserve; there a full disk shows when it is met.
  if (fallocate(fd_, 0, 0, whole) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
    return Failure("no room for the whole file").Annotate(fmt::format("{} bytes", whole));
  }
  return WriteAll(std::as_bytes(std::span(header)));
}

Status GgufWriter::Write(std::span<const std::byte> bytes) {
  SLUICE_CHECK(current_ < sizes_.size() && bytes.size() <= sizes_[current_] - written_);
  SLUICE_TRY(WriteAll(bytes));
  written_ += bytes.size();
  if (written_ < sizes_[current_]) return {};
  constexpr std::byte kZeros[kAlignment] = {};
  SLUICE_TRY(WriteAll(std::span(kZeros, Padded(written_) - written_)));
  ++current_;
  written_ = 0;
  return {};
}

Status GgufWriter::Finish() {
  SLUICE_CHECK(current_ == sizes_.size());
  // Without this a crash soon after could leave a file of zeros under the name.
  if (fsync(fd_) != 0) return Failure("cannot write");
  if (close(std::exchange(fd_, -1)) != 0) return Failure("cannot write");
  if (std::rename(partial().c_str(), path_.c_str()) != 0) {
    Status failure = Failure("cannot rename");
    unlink(partial().c_str());
    return failure;
  }
  return {};
}

Status GgufWriter::WriteAll(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure("cannot write");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status GgufWriter::Failure(const char* what) const {
  return IoError(
      fmt::format("{}: {}: {}", partial(), what, std::generic_category().message(errno)));
}

}  // namespace sluice

#include "checkpoint/gguf_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
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

// What stands for the magic number and the version in a file that can be continued.
constexpr size_t kMarkBytes = 8;

// FNV-1a of 64 bits.
uint64_t Hash(std::string_view text, uint64_t hash) {
  hash ^= 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

// Whether the file still has the name: whoever held the lock before may have taken it away.
bool HasName(int fd, const std::string& path) {
  struct stat opened = {};
  struct stat named = {};
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Opens it and locks it for this writer alone.
Result<int> OpenLocked(const std::string& partial) {
  for (;;) {
    const int fd = open(partial.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
      return IoError(
          fmt::format("{}: cannot write: {}", partial, std::generic_category().message(errno)));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      close(fd);
      return IoError(partial + ": somebody else is writing it; wait, or write another file");
    }
    if (HasName(fd, partial)) return fd;
    close(fd);
  }
}

}  // namespace

Result<GgufWriter> GgufWriter::Create(const std::string& path, std::string_view architecture) {
  SLUICE_TRY(CheckReplaceable(path));
  SLUICE_TRY(CheckReplaceable(path + ".partial"));
  SLUICE_TRY_ASSIGN(const int fd, OpenLocked(path + ".partial"));
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
      layout_(std::move(other.layout_)),
      tensor_bytes_(other.tensor_bytes_),
      end_(other.end_),
      current_(other.current_),
      written_(other.written_),
      mark_(std::move(other.mark_)),
      unfinished_mark_(std::move(other.unfinished_mark_)),
      began_(other.began_),
      keeps_partial_(other.keeps_partial_) {}

GgufWriter::~GgufWriter() {
  if (fd_ < 0) return;
  struct stat status = {};
  const bool is_ours = began_ || (fstat(fd_, &status) == 0 && status.st_size == 0);
  // While it is locked: afterwards it may be another writer's.
  if (is_ours && !keeps_partial_) unlink(partial().c_str());
  close(fd_);
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

void GgufWriter::AddEncoded(std::string_view key, std::string_view type_and_value) {
  String(key);
  keys_.append(type_and_value);
  ++key_count_;
}

void GgufWriter::AddTensor(std::string_view name, Format format, std::span<const int64_t> shape) {
  const FormatSpec& spec = Spec(format);
  SLUICE_CHECK(!shape.empty() && shape.back() % spec.block_elements == 0);
  const auto append = [this](const auto& value) {
    tensors_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(uint64_t{name.size()});
  tensors_.append(name);
  append(static_cast<uint32_t>(shape.size()));
  auto bytes = static_cast<uint64_t>(spec.row_bytes(shape.back()));
  for (size_t i = shape.size(); i-- > 0;) {  // the file has the contiguous dimension first
    append(static_cast<uint64_t>(shape[i]));
    if (i + 1 < shape.size()) bytes *= static_cast<uint64_t>(shape[i]);
  }
  append(spec.gguf_type);
  append(end_);
  layout_.push_back({.offset = end_, .bytes = bytes});
  tensor_bytes_ += bytes;
  end_ += Padded(bytes);
}

std::string GgufWriter::Header() const {
  constexpr uint32_t kVersion = 3;
  std::string header = "GGUF";
  const auto append = [&header](const auto& value) {
    header.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(kVersion);
  append(uint64_t{layout_.size()});
  append(key_count_);
  header += keys_;
  header += tensors_;
  header.resize(Padded(header.size()));
  return header;
}

// Some file systems cannot reserve; there a full disk shows when it is met. The length stays what
// has been written: it says where to continue.
Status GgufWriter::Reserve(uint64_t header_bytes) {
  const auto whole = static_cast<off_t>(header_bytes + end_);
  if (fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, whole) != 0 && errno != EOPNOTSUPP &&
      errno != ENOSYS) {
    return Failure("no room for the whole file").Annotate(fmt::format("{} bytes", whole));
  }
  return {};
}

Status GgufWriter::BeginAnew(std::string_view header) {
  began_ = true;
  if (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) != 0) return Failure("cannot write");
  SLUICE_TRY(Reserve(header.size()));
  return WriteAll(std::as_bytes(std::span(header)));
}

Status GgufWriter::Begin() {
  const std::string header = Header();
  mark_ = header.substr(0, kMarkBytes);
  return BeginAnew(header);
}

Result<GgufWriter::Place> GgufWriter::PlaceInFile(std::string_view header) const {
  const off_t length = lseek(fd_, 0, SEEK_END);
  if (length < 0) return Failure("cannot read");
  const auto bytes = static_cast<uint64_t>(length);
  const auto anew = [](const char* reason) {
    Place place;
    place.anew_because = reason;
    return place;
  };
  if (bytes == 0) return Place();
  if (bytes < header.size()) return anew("it ends within its header");
  std::string found(header.size(), '\0');
  if (pread(fd_, found.data(), found.size(), 0) != std::ssize(found)) return Failure("cannot read");
  if (found.substr(kMarkBytes) != header.substr(kMarkBytes)) {
    return anew("it is of another model, type or name");
  }
  if (found != header) return anew("the source has changed, or this version writes other bytes");
  Place place;
  for (const Tensor& tensor : layout_) {
    const uint64_t there = bytes - header.size();
    if (there < tensor.offset + Padded(tensor.bytes)) {
      // The last byte of a tensor is what its padding is written with.
      if (there > tensor.offset) place.bytes = std::min(there - tensor.offset, tensor.bytes - 1);
      break;
    }
    ++place.tensor;
  }
  place.file_bytes = bytes;
  return place;
}

Result<GgufWriter::Place> GgufWriter::BeginOrContinue(std::string_view sources) {
  std::string header = Header();
  mark_ = header.substr(0, kMarkBytes);
  const uint64_t hash = Hash(sources, Hash(header, 0));
  static_assert(sizeof(hash) == kMarkBytes);
  std::memcpy(header.data(), &hash, sizeof(hash));
  unfinished_mark_ = header.substr(0, kMarkBytes);
  SLUICE_TRY_ASSIGN(Place place, PlaceInFile(header));
  if (place.file_bytes == 0) {
    SLUICE_TRY(BeginAnew(header));
    keeps_partial_ = true;
    return place;
  }
  keeps_partial_ = true;
  SLUICE_TRY(Reserve(header.size()));
  current_ = place.tensor;
  const bool whole = current_ == layout_.size();
  written_ = place.bytes;
  const auto end =
      static_cast<off_t>(header.size() + (whole ? end_ : layout_[current_].offset) + written_);
  if (ftruncate(fd_, end) != 0 || lseek(fd_, end, SEEK_SET) != end) return Failure("cannot write");
  return place;
}

Status GgufWriter::Write(std::span<const std::byte> bytes) {
  SLUICE_CHECK(current_ < layout_.size() && bytes.size() <= layout_[current_].bytes - written_);
  SLUICE_TRY(WriteAll(bytes));
  written_ += bytes.size();
  if (written_ < layout_[current_].bytes) return {};
  constexpr std::byte kZeros[kAlignment] = {};
  SLUICE_TRY(WriteAll(std::span(kZeros, Padded(written_) - written_)));
  ++current_;
  written_ = 0;
  return {};
}

Status GgufWriter::WriteMark(std::string_view mark) {
  if (pwrite(fd_, mark.data(), mark.size(), 0) != std::ssize(mark) || fsync(fd_) != 0) {
    return Failure("cannot write");
  }
  return {};
}

Status GgufWriter::Finish() {
  SLUICE_CHECK(current_ == layout_.size());
  // The numbers are on the disk before the magic number, and that before the name: a crash leaves
  // no file that looks whole and is not.
  if (fsync(fd_) != 0) return Failure("cannot write");
  SLUICE_TRY(WriteMark(mark_));
  if (std::rename(partial().c_str(), path_.c_str()) != 0) {
    Status failure = Failure("cannot rename");
    if (!unfinished_mark_.empty()) SLUICE_TRY(WriteMark(unfinished_mark_));
    return failure;
  }
  // Only now may the lock go.
  if (close(std::exchange(fd_, -1)) != 0) return Failure("cannot write");
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

// File: one buffered descriptor for headers and dense weights, one direct descriptor for experts.
#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace sluice {
namespace {

std::string ErrorText(int error) { return std::generic_category().message(error); }

}  // namespace

File::File(std::string name, int buffered, int direct, uint64_t begin, uint64_t bytes,
           Version version)
    : name_(std::move(name)),
      buffered_fd_(buffered),
      direct_fd_(direct),
      begin_(begin),
      bytes_(bytes),
      version_(version) {}

File::~File() {
  close(buffered_fd_);
  if (direct_fd_ >= 0) close(direct_fd_);
}

Result<std::unique_ptr<File>> File::Open(const std::string& path) {
  return OpenRange(path, 0, UINT64_MAX, path);
}

Result<std::unique_ptr<File>> File::OpenRange(const std::string& path, uint64_t offset,
                                              uint64_t bytes, std::string name) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    const std::string message = fmt::format("{}: cannot open: {}", name, ErrorText(error));
    return error == ENOENT ? NotFoundError(message) : IoError(message);
  }
  struct stat info = {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return InvalidArgumentError(fmt::format("{}: not a regular file", name));
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  if (offset > size || (bytes != UINT64_MAX && bytes > size - offset)) {
    close(fd);
    return CorruptError(fmt::format("{}: bytes {}+{} lie outside the file", name, offset, bytes));
  }
  const int direct = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  return std::unique_ptr<File>(new File(std::move(name), fd, direct, offset,
                                        std::min(bytes, size - offset), VersionOf(info)));
}

File::Version File::VersionOf(const struct stat& status) {
  return {.seconds = status.st_mtim.tv_sec, .nanoseconds = status.st_mtim.tv_nsec};
}

Status File::CheckUnchanged() const {
  struct stat now = {};
  if (fstat(buffered_fd_, &now) != 0) {
    return IoError(fmt::format("{}: {}", name_, ErrorText(errno)));
  }
  if (VersionOf(now) == version_) return {};
  return IoError(name_ + ": somebody wrote to the file while it was in use; open it again");
}

Status File::ReadAt(uint64_t offset, std::span<std::byte> out) const {
  if (offset > bytes_ || out.size() > bytes_ - offset) {
    return CorruptError(fmt::format("{}: wants bytes {}..{}, but the file ends at {}", name_,
                                    offset, offset + out.size(), bytes_));
  }
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = pread(buffered_fd_, out.data() + done, out.size() - done,
                            static_cast<off_t>(begin_ + offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return IoError(
          fmt::format("{}: read at {} failed: {}", name_, offset + done, ErrorText(errno)));
    }
    if (n == 0) {
      return IoError(fmt::format("{}: the file was shortened while in use (ends at {})", name_,
                                 offset + done));
    }
    done += static_cast<size_t>(n);
  }
  return CheckUnchanged();
}

Result<std::string> File::ReadAll(uint64_t limit) const {
  if (bytes_ > limit) {
    return CorruptError(fmt::format("{}: {} bytes, more than the {} that such a file may have",
                                    name_, bytes_, limit));
  }
  std::string text(bytes_, '\0');
  SLUICE_TRY(ReadAt(0, std::as_writable_bytes(std::span(text))));
  return text;
}

AlignedExtent ReadQueue::Extent(const File& file, uint64_t offset, uint64_t bytes) {
  const uint64_t absolute = file.begin_ + offset;
  const uint64_t begin = absolute / kDirectAlignment * kDirectAlignment;
  const uint64_t end =
      (absolute + bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
  return {.begin = begin, .bytes = end - begin, .skip = absolute - begin};
}

ReadQueue::Target ReadQueue::Resolve(const ReadRequest& request) {
  const File& file = *request.file;
  const AlignedExtent extent = Extent(file, request.offset, request.bytes);
  return {.fd = file.direct_fd_ >= 0 ? file.direct_fd_ : file.buffered_fd_,
          .extent = extent,
          .needed = extent.skip + request.bytes};
}

}  // namespace sluice

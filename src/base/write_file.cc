#include "base/write_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace sluice {
namespace {

Status CannotWrite(const std::string& path, int error) {
  return IoError(fmt::format("{}: cannot write: {}", path, std::generic_category().message(error)));
}

Status WriteAs(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return CannotWrite(path, errno);
  int error = 0;
  if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) error = errno;
  if (std::fclose(file) != 0 && error == 0) error = errno;
  return error == 0 ? Status() : CannotWrite(path, error);
}

}  // namespace

Status CheckReplaceable(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return {};
  return InvalidArgumentError(
      fmt::format("{}: is {}; give the name of a file", path,
                  S_ISDIR(status.st_mode) ? "a folder" : "no regular file"));
}

Status WriteWholeFile(const std::string& path, std::string_view text) {
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return WriteAs(path, text);
  const std::string partial = fmt::format("{}.{}", path, getpid());
  Status written = WriteAs(partial, text);
  if (written.ok() && std::rename(partial.c_str(), path.c_str()) != 0) {
    written = CannotWrite(path, errno);
  }
  if (!written.ok()) std::remove(partial.c_str());
  return written;
}

}  // namespace sluice

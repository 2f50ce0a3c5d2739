#include "base/write_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace sluice {
namespace {

Status CannotWrite(const std::string& path, int error) {
  return IoError(fmt::format("{}: cannot write: {}", path, std::generic_category().message(error)));
}

}  // namespace

Status CheckReplaceable(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return {};
  return InvalidArgumentError(
      fmt::format("{}: is {}; give the name of a file", path,
                  S_ISDIR(status.st_mode) ? "a folder" : "no regular file"));
}

Result<WholeFile> WholeFile::Create(const std::string& path) {
  struct stat status = {};
  const bool replaces = stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode);
  std::string partial = replaces ? fmt::format("{}.{}", path, getpid()) : "";
  Stream stream(std::fopen(replaces ? partial.c_str() : path.c_str(), "wbe"), std::fclose);
  if (stream == nullptr) return CannotWrite(path, errno);
  return WholeFile(path, std::move(partial), std::move(stream));
}

WholeFile::~WholeFile() {
  if (stream_ == nullptr) return;  // finished, or moved from
  stream_.reset();
  if (!partial_.empty()) std::remove(partial_.c_str());
}

Status WholeFile::Write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stream_.get()) == bytes.size()) return {};
  return CannotWrite(path_, errno);
}

Status WholeFile::Finish() {
  int error = std::fclose(stream_.release()) == 0 ? 0 : errno;
  if (partial_.empty()) return error == 0 ? Status() : CannotWrite(path_, error);
  if (error == 0 && std::rename(partial_.c_str(), path_.c_str()) != 0) error = errno;
  if (error == 0) return {};
  std::remove(partial_.c_str());
  return CannotWrite(path_, error);
}

Status WriteWholeFile(const std::string& path, std::string_view text) {
  SLUICE_TRY_ASSIGN(WholeFile file, WholeFile::Create(path));
  SLUICE_TRY(file.Write(text));
  return file.Finish();
}

}  // namespace sluice

// Files that appear under their name only when they are whole.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "sluice/status.h"

namespace sluice {

// A file that is written piece by piece, beside `path`, and gets the name with Finish(): whoever
// reads `path` sees the old content or the new one, also after a full disk or a kill. What is there
// and no regular file (/dev/stdout, a pipe) is written to as it is. Failures name the file and the
// system's reason. Destroyed before Finish(), or after a failure, it leaves nothing behind.
class WholeFile {
 public:
  static Result<WholeFile> Create(const std::string& path);
  ~WholeFile();
  WholeFile(const WholeFile&) = delete;
  WholeFile& operator=(const WholeFile&) = delete;
  WholeFile(WholeFile&&) noexcept = default;
  WholeFile& operator=(WholeFile&&) = delete;

  Status Write(std::string_view bytes);
  // REQUIRES: no Write() failed. Nothing is written after it.
  Status Finish();

 private:
  using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  WholeFile(std::string path, std::string partial, Stream stream)
      : path_(std::move(path)), partial_(std::move(partial)), stream_(std::move(stream)) {}

  std::string path_;
  std::string partial_;  // the name meanwhile; "" where there is none
  Stream stream_;
};

Status WriteWholeFile(const std::string& path, std::string_view text);

// A failure if a file cannot take the name `path`: something else than a regular file has it.
Status CheckReplaceable(const std::string& path);

}  // namespace sluice

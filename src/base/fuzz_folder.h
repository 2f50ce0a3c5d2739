// A folder that one input of a fuzzer is written into: in memory where the system has a place for
// that, empty at first, and gone with the input unless it crashes. (libFuzzer ends without running
// destructors of statics.)
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace sluice {

class FuzzFolder {
 public:
  FuzzFolder() {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;
  ~FuzzFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  void Write(const char* name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }

 private:
  static std::filesystem::path Base() {
    const std::filesystem::path memory = "/dev/shm";
    return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
  }
  const std::filesystem::path path_ = Base() / ("sluice-fuzz." + std::to_string(getpid()));
};

}  // namespace sluice

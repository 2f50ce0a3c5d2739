// Any bytes as model.safetensors.index.json of a directory, whose files it may not leave.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace {

namespace fs = std::filesystem;

// One shard, in a folder of this process, which goes when the process ends.
class Folder {
 public:
  Folder() {
    fs::create_directories(path_);
    std::ofstream(path_ / "config.json") << "{}";
    const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    const uint64_t bytes = header.size();
    std::ofstream(path_ / "m.safetensors", std::ios::binary)
        << std::string_view(reinterpret_cast<const char*>(&bytes), sizeof(bytes)) << header
        << std::string(4, '\0');
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  const fs::path path_ = fs::temp_directory_path() / ("sluice-index." + std::to_string(getpid()));
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const Folder folder;
  std::ofstream(folder.path() / "model.safetensors.index.json", std::ios::binary)
      << std::string_view(reinterpret_cast<const char*>(bytes), size);
  const auto checkpoint = sluice::OpenCheckpoint(folder.path().string());
  if (!checkpoint.ok()) return 0;
  for (const auto& file : checkpoint->tensors.files()) {
    if (fs::path(file->name()).parent_path() != folder.path()) std::abort();
  }
  return 0;
}

// Any bytes as model.safetensors.index.json of a directory, whose files it may not leave.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/fuzz_folder.h"
#include "checkpoint/checkpoint.h"

namespace {

// A safetensors file of one number.
std::string Shard() {
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const uint64_t bytes = header.size();
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes)) + header +
         std::string(4, '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const std::string shard = Shard();
  const sluice::FuzzFolder folder;
  folder.Write("config.json", "{}");
  folder.Write("m.safetensors", shard);
  folder.Write("model.safetensors.index.json", {reinterpret_cast<const char*>(bytes), size});
  const auto checkpoint = sluice::OpenCheckpoint(folder.path().string());
  if (!checkpoint.ok()) return 0;
  for (const auto& file : checkpoint->tensors.files()) {
    if (std::filesystem::path(file->name()).parent_path() != folder.path()) std::abort();
  }
  return 0;
}

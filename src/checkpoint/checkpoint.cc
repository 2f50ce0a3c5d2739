// Which kind of model a path is, and the files that belong to it.
#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "checkpoint/gguf.h"
#include "checkpoint/packed_matrix.h"
#include "checkpoint/safetensors.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16U << 20;
constexpr uint64_t kMaxTokenizerBytes = 256U << 20;
constexpr uint64_t kMaxIndexBytes = 64U << 20;
constexpr int64_t kMaxShards = 10000;

// model-00001-of-00003.gguf -> the name of shard `index` (from 0); "" if `path` is no such name.
std::string ShardPath(const std::string& path, int64_t index, int64_t count) {
  const std::string first = fmt::format("-00001-of-{:05}.gguf", count);
  if (!path.ends_with(first)) return "";
  return path.substr(0, path.size() - first.size()) +
         fmt::format("-{:05}-of-{:05}.gguf", index + 1, count);
}

Status OpenOtherShards(const std::string& path, Checkpoint* checkpoint) {
  SLUICE_TRY_ASSIGN(const int64_t count,
                    checkpoint->metadata.IntOr("split.count", 0, kMaxShards, 0));
  if (count <= 1) return {};
  SLUICE_TRY_ASSIGN(const int64_t number, checkpoint->metadata.IntOr("split.no", 0, kMaxShards, 0));
  if (number != 0 || ShardPath(path, 0, count).empty()) {
    return InvalidArgumentError(fmt::format(
        "{}: one of {} parts of a model; open the first one, which ends in -00001-of-{:05}.gguf",
        path, count, count));
  }
  for (int64_t i = 1; i < count; ++i) {
    SLUICE_TRY_ASSIGN(auto file, File::Open(ShardPath(path, i, count)));
    SLUICE_TRY(
        ReadGguf(checkpoint->tensors.AddFile(std::move(file)), nullptr, &checkpoint->tensors));
  }
  return {};
}

Result<std::string> ReadTextIfThere(const fs::path& path, uint64_t limit) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::string();
  SLUICE_TRY_ASSIGN(auto file, File::Open(path.string()));
  return file->ReadAll(limit);
}

// The shard files that the index names, in order. Names with a path in them are refused.
Result<std::set<std::string>> ShardNames(const fs::path& index_path) {
  SLUICE_TRY_ASSIGN(auto file, File::Open(index_path.string()));
  SLUICE_TRY_ASSIGN(const std::string text, file->ReadAll(kMaxIndexBytes));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto corrupt = [&](const std::string& why) {
    return CorruptError(index_path.string() + ": " + why);
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return corrupt("no 'weight_map'");
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : json["weight_map"].items()) {
    if (!shard.is_string()) return corrupt("'" + tensor + "' has no file name");
    const auto name = shard.get<std::string>();
    if (name.empty() || name.find('/') != std::string::npos || name == "..") {
      return corrupt("'" + name + "' is no file name");
    }
    names.insert(name);
  }
  if (names.empty() || names.size() > static_cast<size_t>(kMaxShards)) {
    return corrupt(fmt::format("{} shards", names.size()));
  }
  return names;
}

Result<Checkpoint> OpenHuggingFace(const fs::path& folder) {
  Result<std::unique_ptr<File>> config = File::Open((folder / "config.json").string());
  if (!config.ok()) {
    return config.status().Annotate(folder.string() + ": no Hugging Face model directory");
  }
  SLUICE_TRY_ASSIGN(const std::string text, (*config)->ReadAll(kMaxConfigBytes));
  SLUICE_TRY_ASSIGN(Metadata metadata, MetadataFromJson(text, (folder / "config.json").string()));
  Checkpoint checkpoint{.kind = CheckpointKind::kHuggingFace,
                        .path = folder.string(),
                        .metadata = std::move(metadata),
                        .tensors = {},
                        .tokenizer_json = {},
                        .tokenizer_config_json = {},
                        .generation_config_json = {},
                        .chat_template_jinja = {},
                        .chat_template_json = {}};
  std::set<std::string> shards = {"model.safetensors"};
  const fs::path index = folder / "model.safetensors.index.json";
  std::error_code ignored;
  if (fs::exists(index, ignored)) {
    SLUICE_TRY_ASSIGN(shards, ShardNames(index));
  }
  for (const std::string& shard : shards) {
    SLUICE_TRY_ASSIGN(auto file, File::Open((folder / shard).string()));
    SLUICE_TRY(ReadSafetensors(checkpoint.tensors.AddFile(std::move(file)), &checkpoint.tensors));
  }
  SLUICE_TRY(AddPackedMatrices(checkpoint.metadata, &checkpoint.tensors));
  SLUICE_TRY_ASSIGN(checkpoint.tokenizer_json,
                    ReadTextIfThere(folder / "tokenizer.json", kMaxTokenizerBytes));
  SLUICE_TRY_ASSIGN(checkpoint.tokenizer_config_json,
                    ReadTextIfThere(folder / "tokenizer_config.json", kMaxTokenizerBytes));
  SLUICE_TRY_ASSIGN(checkpoint.generation_config_json,
                    ReadTextIfThere(folder / "generation_config.json", kMaxConfigBytes));
  SLUICE_TRY_ASSIGN(checkpoint.chat_template_jinja,
                    ReadTextIfThere(folder / "chat_template.jinja", kMaxConfigBytes));
  SLUICE_TRY_ASSIGN(checkpoint.chat_template_json,
                    ReadTextIfThere(folder / "chat_template.json", kMaxConfigBytes));
  return checkpoint;
}

}  // namespace

Result<Checkpoint> OpenGguf(std::unique_ptr<File> file) {
  Checkpoint checkpoint{.kind = CheckpointKind::kGguf,
                        .path = file->name(),
                        .metadata = Metadata(file->name()),
                        .tensors = {},
                        .tokenizer_json = {},
                        .tokenizer_config_json = {},
                        .generation_config_json = {},
                        .chat_template_jinja = {},
                        .chat_template_json = {}};
  const File* kept = checkpoint.tensors.AddFile(std::move(file));
  SLUICE_TRY(ReadGguf(kept, &checkpoint.metadata, &checkpoint.tensors));
  return checkpoint;
}

Result<Checkpoint> OpenCheckpoint(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return OpenHuggingFace(path);
  SLUICE_TRY_ASSIGN(auto file, File::Open(path));
  SLUICE_TRY_ASSIGN(Checkpoint checkpoint, OpenGguf(std::move(file)));
  SLUICE_TRY(OpenOtherShards(path, &checkpoint));
  return checkpoint;
}

}  // namespace sluice

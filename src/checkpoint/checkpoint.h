// A model on disk, opened: its metadata, its tensors' places, and for Hugging Face directories the
// texts that lie beside them. Nothing of the weights has been read.
#pragma once

#include <string>

#include "checkpoint/metadata.h"
#include "checkpoint/tensor_table.h"
#include "sluice/status.h"

namespace sluice {

enum class CheckpointKind { kGguf, kHuggingFace };

struct Checkpoint {
  CheckpointKind kind = CheckpointKind::kGguf;
  std::string path;
  Metadata metadata;  // GGUF key-values, or config.json flattened
  TensorTable tensors;
  // Hugging Face only; empty where the file is absent.
  std::string tokenizer_json;
  std::string tokenizer_config_json;
  std::string generation_config_json;
  std::string chat_template_jinja;
  std::string chat_template_json;
};

// `path`: a .gguf file (the first one of a split model), or a directory with config.json and
// safetensors.
Result<Checkpoint> OpenCheckpoint(const std::string& path);
// A GGUF in one file that is open already.
Result<Checkpoint> OpenGguf(std::unique_ptr<File> file);

}  // namespace sluice

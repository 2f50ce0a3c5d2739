// One entry per model family: how its metadata reads and what its tensors are called.
//
// Adding a family: a file in arch/ with one `const Architecture`, and a line in architectures.inc.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "model/model_spec.h"
#include "sluice/status.h"

namespace sluice {

// Names of a layer's tensors after its prefix; {} in an expert's name is its number.
struct TensorNames {
  std::string_view embedding;
  std::string_view output_norm;
  std::string_view output;        // absent in the file: tied to the embedding
  std::string_view layer_prefix;  // "{}" is the layer's number
  std::string_view attention_norm;
  std::string_view q, k, v, o;
  std::string_view q_norm, k_norm;
  std::string_view ffn_norm;
  std::string_view router;
  // All experts in one tensor [experts, rows, cols]; "" where the kind of file has none.
  std::string_view stacked_gate, stacked_up, stacked_down;
  // One tensor per expert.
  std::string_view expert_gate, expert_up, expert_down;
};

struct Architecture {
  std::string_view gguf_name;   // general.architecture
  std::string_view model_type;  // config.json
  Result<ModelSpec> (*from_gguf)(const Metadata& metadata);
  Result<ModelSpec> (*from_hugging_face)(const Metadata& metadata);
  TensorNames gguf_names;
  TensorNames hugging_face_names;

  const TensorNames& names(CheckpointKind kind) const {
    return kind == CheckpointKind::kGguf ? gguf_names : hugging_face_names;
  }
};

// The architecture that the checkpoint's metadata names; the failure lists those that are known.
Result<const Architecture*> FindArchitecture(const Checkpoint& checkpoint);

// What most families share; arch files start from these.
Result<ModelSpec> ReadGgufSpec(const Metadata& metadata);
Result<ModelSpec> ReadHuggingFaceSpec(const Metadata& metadata);
const TensorNames& CommonGgufNames();
const TensorNames& CommonHuggingFaceNames();

}  // namespace sluice

// One entry per model family: how its metadata reads and what its tensors are called.
//
// Adding a family: a file in arch/ with one `const Architecture`, and a line in architectures.inc.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "model/model_spec.h"
#include "model/rope.h"
#include "sluice/status.h"

namespace sluice {

// Names of a layer's tensors after its prefix; {} in an expert's name is its number. "" where the
// kind of file has no such tensor. A bias has the name of its matrix with `bias` for `weight`.
struct TensorNames {
  std::string_view embedding;
  std::string_view output_norm;
  std::string_view output;        // absent in the file: tied to the embedding
  std::string_view rope_factors;  // RoPE frequencies are divided by them; may be absent
  std::string_view layer_prefix;  // "{}" is the layer's number
  std::string_view attention_norm;
  std::string_view q, k, v, o;
  std::string_view qkv;  // the rows of q, k and v in one tensor, instead of these
  std::string_view q_norm, k_norm;
  std::string_view sinks;
  // Latent attention: k_b and v_b [heads, rows, cols], or both in kv_b.
  std::string_view q_a, q_a_norm, q_b;
  std::string_view kv_a, kv_a_norm;
  std::string_view k_b, v_b, kv_b;
  std::string_view ffn_norm;
  // Feed-forward network of a dense layer.
  std::string_view gate, up, down;
  // Experts that every token goes through, and what their sum is gated by.
  std::string_view shared_gate, shared_up, shared_down;
  std::string_view shared_gating;
  std::string_view router;
  std::string_view selection_bias;  // may be absent
  // All experts in one tensor [experts, rows, cols], or [experts * rows, cols].
  std::string_view stacked_gate, stacked_up, stacked_down;
  // The same, each expert's matrix transposed; rows of gate and up take turns in the first.
  std::string_view fused_gate_up, turned_down;
  std::string_view fused_gate_up_bias, turned_down_bias;  // [experts, 2 * ff], [experts, hidden]
  // One tensor per expert.
  std::string_view expert_gate, expert_up, expert_down;
};

struct Architecture {
  std::string_view gguf_name;   // general.architecture; entries that share one read it alike
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

// What most families share; arch files start from these and set what differs.
Result<ModelSpec> ReadGgufSpec(const Metadata& metadata);
Result<ModelSpec> ReadHuggingFaceSpec(const Metadata& metadata);
const TensorNames& CommonGgufNames();
const TensorNames& CommonHuggingFaceNames();

// RoPE over `dims` numbers of a head with whatever scaling the metadata asks for. `yarn` has what
// the family takes where the metadata does not say.
Result<Rope> ReadGgufRope(const Metadata& metadata, int64_t dims, const Yarn& yarn = {});
Result<Rope> ReadHuggingFaceRope(const Metadata& metadata, int64_t dims, const Yarn& yarn = {});

// What every spec has to keep, whoever read it: the rest of the program relies on it.
Status CheckSpec(const Metadata& metadata, const ModelSpec& spec);

}  // namespace sluice

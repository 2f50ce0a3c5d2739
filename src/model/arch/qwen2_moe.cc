// Qwen1.5-MoE and Qwen2-MoE: biases on Q, K and V, router weights as softmax gives them, and a
// shared expert whose sum a sigmoid of its own gates.
#include "model/architecture.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  if (!spec.has_experts()) return spec;
  // Early files give the width of all experts of a token together.
  if (!metadata.Has("qwen2moe.expert_feed_forward_length")) {
    spec.moe.shared_ff = spec.moe.ff;
    spec.moe.ff /= spec.moe.top_k;
  }
  return spec;
}

TensorNames GgufNames() {
  TensorNames names = CommonGgufNames();
  names.shared_gating = "ffn_gate_inp_shexp.weight";
  return names;
}

TensorNames HuggingFaceNames() {
  TensorNames names = CommonHuggingFaceNames();
  names.shared_gate = "mlp.shared_expert.gate_proj.weight";
  names.shared_up = "mlp.shared_expert.up_proj.weight";
  names.shared_down = "mlp.shared_expert.down_proj.weight";
  names.shared_gating = "mlp.shared_expert_gate.weight";
  return names;
}

}  // namespace

extern const Architecture kQwen2Moe;
const Architecture kQwen2Moe = {.gguf_name = "qwen2moe",
                                .model_type = "qwen2_moe",
                                .from_gguf = FromGguf,
                                .from_hugging_face = ReadHuggingFaceSpec,
                                .gguf_names = GgufNames(),
                                .hugging_face_names = HuggingFaceNames()};

}  // namespace sluice

// Qwen3-MoE and the dense Qwen3: QK-norm per head before RoPE, softmax router renormalised over the
// chosen.
#include "model/architecture.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.attention.qk_norm = QkNorm::kPerHead;
  spec.moe.rule.renormalise = true;
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  spec.attention.qk_norm = QkNorm::kPerHead;
  return spec;
}

}  // namespace

extern const Architecture kQwen3Moe;
const Architecture kQwen3Moe = {.gguf_name = "qwen3moe",
                                .model_type = "qwen3_moe",
                                .from_gguf = FromGguf,
                                .from_hugging_face = FromHuggingFace,
                                .gguf_names = CommonGgufNames(),
                                .hugging_face_names = CommonHuggingFaceNames()};

extern const Architecture kQwen3;
const Architecture kQwen3 = {.gguf_name = "qwen3",
                             .model_type = "qwen3",
                             .from_gguf = FromGguf,
                             .from_hugging_face = FromHuggingFace,
                             .gguf_names = CommonGgufNames(),
                             .hugging_face_names = CommonHuggingFaceNames()};

}  // namespace sluice

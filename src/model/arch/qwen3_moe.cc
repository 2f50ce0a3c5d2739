// Qwen3-MoE: QK-norm per head before RoPE, softmax router renormalised over the chosen.
#include "model/architecture.h"

namespace sluice {
namespace {

ModelSpec WithNumerics(ModelSpec spec) {
  spec.attention.qk_norm = QkNorm::kPerHead;
  spec.attention.rope = RopeLayout::kHalves;
  return spec;
}

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.moe.renormalise = true;
  return WithNumerics(std::move(spec));
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  SLUICE_TRY_ASSIGN(spec.moe.renormalise, metadata.BoolOr("norm_topk_prob", false));
  SLUICE_TRY_ASSIGN(const int64_t sparse_step, metadata.IntOr("decoder_sparse_step", 0, 4096, 1));
  SLUICE_TRY_ASSIGN(const auto* dense_layers, metadata.Ints("mlp_only_layers"));
  if (sparse_step != 1 || (dense_layers != nullptr && !dense_layers->empty())) {
    return UnsupportedError(metadata.source() + ": Qwen3-MoE with dense layers is not supported");
  }
  return WithNumerics(std::move(spec));
}

}  // namespace

extern const Architecture kQwen3Moe;
const Architecture kQwen3Moe = {.gguf_name = "qwen3moe",
                                .model_type = "qwen3_moe",
                                .from_gguf = FromGguf,
                                .from_hugging_face = FromHuggingFace,
                                .gguf_names = CommonGgufNames(),
                                .hugging_face_names = CommonHuggingFaceNames()};

}  // namespace sluice

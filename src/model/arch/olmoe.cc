// OLMoE: QK-norm over the whole projection, router weights as softmax gives them.
#include "model/architecture.h"

namespace sluice {
namespace {

ModelSpec WithNumerics(ModelSpec spec) {
  spec.attention.qk_norm = QkNorm::kWhole;
  spec.attention.rope = RopeLayout::kHalves;
  return spec;
}

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  return WithNumerics(std::move(spec));
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  SLUICE_TRY_ASSIGN(spec.moe.renormalise, metadata.BoolOr("norm_topk_prob", false));
  if (metadata.Has("clip_qkv")) {
    return UnsupportedError(metadata.source() + ": 'clip_qkv' is not supported");
  }
  return WithNumerics(std::move(spec));
}

}  // namespace

extern const Architecture kOlmoe;
const Architecture kOlmoe = {.gguf_name = "olmoe",
                             .model_type = "olmoe",
                             .from_gguf = FromGguf,
                             .from_hugging_face = FromHuggingFace,
                             .gguf_names = CommonGgufNames(),
                             .hugging_face_names = CommonHuggingFaceNames()};

}  // namespace sluice

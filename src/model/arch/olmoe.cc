// OLMoE: QK-norm over the whole projection, router weights as softmax gives them.
#include "model/architecture.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.attention.qk_norm = QkNorm::kWhole;
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  spec.attention.qk_norm = QkNorm::kWhole;
  return spec;
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

// DeepSeekMoE-16B: Llama's attention, router weights as softmax gives them, a dense layer first and
// shared experts. Q and K rows are permuted in GGUF, as Llama's are.
#include "model/architecture.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.attention.rope.layout = RopeLayout::kPairs;
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(const std::string scores, metadata.StringOr("scoring_func", "softmax"));
  if (scores != "softmax") {
    return UnsupportedError(metadata.source() + ": 'scoring_func' " + scores + " is not supported");
  }
  return ReadHuggingFaceSpec(metadata);
}

}  // namespace

extern const Architecture kDeepSeek;
const Architecture kDeepSeek = {.gguf_name = "deepseek",
                                .model_type = "deepseek",
                                .from_gguf = FromGguf,
                                .from_hugging_face = FromHuggingFace,
                                .gguf_names = CommonGgufNames(),
                                .hugging_face_names = CommonHuggingFaceNames()};

}  // namespace sluice

// GLM-4.5: experts chosen by sigmoid and a bias that does not weigh, half of each head turns,
// biases on Q, K and V, QK-norm per head in the large model only; dense layers first, a shared
// expert. Behind the last layer lies one that guesses a further token.
#include "model/architecture.h"

namespace sluice {
namespace {

ModelSpec WithNumerics(ModelSpec spec) {
  spec.moe.rule.scores = RouterScores::kSigmoid;
  spec.moe.rule.group_score = GroupScore::kBestTwo;
  return spec;
}

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.attention.qk_norm = QkNorm::kPerHeadIfPresent;  // no key says it
  return WithNumerics(std::move(spec));
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  SLUICE_TRY_ASSIGN(const bool qk_norm, metadata.BoolOr("use_qk_norm", false));
  spec.attention.qk_norm = qk_norm ? QkNorm::kPerHead : QkNorm::kNone;
  SLUICE_TRY_ASSIGN(spec.moe.rule.renormalise, metadata.BoolOr("norm_topk_prob", true));
  return WithNumerics(std::move(spec));
}

TensorNames GgufNames() {
  TensorNames names = CommonGgufNames();
  names.ffn_norm = "post_attention_norm.weight";
  names.selection_bias = "exp_probs_b.bias";
  return names;
}

TensorNames HuggingFaceNames() {
  TensorNames names = CommonHuggingFaceNames();
  names.selection_bias = "mlp.gate.e_score_correction_bias";
  return names;
}

}  // namespace

extern const Architecture kGlm4Moe;
const Architecture kGlm4Moe = {.gguf_name = "glm4moe",
                               .model_type = "glm4_moe",
                               .from_gguf = FromGguf,
                               .from_hugging_face = FromHuggingFace,
                               .gguf_names = GgufNames(),
                               .hugging_face_names = HuggingFaceNames()};

}  // namespace sluice

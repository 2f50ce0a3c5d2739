// gpt-oss: attention sinks, a sliding window on every other layer, biases everywhere, softmax over
// the chosen experts alone, a clamped SwiGLU, and YaRN whose borders are not rounded.
#include <cmath>

#include "model/architecture.h"

namespace sluice {
namespace {

constexpr Yarn kYarn = {.whole_pairs = false};

ModelSpec WithNumerics(ModelSpec spec) {
  spec.moe.rule.scores = RouterScores::kSoftmaxOfChosen;
  spec.moe.activation = FfnActivation::kClampedSwiGlu;
  return spec;
}

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  SLUICE_TRY_ASSIGN(spec.attention.rope, ReadGgufRope(metadata, spec.attention.rope.dims(), kYarn));
  std::vector<int64_t>& windows = spec.attention.windows;
  for (size_t l = 1; l < windows.size(); l += 2) windows[l] = 0;
  return WithNumerics(std::move(spec));
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  SLUICE_TRY_ASSIGN(const double limit, metadata.FloatOr("swiglu_limit", kSwiGluLimit));
  SLUICE_TRY_ASSIGN(const double alpha, metadata.FloatOr("swiglu_alpha", kSwiGluAlpha));
  if (static_cast<float>(limit) != kSwiGluLimit || static_cast<float>(alpha) != kSwiGluAlpha) {
    return UnsupportedError(metadata.source() + ": a SwiGLU with other limits is not supported");
  }
  return WithNumerics(std::move(spec));
}

TensorNames GgufNames() {
  TensorNames names = CommonGgufNames();
  names.ffn_norm = "post_attention_norm.weight";
  names.sinks = "attn_sinks.weight";
  return names;
}

TensorNames HuggingFaceNames() {
  TensorNames names = CommonHuggingFaceNames();
  names.sinks = "self_attn.sinks";
  names.router = "mlp.router.weight";
  names.fused_gate_up = "mlp.experts.gate_up_proj";
  names.fused_gate_up_bias = "mlp.experts.gate_up_proj_bias";
  names.turned_down = "mlp.experts.down_proj";
  names.turned_down_bias = "mlp.experts.down_proj_bias";
  return names;
}

}  // namespace

extern const Architecture kGptOss;
const Architecture kGptOss = {.gguf_name = "gpt-oss",
                              .model_type = "gpt_oss",
                              .from_gguf = FromGguf,
                              .from_hugging_face = FromHuggingFace,
                              .gguf_names = GgufNames(),
                              .hugging_face_names = HuggingFaceNames()};

}  // namespace sluice

// DeepSeek-V2 and V2-Lite: latent attention, YaRN, dense layers first, shared experts; the large
// one chooses experts from a few groups only.
//
// GGUF has two encodings. Early files keep what keys and values are made of in attn_kv_b, and give
// the lengths of a head; later ones have attn_k_b and attn_v_b, give the lengths of what is cached,
// and those of a head under keys that end in `_mla`.
#include <fmt/format.h>

#include <cmath>

#include "model/architecture.h"
#include "model/spec_limits.h"

namespace sluice {
namespace {

// `sharpening`: YaRN's, of the scores.
void Finish(double sharpening, ModelSpec* spec) {
  Attention& a = spec->attention;
  a.kv_heads = a.heads;
  a.rope.layout = RopeLayout::kPairs;
  a.scale = static_cast<float>(sharpening * sharpening / std::sqrt(a.head_dim));
}

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  const std::string prefix = "deepseek2.attention.";
  const auto get = [&](const std::string& key) {
    return metadata.Int(metadata.Has(prefix + key + "_mla") ? prefix + key + "_mla" : prefix + key,
                        1, kMaxWidth);
  };
  Attention& a = spec.attention;
  Latent& latent = a.latent.emplace();
  SLUICE_TRY_ASSIGN(latent.q_rank, metadata.IntOr(prefix + "q_lora_rank", 0, kMaxWidth, 0));
  SLUICE_TRY_ASSIGN(latent.kv_rank, metadata.Int(prefix + "kv_lora_rank", 1, kMaxWidth));
  SLUICE_TRY_ASSIGN(a.head_dim, get("key_length"));
  SLUICE_TRY_ASSIGN(latent.value_dim, get("value_length"));
  SLUICE_TRY_ASSIGN(const int64_t dims,
                    metadata.Int("deepseek2.rope.dimension_count", 2, a.head_dim));
  latent.nope_dim = a.head_dim - dims;
  SLUICE_TRY_ASSIGN(a.rope, ReadGgufRope(metadata, dims));
  // The files that exist have equal factors for cosine and for scores, which cancel out in the
  // first (mscale and mscale_all_dim); the key holds a tenth of the second.
  a.rope.magnitude = 1;
  SLUICE_TRY_ASSIGN(const double tenth,
                    metadata.FloatOr("deepseek2.rope.scaling.yarn_log_multiplier", 0));
  Finish(a.rope.scaling == "yarn" ? YarnSharpening(a.rope.factor, 10 * tenth) : 1, &spec);
  if (spec.moe.rule.scores != RouterScores::kSoftmax) {
    return UnsupportedError(metadata.source() +
                            ": DeepSeek-V3's router is not supported; DeepSeek-V2's is");
  }
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadHuggingFaceSpec(metadata));
  const auto get = [&](const char* key) { return metadata.Int(key, 1, kMaxWidth); };
  Attention& a = spec.attention;
  Latent& latent = a.latent.emplace();
  SLUICE_TRY_ASSIGN(latent.q_rank, metadata.IntOr("q_lora_rank", 0, kMaxWidth, 0));
  SLUICE_TRY_ASSIGN(latent.kv_rank, get("kv_lora_rank"));
  SLUICE_TRY_ASSIGN(latent.nope_dim, get("qk_nope_head_dim"));
  SLUICE_TRY_ASSIGN(latent.value_dim, get("v_head_dim"));
  SLUICE_TRY_ASSIGN(const int64_t dims, get("qk_rope_head_dim"));
  a.head_dim = latent.nope_dim + dims;
  SLUICE_TRY_ASSIGN(a.rope, ReadHuggingFaceRope(metadata, dims));
  SLUICE_TRY_ASSIGN(const double old_style, metadata.FloatOr("rope_scaling.mscale_all_dim", 0));
  SLUICE_TRY_ASSIGN(const double weight,
                    metadata.FloatOr("rope_parameters.mscale_all_dim", old_style));
  if (a.rope.yarn) a.rope.yarn->score_weight = weight;
  Finish(a.rope.scaling == "yarn" ? YarnSharpening(a.rope.factor, weight) : 1, &spec);
  SLUICE_TRY_ASSIGN(const std::string method, metadata.StringOr("topk_method", "greedy"));
  if (method == "greedy") {
    spec.moe.rule.groups = spec.moe.rule.groups_used = 1;
  } else if (method != "group_limited_greedy") {
    return UnsupportedError(
        fmt::format("{}: 'topk_method' {} is not supported", metadata.source(), method));
  }
  if (spec.moe.rule.renormalise) {
    return UnsupportedError(metadata.source() +
                            ": 'norm_topk_prob' of DeepSeek-V2 is not supported");
  }
  return spec;
}

TensorNames GgufNames() {
  TensorNames names = CommonGgufNames();
  names.q_a = "attn_q_a.weight";
  names.q_a_norm = "attn_q_a_norm.weight";
  names.q_b = "attn_q_b.weight";
  names.kv_a = "attn_kv_a_mqa.weight";
  names.kv_a_norm = "attn_kv_a_norm.weight";
  names.k_b = "attn_k_b.weight";
  names.v_b = "attn_v_b.weight";
  names.kv_b = "attn_kv_b.weight";
  return names;
}

TensorNames HuggingFaceNames() {
  TensorNames names = CommonHuggingFaceNames();
  names.q_a = "self_attn.q_a_proj.weight";
  names.q_a_norm = "self_attn.q_a_layernorm.weight";
  names.q_b = "self_attn.q_b_proj.weight";
  names.kv_a = "self_attn.kv_a_proj_with_mqa.weight";
  names.kv_a_norm = "self_attn.kv_a_layernorm.weight";
  names.kv_b = "self_attn.kv_b_proj.weight";
  return names;
}

}  // namespace

extern const Architecture kDeepSeek2;
const Architecture kDeepSeek2 = {.gguf_name = "deepseek2",
                                 .model_type = "deepseek_v2",
                                 .from_gguf = FromGguf,
                                 .from_hugging_face = FromHuggingFace,
                                 .gguf_names = GgufNames(),
                                 .hugging_face_names = HuggingFaceNames()};

}  // namespace sluice

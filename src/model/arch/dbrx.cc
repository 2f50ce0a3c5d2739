// DBRX: LayerNorm without biases, Q, K and V in one matrix and clamped, router renormalised. Its
// config.json has names of its own, and its experts' matrices lie under each other, down
// transposed.
#include <cmath>

#include "model/architecture.h"
#include "model/spec_limits.h"

namespace sluice {
namespace {

Result<ModelSpec> FromGguf(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(ModelSpec spec, ReadGgufSpec(metadata));
  spec.moe.rule.renormalise = true;
  return spec;
}

Result<ModelSpec> FromHuggingFace(const Metadata& metadata) {
  ModelSpec spec;
  SLUICE_TRY_ASSIGN(spec.architecture, metadata.String("model_type"));
  SLUICE_TRY_ASSIGN(spec.name, metadata.StringOr("_name_or_path", ""));
  SLUICE_TRY_ASSIGN(spec.layers, metadata.Int("n_layers", 1, kMaxLayers));
  SLUICE_TRY_ASSIGN(spec.hidden, metadata.Int("d_model", 1, kMaxWidth));
  SLUICE_TRY_ASSIGN(spec.vocab, metadata.Int("vocab_size", 1, kMaxVocab));
  SLUICE_TRY_ASSIGN(spec.context, metadata.Int("max_seq_len", 1, kMaxContext));
  SLUICE_TRY_ASSIGN(spec.tied_embeddings, metadata.BoolOr("tie_word_embeddings", false));
  spec.norm = NormKind::kLayer;
  spec.norm_epsilon = 1e-5F;  // PyTorch's; no key says it

  Attention& a = spec.attention;
  SLUICE_TRY_ASSIGN(a.heads, metadata.Int("n_heads", 1, kMaxHeads));
  SLUICE_TRY_ASSIGN(a.kv_heads, metadata.IntOr("attn_config.kv_n_heads", 1, kMaxHeads, 1));
  a.head_dim = spec.hidden / a.heads;
  SLUICE_TRY_ASSIGN(a.rope, ReadHuggingFaceRope(metadata, a.head_dim));
  if (metadata.Has("attn_config.rope_theta") && !metadata.Has("rope_parameters.rope_theta")) {
    SLUICE_TRY_ASSIGN(const double theta, metadata.Float("attn_config.rope_theta"));
    a.rope.theta = static_cast<float>(theta);
    a.rope.frequencies = RopeFrequencies(a.head_dim, a.rope.theta);
  }
  a.scale = 1.0F / std::sqrt(static_cast<float>(a.head_dim));
  SLUICE_TRY_ASSIGN(const double clamp, metadata.FloatOr("attn_config.clip_qkv", 0));
  a.clamp = static_cast<float>(clamp);

  MoeFfn& moe = spec.moe;
  SLUICE_TRY_ASSIGN(moe.experts, metadata.Int("ffn_config.moe_num_experts", 1, kMaxExperts));
  SLUICE_TRY_ASSIGN(moe.top_k, metadata.Int("ffn_config.moe_top_k", 1, kMaxExperts));
  SLUICE_TRY_ASSIGN(moe.ff, metadata.Int("ffn_config.ffn_hidden_size", 1, kMaxWidth));
  SLUICE_TRY_ASSIGN(const double norm,
                    metadata.FloatOr("ffn_config.moe_normalize_expert_weights", 0));
  if (norm != 0 && norm != 1) {
    return UnsupportedError(metadata.source() +
                            ": weights of experts normalised by another sum than their own");
  }
  moe.rule.renormalise = norm == 1;
  SLUICE_TRY_ASSIGN(const std::string activation,
                    metadata.StringOr("ffn_config.ffn_act_fn.name", "silu"));
  if (activation != "silu") {
    return UnsupportedError(metadata.source() + ": activation '" + activation +
                            "' is not supported");
  }
  return spec;
}

TensorNames GgufNames() {
  TensorNames names = CommonGgufNames();
  names.qkv = "attn_qkv.weight";
  names.ffn_norm = "attn_output_norm.weight";
  return names;
}

TensorNames HuggingFaceNames() {
  return {.embedding = "transformer.wte.weight",
          .output_norm = "transformer.norm_f.weight",
          .output = "lm_head.weight",
          .layer_prefix = "transformer.blocks.{}.",
          .attention_norm = "norm_attn_norm.norm_1.weight",
          .o = "norm_attn_norm.attn.out_proj.weight",
          .qkv = "norm_attn_norm.attn.Wqkv.weight",
          .ffn_norm = "norm_attn_norm.norm_2.weight",
          .router = "ffn.router.layer.weight",
          .stacked_gate = "ffn.experts.mlp.w1",
          .stacked_up = "ffn.experts.mlp.v1",
          .turned_down = "ffn.experts.mlp.w2"};
}

}  // namespace

extern const Architecture kDbrx;
const Architecture kDbrx = {.gguf_name = "dbrx",
                            .model_type = "dbrx",
                            .from_gguf = FromGguf,
                            .from_hugging_face = FromHuggingFace,
                            .gguf_names = GgufNames(),
                            .hugging_face_names = HuggingFaceNames()};

}  // namespace sluice

#include "model/architecture.h"

#include <fmt/format.h>

#include <cmath>

namespace sluice {

#define SLUICE_ARCHITECTURE(variable) extern const Architecture variable;
#include "model/architectures.inc"
#undef SLUICE_ARCHITECTURE

namespace {

constexpr const Architecture* kArchitectures[] = {
#define SLUICE_ARCHITECTURE(variable) &variable,
#include "model/architectures.inc"
#undef SLUICE_ARCHITECTURE
};

// Bounds of what any real model has, a good way up: they keep products of sizes far from overflow.
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxExperts = 65536;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 28;

// What all readers demand of the numbers together.
Status CheckSpec(const Metadata& metadata, const ModelSpec& spec) {
  const auto corrupt = [&](const std::string& why) {
    return CorruptError(metadata.source() + ": " + why);
  };
  const Gqa& attention = spec.attention;
  if (attention.heads % attention.kv_heads != 0) {
    return corrupt(fmt::format("{} query heads do not divide into {} key-value heads",
                               attention.heads, attention.kv_heads));
  }
  if (attention.head_dim % 16 != 0) {
    return UnsupportedError(fmt::format("{}: head size {} is no multiple of 16", metadata.source(),
                                        attention.head_dim));
  }
  if (spec.moe.top_k > spec.moe.experts) {
    return corrupt(fmt::format("{} experts per token of {}", spec.moe.top_k, spec.moe.experts));
  }
  if (!(attention.rope_theta > 0) || !std::isfinite(attention.rope_theta) ||
      !(spec.rms_epsilon >= 0) || !std::isfinite(spec.rms_epsilon)) {
    return corrupt("RoPE base or norm epsilon is no positive number");
  }
  return {};
}

}  // namespace

Result<const Architecture*> FindArchitecture(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  SLUICE_TRY_ASSIGN(const std::string name,
                    checkpoint.metadata.String(gguf ? "general.architecture" : "model_type"));
  std::string known;
  for (const Architecture* architecture : kArchitectures) {
    const std::string_view candidate = gguf ? architecture->gguf_name : architecture->model_type;
    if (candidate == name) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  return UnsupportedError(fmt::format("{}: architecture '{}' is not supported; supported are {}",
                                      checkpoint.metadata.source(), name, known));
}

Result<ModelSpec> ReadGgufSpec(const Metadata& metadata) {
  ModelSpec spec;
  SLUICE_TRY_ASSIGN(spec.architecture, metadata.String("general.architecture"));
  SLUICE_TRY_ASSIGN(spec.name, metadata.StringOr("general.name", ""));
  const std::string prefix = spec.architecture + ".";
  const auto get = [&](const char* key, int64_t max) { return metadata.Int(prefix + key, 1, max); };
  SLUICE_TRY_ASSIGN(spec.layers, get("block_count", kMaxLayers));
  SLUICE_TRY_ASSIGN(spec.hidden, get("embedding_length", kMaxWidth));
  SLUICE_TRY_ASSIGN(spec.context, get("context_length", kMaxContext));
  SLUICE_TRY_ASSIGN(spec.attention.heads, get("attention.head_count", kMaxHeads));
  SLUICE_TRY_ASSIGN(spec.attention.kv_heads, metadata.IntOr(prefix + "attention.head_count_kv", 1,
                                                            kMaxHeads, spec.attention.heads));
  SLUICE_TRY_ASSIGN(spec.attention.head_dim,
                    metadata.IntOr(prefix + "attention.key_length", 1, kMaxWidth,
                                   spec.hidden / spec.attention.heads));
  SLUICE_TRY_ASSIGN(const int64_t value_length, metadata.IntOr(prefix + "attention.value_length", 1,
                                                               kMaxWidth, spec.attention.head_dim));
  SLUICE_TRY_ASSIGN(
      const int64_t rope_dimensions,
      metadata.IntOr(prefix + "rope.dimension_count", 1, kMaxWidth, spec.attention.head_dim));
  if (value_length != spec.attention.head_dim || rope_dimensions != spec.attention.head_dim) {
    return UnsupportedError(metadata.source() +
                            ": keys, values and RoPE of different sizes are not supported");
  }
  SLUICE_TRY_ASSIGN(const std::string scaling,
                    metadata.StringOr(prefix + "rope.scaling.type", "none"));
  if (scaling != "none") {
    return UnsupportedError(
        fmt::format("{}: RoPE scaling '{}' is not supported", metadata.source(), scaling));
  }
  SLUICE_TRY_ASSIGN(const int64_t window,
                    metadata.IntOr(prefix + "attention.sliding_window", 0, kMaxContext, 0));
  if ((window > 0 && window < spec.context) || metadata.Has(prefix + "attention.clamp_kqv")) {
    return UnsupportedError(metadata.source() +
                            ": sliding windows and clamped queries are not supported");
  }
  SLUICE_TRY_ASSIGN(const double theta, metadata.FloatOr(prefix + "rope.freq_base", 10000.0));
  spec.attention.rope_theta = static_cast<float>(theta);
  SLUICE_TRY_ASSIGN(const double epsilon,
                    metadata.Float(prefix + "attention.layer_norm_rms_epsilon"));
  spec.rms_epsilon = static_cast<float>(epsilon);
  SLUICE_TRY_ASSIGN(spec.moe.experts, get("expert_count", kMaxExperts));
  SLUICE_TRY_ASSIGN(spec.moe.top_k, get("expert_used_count", kMaxExperts));
  SLUICE_TRY_ASSIGN(spec.moe.ff, metadata.Has(prefix + "expert_feed_forward_length")
                                     ? get("expert_feed_forward_length", kMaxWidth)
                                     : get("feed_forward_length", kMaxWidth));
  SLUICE_TRY(CheckSpec(metadata, spec));
  return spec;
}

namespace {

Status CheckNoSlidingWindow(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(const bool windowed, metadata.BoolOr("use_sliding_window", true));
  if (windowed && metadata.Has("sliding_window")) {
    SLUICE_TRY_ASSIGN(const int64_t window, metadata.Int("sliding_window", 0, kMaxContext));
    SLUICE_TRY_ASSIGN(const int64_t context,
                      metadata.Int("max_position_embeddings", 1, kMaxContext));
    if (window > 0 && window < context) {
      return UnsupportedError(metadata.source() + ": sliding-window attention is not supported");
    }
  }
  return {};
}

// `rope_parameters` is what Transformers 5 writes, `rope_theta` beside `rope_scaling` what came
// before.
Result<float> RopeTheta(const Metadata& metadata) {
  for (const char* key :
       {"rope_scaling.rope_type", "rope_scaling.type", "rope_parameters.rope_type"}) {
    SLUICE_TRY_ASSIGN(const std::string type, metadata.StringOr(key, "default"));
    if (type != "default") {
      return UnsupportedError(
          fmt::format("{}: '{}' is '{}', which is not supported", metadata.source(), key, type));
    }
  }
  SLUICE_TRY_ASSIGN(const double old_style, metadata.FloatOr("rope_theta", 10000.0));
  SLUICE_TRY_ASSIGN(const double theta, metadata.FloatOr("rope_parameters.rope_theta", old_style));
  return static_cast<float>(theta);
}

}  // namespace

Result<ModelSpec> ReadHuggingFaceSpec(const Metadata& metadata) {
  ModelSpec spec;
  SLUICE_TRY_ASSIGN(spec.architecture, metadata.String("model_type"));
  SLUICE_TRY_ASSIGN(spec.name, metadata.StringOr("_name_or_path", ""));
  SLUICE_TRY_ASSIGN(spec.layers, metadata.Int("num_hidden_layers", 1, kMaxLayers));
  SLUICE_TRY_ASSIGN(spec.hidden, metadata.Int("hidden_size", 1, kMaxWidth));
  SLUICE_TRY_ASSIGN(spec.vocab, metadata.Int("vocab_size", 1, kMaxVocab));
  SLUICE_TRY_ASSIGN(spec.context, metadata.Int("max_position_embeddings", 1, kMaxContext));
  SLUICE_TRY_ASSIGN(spec.attention.heads, metadata.Int("num_attention_heads", 1, kMaxHeads));
  SLUICE_TRY_ASSIGN(spec.attention.kv_heads,
                    metadata.IntOr("num_key_value_heads", 1, kMaxHeads, spec.attention.heads));
  SLUICE_TRY_ASSIGN(spec.attention.head_dim,
                    metadata.IntOr("head_dim", 1, kMaxWidth, spec.hidden / spec.attention.heads));
  SLUICE_TRY_ASSIGN(spec.attention.rope_theta, RopeTheta(metadata));
  SLUICE_TRY_ASSIGN(const double epsilon, metadata.Float("rms_norm_eps"));
  spec.rms_epsilon = static_cast<float>(epsilon);
  SLUICE_TRY_ASSIGN(spec.tied_embeddings, metadata.BoolOr("tie_word_embeddings", false));
  SLUICE_TRY_ASSIGN(spec.moe.experts,
                    metadata.Int(metadata.Has("num_experts") ? "num_experts" : "num_local_experts",
                                 1, kMaxExperts));
  SLUICE_TRY_ASSIGN(spec.moe.top_k, metadata.Int("num_experts_per_tok", 1, kMaxExperts));
  SLUICE_TRY_ASSIGN(spec.moe.ff,
                    metadata.Int(metadata.Has("moe_intermediate_size") ? "moe_intermediate_size"
                                                                       : "intermediate_size",
                                 1, kMaxWidth));
  SLUICE_TRY_ASSIGN(const std::string activation, metadata.StringOr("hidden_act", "silu"));
  if (activation != "silu") {
    return UnsupportedError(
        fmt::format("{}: hidden_act '{}' is not supported", metadata.source(), activation));
  }
  SLUICE_TRY_ASSIGN(const bool bias, metadata.BoolOr("attention_bias", false));
  if (bias) return UnsupportedError(metadata.source() + ": attention biases are not supported");
  SLUICE_TRY(CheckNoSlidingWindow(metadata));
  SLUICE_TRY(CheckSpec(metadata, spec));
  return spec;
}

const TensorNames& CommonGgufNames() {
  static constexpr TensorNames kNames = {.embedding = "token_embd.weight",
                                         .output_norm = "output_norm.weight",
                                         .output = "output.weight",
                                         .layer_prefix = "blk.{}.",
                                         .attention_norm = "attn_norm.weight",
                                         .q = "attn_q.weight",
                                         .k = "attn_k.weight",
                                         .v = "attn_v.weight",
                                         .o = "attn_output.weight",
                                         .q_norm = "attn_q_norm.weight",
                                         .k_norm = "attn_k_norm.weight",
                                         .ffn_norm = "ffn_norm.weight",
                                         .router = "ffn_gate_inp.weight",
                                         .stacked_gate = "ffn_gate_exps.weight",
                                         .stacked_up = "ffn_up_exps.weight",
                                         .stacked_down = "ffn_down_exps.weight",
                                         .expert_gate = "ffn_gate.{}.weight",
                                         .expert_up = "ffn_up.{}.weight",
                                         .expert_down = "ffn_down.{}.weight"};
  return kNames;
}

const TensorNames& CommonHuggingFaceNames() {
  static constexpr TensorNames kNames = {.embedding = "model.embed_tokens.weight",
                                         .output_norm = "model.norm.weight",
                                         .output = "lm_head.weight",
                                         .layer_prefix = "model.layers.{}.",
                                         .attention_norm = "input_layernorm.weight",
                                         .q = "self_attn.q_proj.weight",
                                         .k = "self_attn.k_proj.weight",
                                         .v = "self_attn.v_proj.weight",
                                         .o = "self_attn.o_proj.weight",
                                         .q_norm = "self_attn.q_norm.weight",
                                         .k_norm = "self_attn.k_norm.weight",
                                         .ffn_norm = "post_attention_layernorm.weight",
                                         .router = "mlp.gate.weight",
                                         .stacked_gate = "",
                                         .stacked_up = "",
                                         .stacked_down = "",
                                         .expert_gate = "mlp.experts.{}.gate_proj.weight",
                                         .expert_up = "mlp.experts.{}.up_proj.weight",
                                         .expert_down = "mlp.experts.{}.down_proj.weight"};
  return kNames;
}

}  // namespace sluice

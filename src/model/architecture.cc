#include "model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
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

bool Positive(float x) { return x > 0 && std::isfinite(x); }

Status CheckAttention(const Metadata& metadata, const Attention& a, int64_t layers) {
  const auto corrupt = [&](const std::string& why) {
    return CorruptError(metadata.source() + ": " + why);
  };
  if (a.heads % a.kv_heads != 0) {
    return corrupt(
        fmt::format("{} query heads do not divide into {} key-value heads", a.heads, a.kv_heads));
  }
  if (a.rope.dims() == 0 || a.rope.dims() > a.head_dim) {
    return corrupt(fmt::format("{} of a head's {} numbers turn", a.rope.dims(), a.head_dim));
  }
  const bool finite = std::ranges::all_of(a.rope.frequencies, Positive);
  if (!Positive(a.rope.theta) || !finite || !Positive(a.rope.magnitude)) {
    return corrupt("RoPE's base or scaling is no positive number");
  }
  if (!Positive(a.scale) || !(a.clamp >= 0) || !std::isfinite(a.clamp)) {
    return corrupt("attention's scale or clamp is no positive number");
  }
  if (!a.windows.empty() && std::ssize(a.windows) != layers) {
    return corrupt("sliding windows for another number of layers");
  }
  for (const int64_t dim : {a.cached_key_dim(), a.cached_value_dim(), a.value_dim()}) {
    if (dim % 16 != 0) {
      return UnsupportedError(
          fmt::format("{}: head size {} is no multiple of 16", metadata.source(), dim));
    }
  }
  return {};
}

}  // namespace

Status CheckSpec(const Metadata& metadata, const ModelSpec& spec) {
  const auto corrupt = [&](const std::string& why) {
    return CorruptError(metadata.source() + ": " + why);
  };
  SLUICE_TRY(CheckAttention(metadata, spec.attention, spec.layers));
  if (!(spec.norm_epsilon >= 0) || !std::isfinite(spec.norm_epsilon)) {
    return corrupt("the norm's epsilon is no positive number");
  }
  if (spec.dense_layers < 0 || spec.dense_layers > spec.layers) {
    return corrupt(fmt::format("{} dense layers of {}", spec.dense_layers, spec.layers));
  }
  const MoeFfn& moe = spec.moe;
  if (!spec.has_experts()) return {};
  if (moe.top_k > moe.experts) {
    return corrupt(fmt::format("{} experts per token of {}", moe.top_k, moe.experts));
  }
  const RouterRule& rule = moe.rule;
  if (!Positive(rule.scale)) return corrupt("the scale of expert weights is no positive number");
  if (rule.groups < 1 || moe.experts % rule.groups != 0 || rule.groups_used < 1 ||
      rule.groups_used > rule.groups || moe.top_k > moe.experts / rule.groups * rule.groups_used) {
    return corrupt(fmt::format("{} experts per token from {} of {} groups of {} experts", moe.top_k,
                               rule.groups_used, rule.groups, moe.experts));
  }
  return {};
}

Result<const Architecture*> FindArchitecture(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  SLUICE_TRY_ASSIGN(const std::string name,
                    checkpoint.metadata.String(gguf ? "general.architecture" : "model_type"));
  std::string known;
  for (const Architecture* architecture : kArchitectures) {
    const std::string_view candidate = gguf ? architecture->gguf_name : architecture->model_type;
    if (candidate == name) return architecture;
    if (known.find(candidate) == std::string::npos) {
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
  }
  return UnsupportedError(fmt::format("{}: architecture '{}' is not supported; supported are {}",
                                      checkpoint.metadata.source(), name, known));
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
                                         .gate = "ffn_gate.weight",
                                         .up = "ffn_up.weight",
                                         .down = "ffn_down.weight",
                                         .shared_gate = "ffn_gate_shexp.weight",
                                         .shared_up = "ffn_up_shexp.weight",
                                         .shared_down = "ffn_down_shexp.weight",
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
                                         .gate = "mlp.gate_proj.weight",
                                         .up = "mlp.up_proj.weight",
                                         .down = "mlp.down_proj.weight",
                                         .shared_gate = "mlp.shared_experts.gate_proj.weight",
                                         .shared_up = "mlp.shared_experts.up_proj.weight",
                                         .shared_down = "mlp.shared_experts.down_proj.weight",
                                         .router = "mlp.gate.weight",
                                         .expert_gate = "mlp.experts.{}.gate_proj.weight",
                                         .expert_up = "mlp.experts.{}.up_proj.weight",
                                         .expert_down = "mlp.experts.{}.down_proj.weight"};
  return kNames;
}

}  // namespace sluice

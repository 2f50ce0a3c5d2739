// What the GGUF metadata of most families says, under keys that begin with the architecture's name.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/architecture.h"
#include "model/spec_limits.h"

namespace sluice {
namespace {

Result<std::string> Prefix(const Metadata& metadata) {
  SLUICE_TRY_ASSIGN(std::string architecture, metadata.String("general.architecture"));
  return architecture + ".";
}

// Grouped-query attention; families with another kind read it themselves.
Status ReadAttention(const Metadata& metadata, const std::string& prefix, ModelSpec* spec) {
  Attention& a = spec->attention;
  SLUICE_TRY_ASSIGN(a.heads, metadata.Int(prefix + "attention.head_count", 1, kMaxHeads));
  SLUICE_TRY_ASSIGN(a.kv_heads,
                    metadata.IntOr(prefix + "attention.head_count_kv", 1, kMaxHeads, a.heads));
  if (metadata.Has(prefix + "attention.kv_lora_rank")) return {};
  SLUICE_TRY_ASSIGN(a.head_dim, metadata.IntOr(prefix + "attention.key_length", 1, kMaxWidth,
                                               spec->hidden / a.heads));
  SLUICE_TRY_ASSIGN(const int64_t value_length,
                    metadata.IntOr(prefix + "attention.value_length", 1, kMaxWidth, a.head_dim));
  if (value_length != a.head_dim) {
    return UnsupportedError(metadata.source() +
                            ": keys and values of different sizes are not supported");
  }
  SLUICE_TRY_ASSIGN(const int64_t dims,
                    metadata.IntOr(prefix + "rope.dimension_count", 1, kMaxWidth, a.head_dim));
  SLUICE_TRY_ASSIGN(a.rope, ReadGgufRope(metadata, dims));
  a.scale = 1.0F / std::sqrt(static_cast<float>(a.head_dim));
  SLUICE_TRY_ASSIGN(const double clamp, metadata.FloatOr(prefix + "attention.clamp_kqv", 0));
  a.clamp = static_cast<float>(clamp);
  SLUICE_TRY_ASSIGN(const int64_t window,
                    metadata.IntOr(prefix + "attention.sliding_window", 0, kMaxContext, 0));
  if (window > 0) a.windows.assign(static_cast<size_t>(spec->layers), window);
  return {};
}

Status ReadRouterRule(const Metadata& metadata, const std::string& prefix, RouterRule* rule) {
  // Numbers of llama.cpp's enumeration.
  SLUICE_TRY_ASSIGN(const int64_t scores,
                    metadata.IntOr(prefix + "expert_gating_func", 0, 1 << 30, 1));
  switch (scores) {
    case 0:
    case 1:
      rule->scores = RouterScores::kSoftmax;
      break;
    case 2:
      rule->scores = RouterScores::kSigmoid;
      break;
    case 3:
      rule->scores = RouterScores::kSoftmaxOfChosen;
      break;
    default:
      return UnsupportedError(fmt::format("{}: '{}expert_gating_func' {} is not supported",
                                          metadata.source(), prefix, scores));
  }
  SLUICE_TRY_ASSIGN(rule->renormalise, metadata.BoolOr(prefix + "expert_weights_norm", false));
  SLUICE_TRY_ASSIGN(const double scale, metadata.FloatOr(prefix + "expert_weights_scale", 1));
  rule->scale = scale == 0 ? 1.0F : static_cast<float>(scale);  // 0: not set
  SLUICE_TRY_ASSIGN(rule->groups, metadata.IntOr(prefix + "expert_group_count", 0, kMaxExperts, 1));
  SLUICE_TRY_ASSIGN(rule->groups_used,
                    metadata.IntOr(prefix + "expert_group_used_count", 0, kMaxExperts, 1));
  if (rule->groups <= 1) rule->groups = rule->groups_used = 1;
  return {};
}

Status ReadFfn(const Metadata& metadata, const std::string& prefix, ModelSpec* spec) {
  const auto get = [&](const char* key) { return metadata.Int(prefix + key, 1, kMaxWidth); };
  const auto get_or = [&](const char* key, int64_t otherwise) {
    return metadata.IntOr(prefix + key, 0, kMaxExperts, otherwise);
  };
  MoeFfn& moe = spec->moe;
  SLUICE_TRY_ASSIGN(moe.experts, get_or("expert_count", 0));
  if (moe.experts == 0) {
    spec->dense_layers = spec->layers;
    SLUICE_TRY_ASSIGN(spec->dense_ff, get("feed_forward_length"));
    return {};
  }
  SLUICE_TRY_ASSIGN(moe.top_k, metadata.Int(prefix + "expert_used_count", 1, kMaxExperts));
  const bool own_width = metadata.Has(prefix + "expert_feed_forward_length");
  SLUICE_TRY_ASSIGN(moe.ff, get(own_width ? "expert_feed_forward_length" : "feed_forward_length"));
  SLUICE_TRY_ASSIGN(spec->dense_layers,
                    metadata.IntOr(prefix + "leading_dense_block_count", 0, spec->layers, 0));
  if (spec->dense_layers > 0) {
    SLUICE_TRY_ASSIGN(spec->dense_ff, get("feed_forward_length"));
  }
  SLUICE_TRY_ASSIGN(const int64_t shared, get_or("expert_shared_count", 0));
  SLUICE_TRY_ASSIGN(moe.shared_ff, metadata.IntOr(prefix + "expert_shared_feed_forward_length", 0,
                                                  kMaxWidth, shared * moe.ff));
  SLUICE_TRY_ASSIGN(const int64_t step, get_or("interleave_moe_layer_step", 1));
  if (step > 1) {
    return UnsupportedError(metadata.source() +
                            ": dense layers between layers of experts are "
                            "not supported");
  }
  return ReadRouterRule(metadata, prefix, &moe.rule);
}

}  // namespace

Result<Rope> ReadGgufRope(const Metadata& metadata, int64_t dims, const Yarn& yarn) {
  SLUICE_TRY_ASSIGN(const std::string prefix, Prefix(metadata));
  const auto number = [&](const char* key, double otherwise) {
    return metadata.FloatOr(prefix + "rope." + key, otherwise);
  };
  Rope rope;
  SLUICE_TRY_ASSIGN(const double theta, number("freq_base", 10000.0));
  rope.theta = static_cast<float>(theta);
  rope.frequencies = RopeFrequencies(dims, rope.theta);
  SLUICE_TRY_ASSIGN(rope.scaling, metadata.StringOr(prefix + "rope.scaling.type", "none"));
  if (rope.scaling == "none") return rope;
  SLUICE_TRY_ASSIGN(const double factor, number("scaling.factor", 1));
  if (!(factor >= 1) || !std::isfinite(factor)) {
    return CorruptError(fmt::format("{}: RoPE scaling by {}", metadata.source(), factor));
  }
  rope.factor = factor;
  if (rope.scaling == "linear") {
    for (float& f : rope.frequencies) f = static_cast<float>(f / factor);
    return rope;
  }
  if (rope.scaling != "yarn") {
    return UnsupportedError(
        fmt::format("{}: RoPE scaling '{}' is not supported", metadata.source(), rope.scaling));
  }
  Yarn read = yarn;
  read.factor = factor;
  SLUICE_TRY_ASSIGN(read.original_context,
                    metadata.Float(prefix + "rope.scaling.original_context_length"));
  SLUICE_TRY_ASSIGN(read.beta_fast, number("scaling.yarn_beta_fast", yarn.beta_fast));
  SLUICE_TRY_ASSIGN(read.beta_slow, number("scaling.yarn_beta_slow", yarn.beta_slow));
  SLUICE_TRY_ASSIGN(const double attention, number("scaling.attn_factor", 1));
  StretchByYarn(read, rope.theta, &rope.frequencies);
  rope.magnitude = static_cast<float>(attention * YarnSharpening(factor, 1));
  return rope;
}

Result<ModelSpec> ReadGgufSpec(const Metadata& metadata) {
  ModelSpec spec;
  SLUICE_TRY_ASSIGN(spec.architecture, metadata.String("general.architecture"));
  SLUICE_TRY_ASSIGN(spec.name, metadata.StringOr("general.name", ""));
  const std::string prefix = spec.architecture + ".";
  const auto get = [&](const char* key, int64_t max) { return metadata.Int(prefix + key, 1, max); };
  SLUICE_TRY_ASSIGN(spec.layers, get("block_count", kMaxLayers));
  SLUICE_TRY_ASSIGN(spec.unused_layers,
                    metadata.IntOr(prefix + "nextn_predict_layers", 0,
                                   std::min(kMaxUnusedLayers, spec.layers - 1), 0));
  spec.layers -= spec.unused_layers;
  SLUICE_TRY_ASSIGN(spec.hidden, get("embedding_length", kMaxWidth));
  SLUICE_TRY_ASSIGN(spec.context, get("context_length", kMaxContext));
  SLUICE_TRY(ReadAttention(metadata, prefix, &spec));
  const bool rms = metadata.Has(prefix + "attention.layer_norm_rms_epsilon");
  spec.norm = rms ? NormKind::kRms : NormKind::kLayer;
  SLUICE_TRY_ASSIGN(const double epsilon,
                    metadata.Float(prefix + (rms ? "attention.layer_norm_rms_epsilon"
                                                 : "attention.layer_norm_epsilon")));
  spec.norm_epsilon = static_cast<float>(epsilon);
  SLUICE_TRY(ReadFfn(metadata, prefix, &spec));
  return spec;
}

}  // namespace sluice

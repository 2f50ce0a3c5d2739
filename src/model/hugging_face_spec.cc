// What the config.json of most families says.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/architecture.h"
#include "model/spec_limits.h"

namespace sluice {
namespace {

// Which layers look at a window only. `layer_types` says it of each; without it `sliding_window`
// is for all.
Status ReadWindows(const Metadata& metadata, ModelSpec* spec) {
  std::vector<int64_t>& windows = spec->attention.windows;
  SLUICE_TRY_ASSIGN(const bool windowed, metadata.BoolOr("use_sliding_window", true));
  if (!windowed || !metadata.Has("sliding_window")) return {};
  SLUICE_TRY_ASSIGN(const int64_t window, metadata.Int("sliding_window", 0, kMaxContext));
  SLUICE_TRY_ASSIGN(const auto* types, metadata.Strings("layer_types"));
  if (window == 0) return {};
  if (types == nullptr) {
    if (metadata.Has("max_window_layers")) {
      return UnsupportedError(metadata.source() +
                              ": a sliding window on some layers, and no 'layer_types' to say "
                              "which");
    }
    windows.assign(static_cast<size_t>(spec->layers), window);
    return {};
  }
  if (std::ssize(*types) < spec->layers) {
    return CorruptError(fmt::format("{}: {} layer types for {} layers", metadata.source(),
                                    types->size(), spec->layers));
  }
  for (int64_t l = 0; l < spec->layers; ++l) {
    const std::string& type = (*types)[static_cast<size_t>(l)];
    if (type != "sliding_attention" && type != "full_attention") {
      return UnsupportedError(
          fmt::format("{}: layer type '{}' is not supported", metadata.source(), type));
    }
    windows.push_back(type == "sliding_attention" ? window : 0);
  }
  return {};
}

Status ReadAttention(const Metadata& metadata, ModelSpec* spec) {
  Attention& a = spec->attention;
  SLUICE_TRY_ASSIGN(a.heads, metadata.Int("num_attention_heads", 1, kMaxHeads));
  SLUICE_TRY_ASSIGN(a.kv_heads, metadata.IntOr("num_key_value_heads", 1, kMaxHeads, a.heads));
  if (metadata.Has("kv_lora_rank")) return {};  // the family reads it itself
  SLUICE_TRY_ASSIGN(a.head_dim, metadata.IntOr("head_dim", 1, kMaxWidth, spec->hidden / a.heads));
  SLUICE_TRY_ASSIGN(const double old_style, metadata.FloatOr("partial_rotary_factor", 1));
  SLUICE_TRY_ASSIGN(const double part,
                    metadata.FloatOr("rope_parameters.partial_rotary_factor", old_style));
  if (!(part > 0 && part <= 1)) {
    return CorruptError(
        fmt::format("{}: a part of {} of each head turns", metadata.source(), part));
  }
  const auto dims = static_cast<int64_t>(static_cast<double>(a.head_dim) * part);
  SLUICE_TRY_ASSIGN(a.rope, ReadHuggingFaceRope(metadata, dims));
  a.scale = 1.0F / std::sqrt(static_cast<float>(a.head_dim));
  SLUICE_TRY_ASSIGN(const double clamp, metadata.FloatOr("clip_qkv", 0));
  a.clamp = static_cast<float>(clamp);
  return ReadWindows(metadata, spec);
}

Status ReadRouterRule(const Metadata& metadata, RouterRule* rule) {
  SLUICE_TRY_ASSIGN(rule->renormalise, metadata.BoolOr("norm_topk_prob", false));
  SLUICE_TRY_ASSIGN(const double scale, metadata.FloatOr("routed_scaling_factor", 1));
  rule->scale = static_cast<float>(scale);
  SLUICE_TRY_ASSIGN(rule->groups, metadata.IntOr("n_group", 1, kMaxExperts, 1));
  SLUICE_TRY_ASSIGN(rule->groups_used, metadata.IntOr("topk_group", 1, kMaxExperts, 1));
  return {};
}

// Layers without experts must come first: what is cached is counted from the first that has them.
Status ReadDenseLayers(const Metadata& metadata, ModelSpec* spec) {
  SLUICE_TRY_ASSIGN(spec->dense_layers,
                    metadata.IntOr("first_k_dense_replace", 0, spec->layers, 0));
  SLUICE_TRY_ASSIGN(const auto* listed, metadata.Ints("mlp_only_layers"));
  if (listed != nullptr) {
    std::vector<int64_t> sorted = *listed;
    std::ranges::sort(sorted);
    for (const int64_t layer : sorted) {
      if (layer != spec->dense_layers++) {
        return UnsupportedError(metadata.source() +
                                ": dense layers between layers of experts are not supported");
      }
    }
  }
  for (const char* key : {"decoder_sparse_step", "moe_layer_freq"}) {
    SLUICE_TRY_ASSIGN(const int64_t step, metadata.IntOr(key, 0, kMaxLayers, 1));
    if (step != 1) {
      return UnsupportedError(
          fmt::format("{}: '{}' of {} is not supported", metadata.source(), key, step));
    }
  }
  return {};
}

Status ReadFfn(const Metadata& metadata, ModelSpec* spec) {
  MoeFfn& moe = spec->moe;
  const char* count = "";
  for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
    if (metadata.Has(key)) count = key;
  }
  if (*count == '\0') {
    spec->dense_layers = spec->layers;
    SLUICE_TRY_ASSIGN(spec->dense_ff, metadata.Int("intermediate_size", 1, kMaxWidth));
    return {};
  }
  SLUICE_TRY_ASSIGN(moe.experts, metadata.Int(count, 1, kMaxExperts));
  SLUICE_TRY_ASSIGN(moe.top_k, metadata.Int("num_experts_per_tok", 1, kMaxExperts));
  const bool own_width = metadata.Has("moe_intermediate_size");
  SLUICE_TRY_ASSIGN(moe.ff, metadata.Int(own_width ? "moe_intermediate_size" : "intermediate_size",
                                         1, kMaxWidth));
  SLUICE_TRY_ASSIGN(const int64_t shared, metadata.IntOr("n_shared_experts", 0, kMaxExperts, 0));
  SLUICE_TRY_ASSIGN(moe.shared_ff, metadata.IntOr("shared_expert_intermediate_size", 0, kMaxWidth,
                                                  shared * moe.ff));
  SLUICE_TRY(ReadDenseLayers(metadata, spec));
  if (spec->dense_layers > 0) {
    SLUICE_TRY_ASSIGN(spec->dense_ff, metadata.Int("intermediate_size", 1, kMaxWidth));
  }
  return ReadRouterRule(metadata, &moe.rule);
}

// A number of RoPE's settings: `rope_parameters` is what Transformers 5 writes, `rope_scaling` what
// came before.
Result<double> RopeNumber(const Metadata& metadata, const std::string& key, double otherwise) {
  SLUICE_TRY_ASSIGN(const double old_style, metadata.FloatOr("rope_scaling." + key, otherwise));
  return metadata.FloatOr("rope_parameters." + key, old_style);
}

Status ReadYarn(const Metadata& metadata, const Yarn& defaults, Rope* rope) {
  const auto number = [&](const char* key, double otherwise) {
    return RopeNumber(metadata, key, otherwise);
  };
  Yarn yarn = defaults;
  SLUICE_TRY_ASSIGN(yarn.factor, number("factor", 1));
  SLUICE_TRY_ASSIGN(const int64_t context, metadata.Int("max_position_embeddings", 1, kMaxContext));
  SLUICE_TRY_ASSIGN(yarn.original_context,
                    number("original_max_position_embeddings", static_cast<double>(context)));
  SLUICE_TRY_ASSIGN(yarn.beta_fast, number("beta_fast", defaults.beta_fast));
  SLUICE_TRY_ASSIGN(yarn.beta_slow, number("beta_slow", defaults.beta_slow));
  SLUICE_TRY_ASSIGN(const bool old_style,
                    metadata.BoolOr("rope_scaling.truncate", defaults.whole_pairs));
  SLUICE_TRY_ASSIGN(yarn.whole_pairs, metadata.BoolOr("rope_parameters.truncate", old_style));
  SLUICE_TRY_ASSIGN(const double given, number("attention_factor", 0));
  SLUICE_TRY_ASSIGN(const double mscale, number("mscale", 0));
  SLUICE_TRY_ASSIGN(const double mscale_all_dim, number("mscale_all_dim", 0));
  StretchByYarn(yarn, rope->theta, &rope->frequencies);
  rope->factor = yarn.factor;
  rope->yarn = yarn;
  double magnitude = YarnSharpening(yarn.factor, 1);
  if (mscale != 0 && mscale_all_dim != 0) {
    magnitude = YarnSharpening(yarn.factor, mscale) / YarnSharpening(yarn.factor, mscale_all_dim);
  }
  rope->magnitude = static_cast<float>(given != 0 ? given : magnitude);
  return {};
}

Status ReadLlama3(const Metadata& metadata, Rope* rope) {
  Llama3Scaling scaling;
  SLUICE_TRY_ASSIGN(scaling.factor, RopeNumber(metadata, "factor", 1));
  SLUICE_TRY_ASSIGN(scaling.low_freq_factor, RopeNumber(metadata, "low_freq_factor", 1));
  SLUICE_TRY_ASSIGN(scaling.high_freq_factor, RopeNumber(metadata, "high_freq_factor", 4));
  SLUICE_TRY_ASSIGN(scaling.original_context,
                    RopeNumber(metadata, "original_max_position_embeddings", 8192));
  StretchByLlama3(scaling, &rope->frequencies);
  rope->factor = scaling.factor;
  rope->llama3 = scaling;
  return {};
}

}  // namespace

Result<Rope> ReadHuggingFaceRope(const Metadata& metadata, int64_t dims, const Yarn& yarn) {
  Rope rope;
  SLUICE_TRY_ASSIGN(const double old_style, metadata.FloatOr("rope_theta", 10000.0));
  SLUICE_TRY_ASSIGN(const double theta, metadata.FloatOr("rope_parameters.rope_theta", old_style));
  rope.theta = static_cast<float>(theta);
  rope.frequencies = RopeFrequencies(dims, rope.theta);
  rope.scaling = "default";
  for (const char* key :
       {"rope_scaling.type", "rope_scaling.rope_type", "rope_parameters.rope_type"}) {
    SLUICE_TRY_ASSIGN(rope.scaling, metadata.StringOr(key, rope.scaling));
  }
  if (rope.scaling == "yarn") {
    SLUICE_TRY(ReadYarn(metadata, yarn, &rope));
  } else if (rope.scaling == "llama3") {
    SLUICE_TRY(ReadLlama3(metadata, &rope));
  } else if (rope.scaling == "linear") {
    SLUICE_TRY_ASSIGN(const double factor, RopeNumber(metadata, "factor", 1));
    for (float& f : rope.frequencies) f = static_cast<float>(f / factor);
    rope.factor = factor;
  } else if (rope.scaling != "default") {
    return UnsupportedError(
        fmt::format("{}: RoPE scaling '{}' is not supported", metadata.source(), rope.scaling));
  }
  if (rope.scaling == "default") rope.scaling = "none";
  return rope;
}

Result<ModelSpec> ReadHuggingFaceSpec(const Metadata& metadata) {
  ModelSpec spec;
  SLUICE_TRY_ASSIGN(spec.architecture, metadata.String("model_type"));
  SLUICE_TRY_ASSIGN(spec.name, metadata.StringOr("_name_or_path", ""));
  SLUICE_TRY_ASSIGN(spec.layers, metadata.Int("num_hidden_layers", 1, kMaxLayers));
  SLUICE_TRY_ASSIGN(spec.unused_layers,
                    metadata.IntOr("num_nextn_predict_layers", 0, kMaxUnusedLayers, 0));
  SLUICE_TRY_ASSIGN(spec.hidden, metadata.Int("hidden_size", 1, kMaxWidth));
  SLUICE_TRY_ASSIGN(spec.vocab, metadata.Int("vocab_size", 1, kMaxVocab));
  SLUICE_TRY_ASSIGN(spec.context, metadata.Int("max_position_embeddings", 1, kMaxContext));
  SLUICE_TRY(ReadAttention(metadata, &spec));
  SLUICE_TRY_ASSIGN(const double epsilon, metadata.Float("rms_norm_eps"));
  spec.norm_epsilon = static_cast<float>(epsilon);
  SLUICE_TRY_ASSIGN(spec.tied_embeddings, metadata.BoolOr("tie_word_embeddings", false));
  SLUICE_TRY(ReadFfn(metadata, &spec));
  SLUICE_TRY_ASSIGN(const std::string activation, metadata.StringOr("hidden_act", "silu"));
  if (activation != "silu") {
    return UnsupportedError(
        fmt::format("{}: hidden_act '{}' is not supported", metadata.source(), activation));
  }
  return spec;
}

}  // namespace sluice

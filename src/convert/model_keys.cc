// GGUF's keys are llama.cpp's; which of them a family needs follows from the values themselves.
#include "convert/model_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {
namespace {

class Writer {
 public:
  Writer(const Architecture& architecture, const ModelSpec& spec, KeyList* keys)
      : architecture_(architecture), spec_(spec), keys_(*keys) {}

  void Write() {
    Count("block_count", spec_.layers);
    Count("context_length", spec_.context);
    Count("embedding_length", spec_.hidden);
    Count("vocab_size", spec_.vocab);
    Count("feed_forward_length", spec_.dense_ff > 0 ? spec_.dense_ff : spec_.moe.ff);
    Number(spec_.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                        : "attention.layer_norm_epsilon",
           spec_.norm_epsilon);
    WriteAttention();
    WriteRope();
    if (spec_.has_experts()) WriteExperts();
  }

 private:
  std::string Key(const char* name) const {
    return fmt::format("{}.{}", architecture_.gguf_name, name);
  }
  void Count(const char* name, int64_t value) { keys_.AddCount(Key(name), value); }
  void Number(const char* name, float value) { keys_.Add(Key(name), value); }

  void WriteAttention() {
    const Attention& a = spec_.attention;
    Count("attention.head_count", a.heads);
    // A latent is one key and value for all heads.
    Count("attention.head_count_kv", a.latent ? 1 : a.kv_heads);
    Count("attention.key_length", a.cached_key_dim());
    Count("attention.value_length", a.cached_value_dim());
    if (a.latent) {
      Count("attention.key_length_mla", a.head_dim);
      Count("attention.value_length_mla", a.latent->value_dim);
      if (a.latent->q_rank > 0) Count("attention.q_lora_rank", a.latent->q_rank);
      Count("attention.kv_lora_rank", a.latent->kv_rank);
    }
    if (a.clamp > 0) Number("attention.clamp_kqv", a.clamp);
    const auto widest = std::ranges::max_element(a.windows);
    if (widest != a.windows.end() && *widest > 0) Count("attention.sliding_window", *widest);
  }

  void WriteRope() {
    const Rope& rope = spec_.attention.rope;
    Count("rope.dimension_count", rope.dims());
    Number("rope.freq_base", rope.theta);
    if (rope.scaling == "linear") {
      keys_.Add(Key("rope.scaling.type"), std::string("linear"));
      Number("rope.scaling.factor", static_cast<float>(rope.factor));
    }
    if (!rope.yarn) return;
    const Yarn& yarn = *rope.yarn;
    const Yarn usual;
    keys_.Add(Key("rope.scaling.type"), std::string("yarn"));
    Number("rope.scaling.factor", static_cast<float>(yarn.factor));
    Count("rope.scaling.original_context_length", static_cast<int64_t>(yarn.original_context));
    if (yarn.beta_fast != usual.beta_fast) {
      Number("rope.scaling.yarn_beta_fast", static_cast<float>(yarn.beta_fast));
    }
    if (yarn.beta_slow != usual.beta_slow) {
      Number("rope.scaling.yarn_beta_slow", static_cast<float>(yarn.beta_slow));
    }
    if (yarn.score_weight != 0) {
      Number("rope.scaling.yarn_log_multiplier", static_cast<float>(0.1 * yarn.score_weight));
    }
    const double sharpening = YarnSharpening(yarn.factor, 1);
    if (!spec_.attention.latent && std::fabs(rope.magnitude - sharpening) > 1e-6) {
      Number("rope.scaling.attn_factor", static_cast<float>(rope.magnitude / sharpening));
    }
  }

  void WriteExperts() {
    const MoeFfn& moe = spec_.moe;
    const RouterRule& rule = moe.rule;
    Count("expert_count", moe.experts);
    Count("expert_used_count", moe.top_k);
    // Mixtral's readers take feed_forward_length.
    if (architecture_.gguf_name != "llama") Count("expert_feed_forward_length", moe.ff);
    if (spec_.dense_layers > 0) Count("leading_dense_block_count", spec_.dense_layers);
    if (moe.shared_ff > 0) {
      if (!architecture_.gguf_names.shared_gating.empty() || moe.shared_ff % moe.ff != 0) {
        Count("expert_shared_feed_forward_length", moe.shared_ff);
      } else {
        Count("expert_shared_count", moe.shared_ff / moe.ff);
      }
    }
    Number("expert_weights_scale", rule.scale);
    keys_.Add(Key("expert_weights_norm"), rule.renormalise);
    if (rule.groups > 1) {
      Count("expert_group_count", rule.groups);
      Count("expert_group_used_count", rule.groups_used);
    }
    switch (rule.scores) {  // numbers of llama.cpp's enumeration
      case RouterScores::kSoftmax:
        return Count("expert_gating_func", 1);
      case RouterScores::kSigmoid:
        return Count("expert_gating_func", 2);
      case RouterScores::kSoftmaxOfChosen:
        return Count("expert_gating_func", 3);
    }
  }

  const Architecture& architecture_;
  const ModelSpec& spec_;
  KeyList& keys_;
};

bool Close(double a, double b) { return std::fabs(a - b) <= 1e-5 * std::fabs(a); }

// No windows and windows without an end are the same.
std::vector<int64_t> WindowsOf(const ModelSpec& spec) {
  std::vector<int64_t> windows = spec.attention.windows;
  windows.resize(static_cast<size_t>(spec.layers));
  return windows;
}

bool SameRope(const Rope& wanted, const Rope& read) {
  const std::vector<float> factors = RopeFactors(wanted);
  if (wanted.dims() != read.dims() || !Close(wanted.theta, read.theta) ||
      !Close(wanted.magnitude, read.magnitude)) {
    return false;
  }
  for (size_t i = 0; i < read.frequencies.size(); ++i) {
    const float factor = factors.empty() ? 1 : factors[i];
    if (!Close(wanted.frequencies[i], read.frequencies[i] / factor)) return false;
  }
  return true;
}

bool SameLatent(const std::optional<Latent>& a, const std::optional<Latent>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->q_rank == b->q_rank && a->kv_rank == b->kv_rank && a->nope_dim == b->nope_dim &&
         a->value_dim == b->value_dim;
}

bool SameQkNorm(QkNorm wanted, QkNorm read) {
  return wanted == read || (read == QkNorm::kPerHeadIfPresent && wanted != QkNorm::kWhole);
}

bool SameRule(const RouterRule& a, const RouterRule& b) {
  return a.scores == b.scores && a.renormalise == b.renormalise && Close(a.scale, b.scale) &&
         a.groups == b.groups && a.groups_used == b.groups_used && a.group_score == b.group_score;
}

}  // namespace

void AddModelKeys(const Architecture& architecture, const ModelSpec& spec, KeyList* keys) {
  Writer(architecture, spec, keys).Write();
}

Status CheckSameModel(const ModelSpec& wanted, const ModelSpec& read) {
  const Attention& a = wanted.attention;
  const Attention& b = read.attention;
  const struct {
    const char* what;
    bool same;
  } parts[] = {
      {"the number of layers",
       wanted.layers == read.layers && wanted.dense_layers == read.dense_layers},
      {"its widths", wanted.hidden == read.hidden && wanted.dense_ff == read.dense_ff &&
                         wanted.context == read.context},
      {"its norms", wanted.norm == read.norm && Close(wanted.norm_epsilon, read.norm_epsilon) &&
                        SameQkNorm(a.qk_norm, b.qk_norm)},
      {"attention's heads", a.heads == b.heads && a.kv_heads == b.kv_heads &&
                                a.head_dim == b.head_dim && SameLatent(a.latent, b.latent)},
      {"attention's scale or clamp", Close(a.scale, b.scale) && Close(a.clamp, b.clamp)},
      {"its sliding windows", WindowsOf(wanted) == WindowsOf(read)},
      {"its RoPE scaling", SameRope(a.rope, b.rope)},
      {"its experts",
       !wanted.has_experts() ||
           (wanted.moe.experts == read.moe.experts && wanted.moe.top_k == read.moe.top_k &&
            wanted.moe.ff == read.moe.ff && wanted.moe.shared_ff == read.moe.shared_ff &&
            wanted.moe.activation == read.moe.activation)},
      {"its routing", !wanted.has_experts() || SameRule(wanted.moe.rule, read.moe.rule)},
  };
  for (const auto& part : parts) {
    if (part.same) continue;
    return UnsupportedError(
        fmt::format("GGUF files of architecture '{}' cannot say {} as this model has it",
                    read.architecture, part.what));
  }
  return {};
}

std::vector<float> RopeFactors(const Rope& rope) {
  if (!rope.llama3) return {};
  const Llama3Scaling& scaling = *rope.llama3;
  const double dims = static_cast<double>(rope.dims());
  std::vector<float> factors;
  for (int64_t i = 0; i < rope.dims(); i += 2) {
    const double turns =
        scaling.original_context /
        (2 * std::numbers::pi * std::pow(double{rope.theta}, static_cast<double>(i) / dims));
    const double smooth = std::clamp(
        (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor),
        0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - smooth) / scaling.factor + smooth)));
  }
  return factors;
}

}  // namespace sluice

// How large the weights are: a matrix of `gain` g turns a vector of root mean square 1 into one of
// g. What layers add to the residual stream is small, so that a token's own embedding, and with it
// its own experts, stays most of it down to the last layer.
#include "synth/tensor_list.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace sluice {
namespace {

// All layers together add this much to an embedding of 1.
constexpr double kAdded = 0.5;
// Root mean square of silu(a) * b for normal a and b.
constexpr double kGated = 0.6;
// Standard deviation of router logits: the likeliest expert gets a few times the weight of the
// next.
constexpr double kRouterGain = 2;
// Standard deviation of biases, beside what matrices of a gain of 1 make.
constexpr double kBias = 0.1;

class Lister {
 public:
  Lister(const ModelShape& shape, const FileType& file) : shape_(shape), file_(file) {}

  std::vector<SynthTensor> List() {
    Matrix("token_embd.weight", MatrixRole::kEmbedding, shape_.vocab, shape_.hidden, 0);
    tensors_.back().content = TensorContent::kEmbedding;
    tensors_.back().rms = 1;
    for (layer_ = 0; layer_ < shape_.layers; ++layer_) {
      Norm("attn_norm", shape_.hidden);
      shape_.kv_latent > 0 ? LatentAttention() : Attention();
      Norm(shape_.ffn_norm, shape_.hidden);
      layer_ < shape_.dense_layers || shape_.experts == 0 ? DenseFeedForward() : Experts();
    }
    if (shape_.rope_factors) {
      Plain("rope_freqs.weight", {shape_.head_dim / 2}, TensorContent::kOnes, 0);
    }
    Plain("output_norm.weight", {shape_.hidden}, TensorContent::kOnes, 0);
    Matrix("output.weight", MatrixRole::kOutput, shape_.vocab, shape_.hidden, 3);
    return std::move(tensors_);
  }

 private:
  std::string Name(const char* part) const { return fmt::format("blk.{}.{}.weight", layer_, part); }

  void Plain(std::string name, std::vector<int64_t> dimensions, TensorContent content, double rms) {
    tensors_.push_back({.name = std::move(name),
                        .shape = std::move(dimensions),
                        .type = &BlockTypeOf(Format::kF32),
                        .content = content,
                        .rms = rms});
  }
  void Bias(const char* part, std::vector<int64_t> dimensions) {
    Plain(fmt::format("blk.{}.{}.bias", layer_, part), std::move(dimensions),
          TensorContent::kRandom, kBias);
  }
  void Norm(const char* part, int64_t size) { Plain(Name(part), {size}, TensorContent::kOnes, 0); }
  void Tensor(std::string name, MatrixRole role, std::vector<int64_t> dimensions, double gain) {
    const int64_t cols = dimensions.back();
    const ModelSize size{.layers = shape_.layers,
                         .experts = shape_.experts,
                         .heads_per_kv_head = shape_.heads / shape_.kv_heads};
    const MatrixPlace place{
        .role = role, .layer = layer_, .cols = cols, .of_experts = dimensions.size() == 3};
    tensors_.push_back({.name = std::move(name),
                        .shape = std::move(dimensions),
                        .type = &BlockTypeOf(MatrixFormat(file_, size, place)),
                        .content = TensorContent::kRandom,
                        .rms = gain / std::sqrt(static_cast<double>(cols))});
  }
  void Matrix(std::string name, MatrixRole role, int64_t rows, int64_t cols, double gain) {
    Tensor(std::move(name), role, {rows, cols}, gain);
  }

  // What one of the two parts of a layer adds.
  double Residual() const { return kAdded / std::sqrt(2 * static_cast<double>(shape_.layers)); }

  void Attention() {
    const int64_t q = shape_.heads * shape_.head_dim;
    const int64_t kv = shape_.kv_heads * shape_.head_dim;
    if (shape_.joined_qkv) {
      Matrix(Name("attn_qkv"), MatrixRole::kAttentionV, q + 2 * kv, shape_.hidden, 1);
    } else {
      Matrix(Name("attn_q"), MatrixRole::kOther, q, shape_.hidden, 1);
      Matrix(Name("attn_k"), MatrixRole::kAttentionK, kv, shape_.hidden, 1);
      Matrix(Name("attn_v"), MatrixRole::kAttentionV, kv, shape_.hidden, 1);
    }
    if (shape_.qkv_bias) {
      Bias("attn_q", {q});
      Bias("attn_k", {kv});
      Bias("attn_v", {kv});
    }
    if (shape_.qk_norm != SynthQkNorm::kNone) {
      const bool whole = shape_.qk_norm == SynthQkNorm::kWhole;
      Norm("attn_q_norm", whole ? q : shape_.head_dim);
      Norm("attn_k_norm", whole ? kv : shape_.head_dim);
    }
    Matrix(Name("attn_output"), MatrixRole::kAttentionOut, shape_.hidden, q, Residual());
    if (shape_.sinks_and_biases) {
      Bias("attn_output", {shape_.hidden});
      Plain(Name("attn_sinks"), {shape_.heads}, TensorContent::kRandom, 1);
    }
  }

  void LatentAttention() {
    const int64_t key = shape_.head_dim + shape_.rope_dim;
    Matrix(Name("attn_q"), MatrixRole::kOther, shape_.heads * key, shape_.hidden, 1);
    Matrix(Name("attn_kv_a_mqa"), MatrixRole::kOther, shape_.kv_latent + shape_.rope_dim,
           shape_.hidden, 1);
    Norm("attn_kv_a_norm", shape_.kv_latent);
    Matrix(Name("attn_kv_b"), MatrixRole::kAttentionV, shape_.heads * 2 * shape_.head_dim,
           shape_.kv_latent, 1);
    Matrix(Name("attn_output"), MatrixRole::kAttentionOut, shape_.hidden,
           shape_.heads * shape_.head_dim, Residual());
  }

  void GatedMatrices(const char* gate, const char* up, const char* down, int64_t ff) {
    Matrix(Name(gate), MatrixRole::kOther, ff, shape_.hidden, 1);
    Matrix(Name(up), MatrixRole::kOther, ff, shape_.hidden, 1);
    Matrix(Name(down), MatrixRole::kDown, shape_.hidden, ff, Residual() / kGated);
  }

  void DenseFeedForward() { GatedMatrices("ffn_gate", "ffn_up", "ffn_down", shape_.dense_ff); }

  void Experts() {
    const double hidden = std::sqrt(static_cast<double>(shape_.hidden));
    Plain(Name("ffn_gate_inp"), {shape_.experts, shape_.hidden}, TensorContent::kRandom,
          kRouterGain / hidden);
    const std::vector<int64_t> in = {shape_.experts, shape_.expert_ff, shape_.hidden};
    Tensor(Name("ffn_gate_exps"), MatrixRole::kOther, in, 1);
    Tensor(Name("ffn_up_exps"), MatrixRole::kOther, in, 1);
    Tensor(Name("ffn_down_exps"), MatrixRole::kDown,
           {shape_.experts, shape_.hidden, shape_.expert_ff}, Residual() / kGated);
    if (shape_.router == SynthRouter::kSigmoid) Bias("exp_probs_b", {shape_.experts});
    if (shape_.sinks_and_biases) {
      Bias("ffn_gate_inp", {shape_.experts});
      Bias("ffn_gate_exps", {shape_.experts, shape_.expert_ff});
      Bias("ffn_up_exps", {shape_.experts, shape_.expert_ff});
      Bias("ffn_down_exps", {shape_.experts, shape_.hidden});
    }
    if (shape_.shared_ff == 0) return;
    if (shape_.shared_gate) {
      Plain(Name("ffn_gate_inp_shexp"), {shape_.hidden}, TensorContent::kRandom, 1 / hidden);
    }
    GatedMatrices("ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp", shape_.shared_ff);
  }

  const ModelShape& shape_;
  const FileType& file_;
  int64_t layer_ = 0;
  std::vector<SynthTensor> tensors_;
};

}  // namespace

std::vector<SynthTensor> ListTensors(const ModelShape& shape, const FileType& file) {
  return Lister(shape, file).List();
}

}  // namespace sluice

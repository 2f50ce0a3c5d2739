#include "convert/target_tensor.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>
#include <utility>

#include "convert/model_keys.h"

namespace sluice {
namespace {

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

MatrixRole MatrixRoleOf(std::string_view name) {
  if (name == "output.weight") return MatrixRole::kOutput;
  if (name == "token_embd.weight") return MatrixRole::kEmbedding;
  for (const char* part : {"attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight"}) {
    if (Contains(name, part)) return MatrixRole::kAttentionV;
  }
  if (Contains(name, "attn_k.weight")) return MatrixRole::kAttentionK;
  if (Contains(name, "attn_output.weight")) return MatrixRole::kAttentionOut;
  return Contains(name, "ffn_down") ? MatrixRole::kDown : MatrixRole::kOther;
}

// "blk.12.": 12; 0 where a name has no layer.
int64_t LayerOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  int64_t layer = 0;
  if (name.starts_with(kPrefix)) {
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  }
  return layer;
}

// A stack of experts' matrices, or one expert's as files of 2023 have it: "ffn_up.3.weight".
bool IsOfExperts(std::string_view name) {
  if (Contains(name, "_exps.")) return true;
  for (const std::string_view part : {"ffn_gate.", "ffn_up.", "ffn_down."}) {
    const size_t at = name.find(part);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = name.substr(at + part.size());
    return !rest.empty() && rest[0] >= '0' && rest[0] <= '9';
  }
  return false;
}

// Vectors, norms, biases and routers are small, and every token goes through them.
bool StaysFloat(std::string_view name, const std::vector<int64_t>& shape) {
  return shape.size() < 2 || !name.ends_with(".weight") || Contains(name, "_norm.weight") ||
         Contains(name, "ffn_gate_inp.weight");
}

class FormatChooser {
 public:
  FormatChooser(const Model& model, const FileType& file)
      : file_(file),
        size_{.layers = model.spec.layers,
              .experts = model.spec.moe.experts,
              .heads_per_kv_head = model.spec.attention.latent ? model.spec.attention.heads
                                                               : model.spec.attention.heads /
                                                                     model.spec.attention.kv_heads},
        tied_(model.dense.output.file == nullptr) {}

  // Of a matrix.
  Format Choose(const std::string& name, int64_t cols) const {
    MatrixRole role = MatrixRoleOf(name);
    if (tied_ && role == MatrixRole::kEmbedding) role = MatrixRole::kOutput;
    return MatrixFormat(
        file_, size_,
        {.role = role, .layer = LayerOf(name), .cols = cols, .of_experts = IsOfExperts(name)});
  }

 private:
  const FileType& file_;
  const ModelSize size_;
  const bool tied_;
};

class DirectoryLister {
 public:
  DirectoryLister(const Model& model, const Architecture& architecture, const FileType& file,
                  RopeLayout layout)
      : model_(model),
        spec_(model.spec),
        names_(architecture.gguf_names),
        formats_(model, file),
        pairs_rows_(layout == RopeLayout::kPairs &&
                    model.spec.attention.rope.layout == RopeLayout::kHalves) {}

  std::vector<TargetTensor> List() {
    Add(names_.embedding, {spec_.vocab, spec_.hidden}, {model_.dense.embedding});
    std::vector<float> factors = RopeFactors(spec_.attention.rope);
    if (!factors.empty()) AddValues(names_.rope_factors, std::move(factors));
    for (int64_t l = 0; l < spec_.layers; ++l) Layer(l);
    prefix_.clear();
    Vector(names_.output_norm, model_.dense.output_norm);
    if (model_.dense.output.file != nullptr) {
      Add(names_.output, {spec_.vocab, spec_.hidden}, {model_.dense.output});
    }
    return std::move(tensors_);
  }

 private:
  void AddValues(std::string_view name, std::vector<float> values) {
    const int64_t count = std::ssize(values);
    tensors_.push_back({.name = std::string(name),
                        .shape = {count},
                        .format = Format::kF32,
                        .parts = {},
                        .values = std::move(values)});
  }

  void Add(std::string_view name, std::vector<int64_t> shape, std::vector<TensorExtent> parts,
           int64_t paired_heads = 0) {
    const std::string whole = prefix_ + std::string(name);
    const Format format =
        StaysFloat(whole, shape) ? Format::kF32 : formats_.Choose(whole, shape.back());
    tensors_.push_back({.name = whole,
                        .shape = std::move(shape),
                        .format = format,
                        .parts = std::move(parts),
                        .paired_heads = paired_heads,
                        .values = {}});
  }

  // What a layer may lack is absent.
  void Vector(std::string_view name, const TensorExtent& extent) {
    if (extent.file != nullptr) Add(name, {extent.cols}, {extent});
  }
  void Matrix(std::string_view name, const TensorExtent& extent, int64_t paired_heads = 0) {
    if (extent.file != nullptr) Add(name, {extent.rows, extent.cols}, {extent}, paired_heads);
  }
  static std::string BiasOf(std::string_view matrix) {
    return std::string(matrix.substr(0, matrix.rfind("weight"))) + "bias";
  }
  void Bias(std::string_view matrix, TensorExtent extent, int64_t paired_heads = 0) {
    if (extent.file == nullptr) return;
    if (paired_heads == 0) return Vector(BiasOf(matrix), extent);
    std::swap(extent.rows, extent.cols);  // a number a row, so that they can change places
    Add(BiasOf(matrix), {extent.rows}, {extent}, paired_heads);
  }

  void Layer(int64_t l) {
    const LayerTensors& t = model_.dense.layers[static_cast<size_t>(l)];
    prefix_ = Filled(names_.layer_prefix, l);
    Vector(names_.attention_norm, t.attention_norm);
    spec_.attention.latent ? LatentAttention(t) : GroupedAttention(t);
    Matrix(names_.o, t.o);
    Bias(names_.o, t.o_bias);
    if (t.sinks.file != nullptr) Vector(names_.sinks, t.sinks);
    Vector(names_.ffn_norm, t.ffn_norm);
    const bool dense = l < spec_.dense_layers;
    Matrix(dense ? names_.gate : names_.shared_gate, t.gate);
    Matrix(dense ? names_.up : names_.shared_up, t.up);
    Matrix(dense ? names_.down : names_.shared_down, t.down);
    if (dense) return;
    Vector(names_.shared_gating, t.shared_gating);
    Matrix(names_.router, t.router);
    Bias(names_.router, t.router_bias);
    Vector(names_.selection_bias, t.selection_bias);
    Experts(l - spec_.dense_layers);
    ExpertBias(names_.stacked_gate, t.expert_gate_bias, spec_.moe.ff);
    ExpertBias(names_.stacked_up, t.expert_up_bias, spec_.moe.ff);
    ExpertBias(names_.stacked_down, t.expert_down_bias, spec_.hidden);
  }

  void GroupedAttention(const LayerTensors& t) {
    const Attention& a = spec_.attention;
    if (!names_.qkv.empty()) {
      Add(names_.qkv, {t.q.rows + t.k.rows + t.v.rows, spec_.hidden}, {t.q, t.k, t.v});
    } else {
      const int64_t q_heads = pairs_rows_ ? a.heads : 0;
      const int64_t k_heads = pairs_rows_ ? a.kv_heads : 0;
      Matrix(names_.q, t.q, q_heads);
      Matrix(names_.k, t.k, k_heads);
      Matrix(names_.v, t.v);
      Bias(names_.q, t.q_bias, q_heads);
      Bias(names_.k, t.k_bias, k_heads);
      Bias(names_.v, t.v_bias);
    }
    Vector(names_.q_norm, t.q_norm);
    Vector(names_.k_norm, t.k_norm);
  }

  // In the later of GGUF's two encodings: matrices of keys and of values, those of keys transposed.
  void LatentAttention(const LayerTensors& t) {
    const Attention& a = spec_.attention;
    const Latent& latent = *a.latent;
    Matrix(names_.q_a, t.q_a);
    Vector(names_.q_a_norm, t.q_a_norm);
    Matrix(latent.q_rank > 0 ? names_.q_b : names_.q, t.q);
    Matrix(names_.kv_a, t.kv_a);
    Vector(names_.kv_a_norm, t.kv_a_norm);
    std::vector<TensorExtent> keys;
    std::vector<TensorExtent> values;
    for (int64_t h = 0; h < a.heads; ++h) {
      const int64_t first = h * (latent.nope_dim + latent.value_dim);
      TensorExtent key = t.kv_b.Rows(first, latent.nope_dim);
      std::swap(key.rows, key.cols);
      key.order = {.kind = MatrixOrder::kColumns, .first = 0, .step = 1};
      keys.push_back(key);
      values.push_back(t.kv_b.Rows(first + latent.nope_dim, latent.value_dim));
    }
    Add(names_.k_b, {a.heads, latent.kv_rank, latent.nope_dim}, std::move(keys));
    Add(names_.v_b, {a.heads, latent.value_dim, latent.kv_rank}, std::move(values));
  }

  void Experts(int64_t layer) {
    const MoeFfn& moe = spec_.moe;
    std::vector<TensorExtent> gate;
    std::vector<TensorExtent> up;
    std::vector<TensorExtent> down;
    for (int64_t e = 0; e < moe.experts; ++e) {
      const ExpertExtent& expert =
          model_.experts.Find({static_cast<int32_t>(layer), static_cast<int32_t>(e)});
      gate.push_back(expert.gate);
      up.push_back(expert.up);
      down.push_back(expert.down);
    }
    Add(names_.stacked_gate, {moe.experts, moe.ff, spec_.hidden}, std::move(gate));
    Add(names_.stacked_up, {moe.experts, moe.ff, spec_.hidden}, std::move(up));
    Add(names_.stacked_down, {moe.experts, spec_.hidden, moe.ff}, std::move(down));
  }

  void ExpertBias(std::string_view matrix, TensorExtent extent, int64_t size) {
    if (extent.file == nullptr) return;
    Add(BiasOf(matrix), {spec_.moe.experts, size}, {extent});
  }

  static std::string Filled(std::string_view pattern, int64_t number) {
    const size_t at = pattern.find("{}");
    return std::string(pattern.substr(0, at)) + std::to_string(number) +
           std::string(pattern.substr(at + 2));
  }

  const Model& model_;
  const ModelSpec& spec_;
  const TensorNames& names_;
  const FormatChooser formats_;
  const bool pairs_rows_;
  std::string prefix_;
  std::vector<TargetTensor> tensors_;
};

}  // namespace

int64_t TargetTensor::cols() const {
  return parts.empty() ? std::ssize(values) : parts.front().cols;
}

int64_t TargetTensor::rows() const {
  if (parts.empty()) return 1;
  int64_t rows = 0;
  for (const TensorExtent& part : parts) rows += part.rows;
  return rows;
}

int64_t TargetTensor::SourceRow(int64_t row) const {
  if (paired_heads == 0) return row;
  const int64_t head_rows = std::max<int64_t>(1, rows() / paired_heads);
  const int64_t in_head = row % head_rows;
  return row - in_head + in_head / 2 + in_head % 2 * (head_rows / 2);
}

std::vector<TargetTensor> TensorsOfDirectory(const Model& model, const Architecture& architecture,
                                             const FileType& file, RopeLayout layout) {
  return DirectoryLister(model, architecture, file, layout).List();
}

std::vector<TargetTensor> TensorsOfGguf(const Model& model, const FileType& file) {
  const FormatChooser formats(model, file);
  std::vector<TargetTensor> tensors;
  for (const auto& [name, entry] : model.checkpoint.tensors.entries()) {
    const int64_t cols = entry.shape.back();
    const int64_t rows =
        std::accumulate(entry.shape.begin(), entry.shape.end() - 1, int64_t{1}, std::multiplies());
    tensors.push_back(
        {.name = name,
         .shape = entry.shape,
         .format = StaysFloat(name, entry.shape) ? entry.format : formats.Choose(name, cols),
         .parts = {TensorExtent{.file = entry.file,
                                .offset = entry.offset,
                                .bytes = entry.bytes,
                                .format = entry.format,
                                .rows = rows,
                                .cols = cols}},
         .values = {}});
  }
  return tensors;
}

TensorRole RoleOfName(std::string_view name) {
  if (Contains(name, "norm")) return TensorRole::kNorms;
  if (name == "token_embd.weight") return TensorRole::kEmbedding;
  if (name == "output.weight") return TensorRole::kOutput;
  if (IsOfExperts(name)) return TensorRole::kExperts;
  if (Contains(name, "_shexp")) return TensorRole::kSharedExperts;
  if (Contains(name, "ffn_gate_inp") || Contains(name, "exp_probs")) return TensorRole::kRouters;
  return Contains(name, "ffn_") ? TensorRole::kFeedForward : TensorRole::kAttention;
}

}  // namespace sluice

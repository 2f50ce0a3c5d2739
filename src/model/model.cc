#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "base/check.h"
#include "model/architecture.h"
#include "model/spec_limits.h"
#include "model/vocabulary.h"

namespace sluice {
namespace {

std::string Fill(std::string_view pattern, int64_t number) {
  const size_t at = pattern.find("{}");
  return std::string(pattern.substr(0, at)) + std::to_string(number) +
         std::string(pattern.substr(at + 2));
}

// Finds tensors of one checkpoint by role, and remembers which it was asked for.
class TensorFinder {
 public:
  TensorFinder(const Checkpoint& checkpoint, const TensorNames& names, const ModelSpec& spec)
      : kind_(checkpoint.kind), tensors_(checkpoint.tensors), names_(names), spec_(spec) {}

  // A tensor that nobody asked for would silently be left out of the computation: biases, scaling
  // factors, further layers. Better no answer than a wrong one.
  Status CheckAllUsed() const {
    for (const auto& [name, entry] : tensors_.entries()) {
      const bool harmless = name.ends_with("rotary_emb.inv_freq") || name == names_.output;
      if (!harmless && !used_.contains(name) && !InUnusedLayer(name)) {
        return UnsupportedError(
            fmt::format("tensor '{}' has no place in architecture '{}' as it is known here", name,
                        spec_.architecture));
      }
    }
    return {};
  }

  Result<DenseTensors> Dense() {
    DenseTensors dense;
    SLUICE_TRY_ASSIGN(dense.embedding,
                      Matrix(std::string(names_.embedding), spec_.vocab, spec_.hidden));
    SLUICE_TRY_ASSIGN(dense.output_norm, Matrix(std::string(names_.output_norm), 1, spec_.hidden));
    // A GGUF file without an output matrix means a tied one; config.json says so itself.
    const bool may_be_absent = kind_ == CheckpointKind::kGguf;
    if (!spec_.tied_embeddings && (tensors_.Has(names_.output) || !may_be_absent)) {
      SLUICE_TRY_ASSIGN(dense.output,
                        Matrix(std::string(names_.output), spec_.vocab, spec_.hidden));
    }
    if (Has(names_.rope_factors)) {
      SLUICE_TRY_ASSIGN(dense.rope_factors, Matrix(std::string(names_.rope_factors), 1,
                                                   spec_.attention.rope.dims() / 2));
    }
    for (int64_t l = 0; l < spec_.layers; ++l) {
      SLUICE_TRY_ASSIGN(LayerTensors layer, Layer(l));
      dense.layers.push_back(layer);
    }
    return dense;
  }

  Result<ExpertCatalog> Experts() {
    std::vector<ExpertExtent> extents;
    for (int64_t l = spec_.dense_layers; l < spec_.layers; ++l) {
      for (int64_t e = 0; e < spec_.moe.experts; ++e) {
        ExpertExtent extent;
        if (names_.fused_gate_up.empty()) {
          SLUICE_TRY_ASSIGN(extent.gate, Expert(l, e, names_.stacked_gate, names_.expert_gate,
                                                spec_.moe.ff, spec_.hidden));
          SLUICE_TRY_ASSIGN(extent.up, Expert(l, e, names_.stacked_up, names_.expert_up,
                                              spec_.moe.ff, spec_.hidden));
        } else {
          SLUICE_TRY_ASSIGN(extent.gate, Turned(l, e, names_.fused_gate_up, spec_.moe.ff,
                                                spec_.hidden, {MatrixOrder::kColumns, 0, 2}));
          SLUICE_TRY_ASSIGN(extent.up, Turned(l, e, names_.fused_gate_up, spec_.moe.ff,
                                              spec_.hidden, {MatrixOrder::kColumns, 1, 2}));
        }
        if (names_.turned_down.empty()) {
          SLUICE_TRY_ASSIGN(extent.down, Expert(l, e, names_.stacked_down, names_.expert_down,
                                                spec_.hidden, spec_.moe.ff));
        } else {
          SLUICE_TRY_ASSIGN(extent.down, Turned(l, e, names_.turned_down, spec_.hidden,
                                                spec_.moe.ff, {MatrixOrder::kColumns, 0, 1}));
        }
        extents.push_back(extent);
      }
    }
    return ExpertCatalog(spec_.moe.experts, std::move(extents));
  }

 private:
  std::string Prefix(int64_t layer) const { return Fill(names_.layer_prefix, layer); }
  bool Has(const std::string& name) const { return !name.empty() && tensors_.Has(name); }
  bool Has(std::string_view name) const { return Has(std::string(name)); }

  bool InUnusedLayer(std::string_view name) const {
    for (int64_t l = spec_.layers; l < spec_.layers + spec_.unused_layers; ++l) {
      if (name.starts_with(Prefix(l))) return true;
    }
    return false;
  }

  // A vector is a matrix of one row.
  Result<TensorExtent> Matrix(const std::string& name, int64_t rows, int64_t cols) {
    used_.insert(name);
    return tensors_.Matrix(name, rows, cols);
  }

  // The matrix of each head, one after the other.
  Result<TensorExtent> Heads(const std::string& name, int64_t heads, int64_t rows, int64_t cols) {
    used_.insert(name);
    return tensors_.Stack(name, heads, rows, cols);
  }

  // The bias beside a matrix, where the file has one.
  Result<TensorExtent> Bias(const std::string& matrix, int64_t size) {
    constexpr std::string_view kWeight = "weight";
    if (!matrix.ends_with(kWeight)) return TensorExtent();
    const std::string name = matrix.substr(0, matrix.size() - kWeight.size()) + "bias";
    return Has(name) ? Matrix(name, 1, size) : TensorExtent();
  }

  // The same, of all experts in one tensor.
  Result<TensorExtent> ExpertBias(const std::string& matrix, int64_t size) {
    const std::string name = matrix.substr(0, matrix.rfind("weight")) + "bias";
    if (matrix.empty() || !Has(name)) return TensorExtent();
    SLUICE_TRY_ASSIGN(TensorExtent extent, Matrix(name, spec_.moe.experts, size));
    extent.cols *= extent.rows;
    extent.rows = 1;
    return extent;
  }

  Result<LayerTensors> Layer(int64_t l) {
    const std::string prefix = Prefix(l);
    LayerTensors layer;
    SLUICE_TRY_ASSIGN(layer.attention_norm,
                      Matrix(prefix + std::string(names_.attention_norm), 1, spec_.hidden));
    SLUICE_TRY(spec_.attention.latent ? LatentAttention(prefix, &layer)
                                      : GroupedAttention(prefix, &layer));
    SLUICE_TRY_ASSIGN(layer.ffn_norm,
                      Matrix(prefix + std::string(names_.ffn_norm), 1, spec_.hidden));
    SLUICE_TRY(l < spec_.dense_layers ? DenseFfn(prefix, &layer) : Moe(prefix, &layer));
    return layer;
  }

  Status GroupedAttention(const std::string& prefix, LayerTensors* layer) {
    const Attention& a = spec_.attention;
    const int64_t q = a.heads * a.head_dim;
    const int64_t kv = a.kv_heads * a.head_dim;
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    if (!names_.qkv.empty()) {
      SLUICE_TRY_ASSIGN(const TensorExtent all, Matrix(name(names_.qkv), q + 2 * kv, spec_.hidden));
      layer->q = all.Rows(0, q);
      layer->k = all.Rows(q, kv);
      layer->v = all.Rows(q + kv, kv);
    } else {
      SLUICE_TRY_ASSIGN(layer->q, Matrix(name(names_.q), q, spec_.hidden));
      SLUICE_TRY_ASSIGN(layer->k, Matrix(name(names_.k), kv, spec_.hidden));
      SLUICE_TRY_ASSIGN(layer->v, Matrix(name(names_.v), kv, spec_.hidden));
      SLUICE_TRY_ASSIGN(layer->q_bias, Bias(name(names_.q), q));
      SLUICE_TRY_ASSIGN(layer->k_bias, Bias(name(names_.k), kv));
      SLUICE_TRY_ASSIGN(layer->v_bias, Bias(name(names_.v), kv));
    }
    SLUICE_TRY_ASSIGN(layer->o, Matrix(name(names_.o), spec_.hidden, q));
    SLUICE_TRY_ASSIGN(layer->o_bias, Bias(name(names_.o), spec_.hidden));
    if (!names_.sinks.empty()) {
      SLUICE_TRY_ASSIGN(layer->sinks, Matrix(name(names_.sinks), 1, a.heads));
    }
    if (a.qk_norm == QkNorm::kNone) return {};
    const bool whole = a.qk_norm == QkNorm::kWhole;
    SLUICE_TRY_ASSIGN(layer->q_norm, Matrix(name(names_.q_norm), 1, whole ? q : a.head_dim));
    SLUICE_TRY_ASSIGN(layer->k_norm, Matrix(name(names_.k_norm), 1, whole ? kv : a.head_dim));
    return {};
  }

  Status LatentAttention(const std::string& prefix, LayerTensors* layer) {
    const Attention& a = spec_.attention;
    const Latent& latent = *a.latent;
    const int64_t q = a.heads * a.head_dim;
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    if (latent.q_rank > 0) {
      SLUICE_TRY_ASSIGN(layer->q_a, Matrix(name(names_.q_a), latent.q_rank, spec_.hidden));
      SLUICE_TRY_ASSIGN(layer->q_a_norm, Matrix(name(names_.q_a_norm), 1, latent.q_rank));
      SLUICE_TRY_ASSIGN(layer->q, Matrix(name(names_.q_b), q, latent.q_rank));
    } else {
      SLUICE_TRY_ASSIGN(layer->q, Matrix(name(names_.q), q, spec_.hidden));
    }
    SLUICE_TRY_ASSIGN(layer->kv_a, Matrix(name(names_.kv_a), a.cached_key_dim(), spec_.hidden));
    SLUICE_TRY_ASSIGN(layer->kv_a_norm, Matrix(name(names_.kv_a_norm), 1, latent.kv_rank));
    if (!names_.k_b.empty() && Has(name(names_.k_b))) {
      SLUICE_TRY_ASSIGN(layer->k_b,
                        Heads(name(names_.k_b), a.heads, latent.kv_rank, latent.nope_dim));
      SLUICE_TRY_ASSIGN(layer->v_b,
                        Heads(name(names_.v_b), a.heads, latent.value_dim, latent.kv_rank));
    } else {
      SLUICE_TRY_ASSIGN(layer->kv_b,
                        Matrix(name(names_.kv_b), a.heads * (latent.nope_dim + latent.value_dim),
                               latent.kv_rank));
    }
    SLUICE_TRY_ASSIGN(layer->o, Matrix(name(names_.o), spec_.hidden, a.heads * latent.value_dim));
    return {};
  }

  Status DenseFfn(const std::string& prefix, LayerTensors* layer) {
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    SLUICE_TRY_ASSIGN(layer->gate, Matrix(name(names_.gate), spec_.dense_ff, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer->up, Matrix(name(names_.up), spec_.dense_ff, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer->down, Matrix(name(names_.down), spec_.hidden, spec_.dense_ff));
    return {};
  }

  // All of a layer with experts but the experts.
  Status Moe(const std::string& prefix, LayerTensors* layer) {
    const MoeFfn& moe = spec_.moe;
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    if (moe.shared_ff > 0) {
      SLUICE_TRY_ASSIGN(layer->gate, Matrix(name(names_.shared_gate), moe.shared_ff, spec_.hidden));
      SLUICE_TRY_ASSIGN(layer->up, Matrix(name(names_.shared_up), moe.shared_ff, spec_.hidden));
      SLUICE_TRY_ASSIGN(layer->down, Matrix(name(names_.shared_down), spec_.hidden, moe.shared_ff));
      if (!names_.shared_gating.empty()) {
        SLUICE_TRY_ASSIGN(layer->shared_gating,
                          Matrix(name(names_.shared_gating), 1, spec_.hidden));
      }
    }
    SLUICE_TRY_ASSIGN(layer->router, Matrix(name(names_.router), moe.experts, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer->router_bias, Bias(name(names_.router), moe.experts));
    if (!names_.selection_bias.empty() && Has(name(names_.selection_bias))) {
      SLUICE_TRY_ASSIGN(layer->selection_bias, Matrix(name(names_.selection_bias), 1, moe.experts));
    }
    if (!names_.fused_gate_up_bias.empty()) return TurnedBiases(prefix, layer);
    if (names_.stacked_gate.empty()) return {};
    SLUICE_TRY_ASSIGN(layer->expert_gate_bias, ExpertBias(name(names_.stacked_gate), moe.ff));
    SLUICE_TRY_ASSIGN(layer->expert_up_bias, ExpertBias(name(names_.stacked_up), moe.ff));
    SLUICE_TRY_ASSIGN(layer->expert_down_bias, ExpertBias(name(names_.stacked_down), spec_.hidden));
    return {};
  }

  Status TurnedBiases(const std::string& prefix, LayerTensors* layer) {
    const int64_t ff = spec_.moe.ff;
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    SLUICE_TRY_ASSIGN(TensorExtent both,
                      Matrix(name(names_.fused_gate_up_bias), spec_.moe.experts, 2 * ff));
    both.rows = 1;
    both.cols = spec_.moe.experts * ff;
    both.order = {MatrixOrder::kColumns, 0, 2};
    layer->expert_gate_bias = both;
    both.order.first = 1;
    layer->expert_up_bias = both;
    SLUICE_TRY_ASSIGN(layer->expert_down_bias,
                      Matrix(name(names_.turned_down_bias), spec_.moe.experts, spec_.hidden));
    layer->expert_down_bias.cols *= layer->expert_down_bias.rows;
    layer->expert_down_bias.rows = 1;
    return {};
  }

  Result<TensorExtent> Expert(int64_t layer, int64_t expert, std::string_view stacked,
                              std::string_view single, int64_t rows, int64_t cols) {
    const std::string prefix = Prefix(layer);
    if (!stacked.empty() && tensors_.Has(prefix + std::string(stacked))) {
      used_.insert(prefix + std::string(stacked));
      return tensors_.Slice(prefix + std::string(stacked), expert, spec_.moe.experts, rows, cols);
    }
    return Matrix(prefix + Fill(single, expert), rows, cols);
  }

  // A matrix that lies transposed in a tensor of all experts.
  Result<TensorExtent> Turned(int64_t layer, int64_t expert, std::string_view stacked, int64_t rows,
                              int64_t cols, MatrixOrder order) {
    const std::string name = Prefix(layer) + std::string(stacked);
    used_.insert(name);
    const auto found = tensors_.entries().find(name);
    if (found != tensors_.entries().end() && found->second.packed != nullptr) {
      // Packed ones are not transposed.
      SLUICE_TRY_ASSIGN(TensorExtent extent,
                        tensors_.Slice(name, expert, spec_.moe.experts, rows * order.step, cols));
      extent.rows = rows;
      extent.packed.first += order.first;
      extent.packed.step = order.step;
      return extent;
    }
    SLUICE_TRY_ASSIGN(TensorExtent extent,
                      tensors_.Slice(name, expert, spec_.moe.experts, cols, rows * order.step));
    if (Spec(extent.format).block_elements != 1) {
      return UnsupportedError(fmt::format("tensor '{}' lies transposed, in blocks of {}", name,
                                          Spec(extent.format).name));
    }
    extent.rows = rows;
    extent.cols = cols;
    extent.order = order;
    return extent;
  }

  const CheckpointKind kind_;
  const TensorTable& tensors_;
  const TensorNames& names_;
  const ModelSpec& spec_;
  std::set<std::string, std::less<>> used_;
};

// GGUF says the vocabulary's size in the shape of the embedding.
Result<int64_t> VocabRows(const Checkpoint& checkpoint, std::string_view embedding) {
  const auto found = checkpoint.tensors.entries().find(embedding);
  if (found == checkpoint.tensors.entries().end() || found->second.shape.size() != 2) {
    return CorruptError(
        fmt::format("{}: no tensor '{}' of two dimensions: a vocabulary without a "
                    "model?",
                    checkpoint.path, embedding));
  }
  const int64_t rows = found->second.shape[0];
  if (rows > kMaxVocab) {
    return CorruptError(fmt::format("{}: a vocabulary of {} tokens", checkpoint.path, rows));
  }
  return rows;
}

// Benchmark files say "none" or "no_vocab".
Result<bool> HasTokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kHuggingFace) return !checkpoint.tokenizer_json.empty();
  SLUICE_TRY_ASSIGN(const std::string name,
                    checkpoint.metadata.StringOr("tokenizer.ggml.model", "none"));
  return name != "none" && name != "no_vocab";
}

}  // namespace

uint64_t ExpertCatalog::total_bytes() const {
  uint64_t total = 0;
  for (const ExpertExtent& extent : extents_) total += extent.bytes();
  return total;
}

uint64_t ExpertCatalog::largest_bytes() const {
  uint64_t largest = 0;
  for (const ExpertExtent& extent : extents_) largest = std::max(largest, extent.bytes());
  return largest;
}

namespace {

// Calls visit(role, extent) for what layers have, of one kind.
enum class PartKind { kMatrix, kVector };
template <typename Visit>
void ForEachPart(const std::vector<LayerTensors>& layers, PartKind wanted, const Visit& visit) {
  for (const LayerTensors& layer : layers) {
    const TensorRole ffn =
        layer.router.file == nullptr ? TensorRole::kFeedForward : TensorRole::kSharedExperts;
    const auto of_kind = [&](PartKind kind) {
      return [&, kind](TensorRole role, const TensorExtent& extent, const TensorExtent&) {
        if (kind == wanted && extent.file != nullptr) visit(role, extent);
        return Status();
      };
    };
    SLUICE_CHECK(
        VisitParts(ffn, layer, layer, of_kind(PartKind::kMatrix), of_kind(PartKind::kVector)).ok());
  }
}

}  // namespace

std::vector<DenseTensors::Part> DenseTensors::Matrices() const {
  std::vector<Part> parts = {{TensorRole::kEmbedding, &embedding}};
  if (output.file != nullptr) parts.push_back({TensorRole::kOutput, &output});
  ForEachPart(layers, PartKind::kMatrix, [&](TensorRole role, const TensorExtent& extent) {
    parts.push_back({role, &extent});
  });
  return parts;
}

std::vector<DenseTensors::Part> DenseTensors::Vectors() const {
  std::vector<Part> parts = {{TensorRole::kNorms, &output_norm}};
  if (rope_factors.file != nullptr) parts.push_back({TensorRole::kAttention, &rope_factors});
  ForEachPart(layers, PartKind::kVector, [&](TensorRole role, const TensorExtent& extent) {
    parts.push_back({role, &extent});
  });
  return parts;
}

uint64_t DenseTensors::total_bytes() const {
  uint64_t total = 0;
  for (const Part& part : Matrices()) total += part.extent->bytes;
  for (const Part& part : Vectors()) total += part.extent->bytes;
  return total;
}

Result<Model> OpenModel(Checkpoint checkpoint) {
  SLUICE_TRY_ASSIGN(const Architecture* architecture, FindArchitecture(checkpoint));
  const TensorNames& names = architecture->names(checkpoint.kind);
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  SLUICE_TRY_ASSIGN(ModelSpec spec, gguf ? architecture->from_gguf(checkpoint.metadata)
                                         : architecture->from_hugging_face(checkpoint.metadata));
  SLUICE_TRY(CheckSpec(checkpoint.metadata, spec));
  if (gguf) {
    SLUICE_TRY_ASSIGN(spec.vocab, VocabRows(checkpoint, names.embedding));
  }
  if (spec.attention.qk_norm == QkNorm::kPerHeadIfPresent) {
    const bool present =
        checkpoint.tensors.Has(Fill(names.layer_prefix, 0) + std::string(names.q_norm));
    spec.attention.qk_norm = present ? QkNorm::kPerHead : QkNorm::kNone;
  }
  TensorFinder finder(checkpoint, names, spec);
  Result<DenseTensors> dense = finder.Dense();
  if (!dense.ok()) return dense.status().Annotate(checkpoint.path);
  Result<ExpertCatalog> experts = finder.Experts();
  if (!experts.ok()) return experts.status().Annotate(checkpoint.path);
  SLUICE_TRY(finder.CheckAllUsed().Annotate(checkpoint.path));
  spec.tied_embeddings = dense->output.file == nullptr;

  std::unique_ptr<Tokenizer> tokenizer;
  SLUICE_TRY_ASSIGN(const bool has_tokenizer, HasTokenizer(checkpoint));
  if (has_tokenizer) {
    SLUICE_TRY_ASSIGN(Vocabulary vocabulary, VocabularyOf(checkpoint));
    Result<std::unique_ptr<Tokenizer>> created = Tokenizer::Create(std::move(vocabulary));
    if (!created.ok()) return created.status().Annotate(checkpoint.path + ": tokenizer");
    tokenizer = *std::move(created);
    if (static_cast<int64_t>(tokenizer->size()) > spec.vocab) {
      return CorruptError(fmt::format("{}: the tokenizer has {} tokens, the embedding {} rows",
                                      checkpoint.path, tokenizer->size(), spec.vocab));
    }
  }
  return Model{.checkpoint = std::move(checkpoint),
               .spec = std::move(spec),
               .dense = *std::move(dense),
               .experts = *std::move(experts),
               .tokenizer = std::move(tokenizer)};
}

Result<Model> OpenModel(const std::string& path, PackedMatrices packed) {
  SLUICE_TRY_ASSIGN(Checkpoint checkpoint, OpenCheckpoint(path));
  if (packed == PackedMatrices::kRefused && checkpoint.tensors.has_packed()) {
    return UnsupportedError(fmt::format(
        "{}: its weights are packed with scales of their own ({}), which cannot be run "
        "as they are; write them as GGUF first: sluice convert {} -o FILE.gguf (which FP8 models "
        "with latent attention, DeepSeek-V2 and -V3, cannot be: take unpacked weights of those)",
        path, *checkpoint.metadata.StringOr("quantization_config.quant_method", ""), path));
  }
  return OpenModel(std::move(checkpoint));
}

}  // namespace sluice

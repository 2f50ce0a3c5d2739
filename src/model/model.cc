#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "model/architecture.h"
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
      if (!harmless && !used_.contains(name)) {
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
    for (int64_t l = 0; l < spec_.layers; ++l) {
      SLUICE_TRY_ASSIGN(LayerTensors layer, Layer(l));
      dense.layers.push_back(layer);
    }
    return dense;
  }

  Result<ExpertCatalog> Experts() {
    std::vector<ExpertExtent> extents;
    for (int64_t l = 0; l < spec_.layers; ++l) {
      for (int64_t e = 0; e < spec_.moe.experts; ++e) {
        ExpertExtent extent;
        SLUICE_TRY_ASSIGN(extent.gate, Expert(l, e, names_.stacked_gate, names_.expert_gate,
                                              spec_.moe.ff, spec_.hidden));
        SLUICE_TRY_ASSIGN(extent.up, Expert(l, e, names_.stacked_up, names_.expert_up, spec_.moe.ff,
                                            spec_.hidden));
        SLUICE_TRY_ASSIGN(extent.down, Expert(l, e, names_.stacked_down, names_.expert_down,
                                              spec_.hidden, spec_.moe.ff));
        extents.push_back(extent);
      }
    }
    return ExpertCatalog(spec_.moe.experts, std::move(extents));
  }

 private:
  std::string Prefix(int64_t layer) const { return Fill(names_.layer_prefix, layer); }

  // A vector is a matrix of one row.
  Result<TensorExtent> Matrix(const std::string& name, int64_t rows, int64_t cols) {
    used_.insert(name);
    return tensors_.Matrix(name, rows, cols);
  }

  Result<LayerTensors> Layer(int64_t l) {
    const std::string prefix = Prefix(l);
    const Gqa& a = spec_.attention;
    const auto matrix = [&](std::string_view name, int64_t rows, int64_t cols) {
      return Matrix(prefix + std::string(name), rows, cols);
    };
    LayerTensors layer;
    SLUICE_TRY_ASSIGN(layer.attention_norm, matrix(names_.attention_norm, 1, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer.q, matrix(names_.q, a.heads * a.head_dim, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer.k, matrix(names_.k, a.kv_heads * a.head_dim, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer.v, matrix(names_.v, a.kv_heads * a.head_dim, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer.o, matrix(names_.o, spec_.hidden, a.heads * a.head_dim));
    if (a.qk_norm != QkNorm::kNone) {
      const bool whole = a.qk_norm == QkNorm::kWhole;
      SLUICE_TRY_ASSIGN(layer.q_norm,
                        matrix(names_.q_norm, 1, whole ? a.heads * a.head_dim : a.head_dim));
      SLUICE_TRY_ASSIGN(layer.k_norm,
                        matrix(names_.k_norm, 1, whole ? a.kv_heads * a.head_dim : a.head_dim));
    }
    SLUICE_TRY_ASSIGN(layer.ffn_norm, matrix(names_.ffn_norm, 1, spec_.hidden));
    SLUICE_TRY_ASSIGN(layer.router, matrix(names_.router, spec_.moe.experts, spec_.hidden));
    return layer;
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

  const CheckpointKind kind_;
  const TensorTable& tensors_;
  const TensorNames& names_;
  const ModelSpec& spec_;
  std::set<std::string, std::less<>> used_;
};

constexpr int64_t kMaxVocab = int64_t{1} << 24;

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

std::vector<const TensorExtent*> DenseTensors::Matrices() const {
  std::vector<const TensorExtent*> matrices = {&embedding};
  if (output) matrices.push_back(&*output);
  for (const LayerTensors& layer : layers) {
    for (const TensorExtent* extent : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.router}) {
      matrices.push_back(extent);
    }
  }
  return matrices;
}

std::vector<const TensorExtent*> DenseTensors::Vectors() const {
  std::vector<const TensorExtent*> vectors = {&output_norm};
  for (const LayerTensors& layer : layers) {
    vectors.push_back(&layer.attention_norm);
    vectors.push_back(&layer.ffn_norm);
    if (layer.q_norm) vectors.push_back(&*layer.q_norm);
    if (layer.k_norm) vectors.push_back(&*layer.k_norm);
  }
  return vectors;
}

uint64_t DenseTensors::total_bytes() const {
  uint64_t total = 0;
  for (const TensorExtent* extent : Matrices()) total += extent->bytes;
  for (const TensorExtent* extent : Vectors()) total += extent->bytes;
  return total;
}

Result<Model> OpenModel(Checkpoint checkpoint) {
  SLUICE_TRY_ASSIGN(const Architecture* architecture, FindArchitecture(checkpoint));
  const TensorNames& names = architecture->names(checkpoint.kind);
  const bool gguf = checkpoint.kind == CheckpointKind::kGguf;
  SLUICE_TRY_ASSIGN(ModelSpec spec, gguf ? architecture->from_gguf(checkpoint.metadata)
                                         : architecture->from_hugging_face(checkpoint.metadata));
  if (gguf) {
    SLUICE_TRY_ASSIGN(spec.vocab, VocabRows(checkpoint, names.embedding));
  }
  TensorFinder finder(checkpoint, names, spec);
  Result<DenseTensors> dense = finder.Dense();
  if (!dense.ok()) return dense.status().Annotate(checkpoint.path);
  Result<ExpertCatalog> experts = finder.Experts();
  if (!experts.ok()) return experts.status().Annotate(checkpoint.path);
  SLUICE_TRY(finder.CheckAllUsed().Annotate(checkpoint.path));
  spec.tied_embeddings = !dense->output.has_value();

  std::unique_ptr<Tokenizer> tokenizer;
  SLUICE_TRY_ASSIGN(const bool has_tokenizer, HasTokenizer(checkpoint));
  if (has_tokenizer) {
    SLUICE_TRY_ASSIGN(Vocabulary vocabulary, VocabularyOf(checkpoint));
    SLUICE_TRY_ASSIGN(tokenizer, Tokenizer::Create(std::move(vocabulary)));
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

Result<Model> OpenModel(const std::string& path) {
  SLUICE_TRY_ASSIGN(Checkpoint checkpoint, OpenCheckpoint(path));
  return OpenModel(std::move(checkpoint));
}

}  // namespace sluice

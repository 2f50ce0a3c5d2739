// A model on disk, understood: what it computes, where each tensor lies, how it spells text.
// Nothing of the weights has been read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/layer_parts.h"
#include "model/model_spec.h"
#include "routing/expert_id.h"
#include "sluice/status.h"
#include "tokenizer/tokenizer.h"

namespace sluice {

// Where an expert's three matrices lie: gate and up [ff, hidden], down [hidden, ff].
struct ExpertExtent {
  TensorExtent gate;
  TensorExtent up;
  TensorExtent down;

  uint64_t bytes() const { return gate.bytes + up.bytes + down.bytes; }
};

class ExpertCatalog {
 public:
  ExpertCatalog() = default;
  ExpertCatalog(int64_t experts_per_layer, std::vector<ExpertExtent> extents)
      : experts_per_layer_(experts_per_layer), extents_(std::move(extents)) {}

  const ExpertExtent& Find(ExpertId id) const {
    return extents_[static_cast<size_t>(id.layer * experts_per_layer_ + id.expert)];
  }
  const std::vector<ExpertExtent>& extents() const { return extents_; }
  uint64_t total_bytes() const;
  uint64_t largest_bytes() const;

 private:
  int64_t experts_per_layer_ = 0;
  std::vector<ExpertExtent> extents_;  // [moe layers * experts]
};

// What is always resident, by role. Vectors are matrices of one row; what is absent has no file.
using LayerTensors = LayerParts<TensorExtent, TensorExtent>;
struct DenseTensors {
  TensorExtent embedding;
  TensorExtent output_norm;
  TensorExtent output;        // absent: tied to the embedding
  TensorExtent rope_factors;  // [rope dims / 2]
  std::vector<LayerTensors> layers;

  struct Part {
    TensorRole role;
    const TensorExtent* extent;
  };
  // Those that are there. A matrix may have one row too.
  std::vector<Part> Matrices() const;
  std::vector<Part> Vectors() const;
  uint64_t total_bytes() const;
};

struct Model {
  Checkpoint checkpoint;  // owns the files that the extents point to
  ModelSpec spec;
  DenseTensors dense;
  ExpertCatalog experts;
  std::unique_ptr<Tokenizer> tokenizer;  // null where the files have none
};

// Whether a model may have matrices that lie in several tensors (checkpoint/packed_matrix.h): they
// can be converted, and not be run.
enum class PackedMatrices { kRefused, kAllowed };

// Opens and checks everything but the weights themselves. `path` as OpenCheckpoint has it.
Result<Model> OpenModel(const std::string& path, PackedMatrices packed = PackedMatrices::kRefused);
Result<Model> OpenModel(Checkpoint checkpoint);

}  // namespace sluice

// Everything that is always resident: embeddings, attention, norms, routers. Read once, laid out
// for the device, never evicted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "device/device.h"
#include "model/model.h"
#include "sluice/status.h"

namespace sluice {

// What a layer lacks is empty: views without rows, vectors without elements. kv_b is never here: it
// becomes k_b, of floats, and v_b.
using LayerWeights = LayerParts<WeightView, std::vector<float>>;

class DenseWeights {
 public:
  // `progress` gets the bytes read so far and in all; it may be empty. Blocks.
  using Progress = std::function<void(uint64_t done, uint64_t total)>;
  static Result<std::unique_ptr<DenseWeights>> Load(const Model& model, const Device& device,
                                                    const Progress& progress);

  // Memory that Load takes, staging included.
  static uint64_t BytesNeeded(const Model& model);

  const WeightView& embedding() const { return embedding_; }
  const WeightView& output() const { return output_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const std::vector<float>& rope_factors() const { return rope_factors_; }  // or empty
  const std::vector<LayerWeights>& layers() const { return layers_; }

 private:
  class Loader;
  DenseWeights() = default;

  PageBuffer memory_;
  WeightView embedding_;
  WeightView output_;
  std::vector<float> output_norm_;
  std::vector<float> rope_factors_;
  std::vector<LayerWeights> layers_;
};

}  // namespace sluice

// Everything that is always resident: embeddings, attention, norms, routers. Read once, laid out
// for the device, never evicted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "device/device.h"
#include "model/model.h"
#include "sluice/status.h"

namespace sluice {

struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  WeightView q, k, v, o;
  std::vector<float> q_norm, k_norm;  // empty where the model has none
  std::vector<float> ffn_norm;        // [hidden]
  WeightView router;
};

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
  const std::vector<LayerWeights>& layers() const { return layers_; }

 private:
  class Loader;
  DenseWeights() = default;

  PageBuffer memory_;
  WeightView embedding_;
  WeightView output_;
  std::vector<float> output_norm_;
  std::vector<LayerWeights> layers_;
};

}  // namespace sluice

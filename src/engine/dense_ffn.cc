// It is computed as one expert that every token chose.
#include "engine/dense_ffn.h"

namespace sluice {

void DenseFfn::Run(const LayerWeights& weights, const Batch& batch, Activations* buffers) {
  const int64_t tokens = batch.size();
  while (std::ssize(everyone_) < tokens)
    everyone_.push_back(static_cast<int32_t>(everyone_.size()));
  const ExpertCall call{
      .weights = {.gate = weights.gate, .up = weights.up, .down = weights.down},
      .biases = {},
      .assignments = std::span(everyone_).subspan(0, static_cast<size_t>(tokens))};
  ops_.StageExpertInput(buffers->normed.data(), tokens, spec_.hidden);
  ops_.ExpertFfn({&call, 1}, 1, spec_.moe.activation, buffers->block_out.data());
  if (weights.shared_gating.rows == 0) {
    ops_.Add(buffers->block_out.data(), tokens * spec_.hidden, buffers->hidden.data());
    return;
  }
  const Product gate{.weight = weights.shared_gating, .out = buffers->shared_gates.data()};
  ops_.MatMul(buffers->normed.data(), tokens, {&gate, 1});
  ops_.AddGated(buffers->block_out.data(), tokens, spec_.hidden, buffers->shared_gates.data(),
                buffers->hidden.data());
}

}  // namespace sluice

// The heart: the only place where decisions (cache/), bytes (store/) and arithmetic (device/) meet.
//
// Experts are computed in whatever order they arrive, each into rows of its own; the sum over them
// is taken at the end, in rank order. That is why the disk's timing cannot show in the output.
#include "engine/moe_layer.h"

namespace sluice {

void MoeLayer::Begin(int32_t layer, const LayerWeights& weights, const Batch& batch,
                     Activations* buffers) {
  const MoeFfn& moe = spec_.moe;
  ops_.RmsNorm(buffers->hidden.data(), batch.size(), spec_.hidden, weights.ffn_norm.data(),
               spec_.rms_epsilon, buffers->normed.data());
  const Product router{.weight = weights.router, .out = buffers->router_logits.data()};
  ops_.MatMul(buffers->normed.data(), batch.size(), {&router, 1});
  ops_.Route(buffers->router_logits.data(), batch.size(), moe.experts, moe.top_k,
             moe.renormalise ? RouterRule::kSoftmaxRenormalised : RouterRule::kSoftmax,
             &buffers->routing);
  if (trace_ != nullptr) trace_->Record(layer, buffers->routing, batch.traced);
  groups_ = GroupByExpert(buffers->routing, moe.experts);
  store_.Begin(layer, groups_);
}

Status MoeLayer::Finish(const Batch& batch, Activations* buffers) {
  ops_.StageExpertInput(buffers->normed.data(), batch.size(), spec_.hidden);
  while (true) {
    SLUICE_TRY_ASSIGN(const std::span<const ReadyExpert> ready, store_.Next());
    if (ready.empty()) break;
    calls_.clear();
    for (const ReadyExpert& expert : ready) {
      calls_.push_back(
          {.weights = expert.weights, .assignments = groups_[expert.group].assignments});
    }
    ops_.ExpertFfn(calls_, spec_.moe.top_k, buffers->expert_out.data());
  }
  ops_.Combine(buffers->routing, buffers->expert_out.data(), spec_.hidden, buffers->hidden.data());
  return {};
}

}  // namespace sluice

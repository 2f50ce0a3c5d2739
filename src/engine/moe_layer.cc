// The heart: the only place where decisions (cache/), bytes (store/) and arithmetic (device/) meet.
//
// Experts are computed in whatever order they arrive, each into rows of its own; the sum over them
// is taken at the end, in rank order. That is why the disk's timing cannot show in the output.
#include "engine/moe_layer.h"

#include <algorithm>

namespace sluice {

void MoeLayer::Begin(int32_t layer, const Batch& batch, Activations* buffers) {
  const MoeFfn& moe = spec_.moe;
  const LayerWeights& weights = weights_[static_cast<size_t>(layer)];
  ops_.RmsNorm(buffers->hidden.data(), batch.size(), spec_.hidden, weights.ffn_norm.data(),
               spec_.rms_epsilon, buffers->normed.data());
  const Product router{.weight = weights.router, .out = buffers->router_logits.data()};
  ops_.MatMul(buffers->normed.data(), batch.size(), {&router, 1});
  ops_.Route(buffers->router_logits.data(), batch.size(), moe.experts, moe.top_k,
             moe.renormalise ? RouterRule::kSoftmaxRenormalised : RouterRule::kSoftmax,
             &buffers->routing);
  const GateGuess gate = Gate(layer, batch, buffers);
  if (trace_ != nullptr) trace_->Record(layer, buffers->routing, batch.traced, gate);
  groups_ = GroupByExpert(buffers->routing, moe.experts);
  store_.Begin({.layer = layer,
                .tokens = static_cast<int32_t>(batch.size()),
                .experts = buffers->routing.experts,
                .weights = buffers->routing.weights,
                .gate = gate},
               groups_);
}

// What a later layer's router would choose if it saw the present hidden state, for a policy that
// prefetches by it. Uses buffers that are idle between routing and the experts.
GateGuess MoeLayer::Gate(int32_t layer, const Batch& batch, Activations* buffers) {
  const DecisionCore::GateWanted wanted = core_.gate_wanted(layer);
  if (wanted.layer < 0) return {};
  const LayerWeights& weights = weights_[static_cast<size_t>(wanted.layer)];
  ops_.RmsNorm(buffers->hidden.data(), batch.size(), spec_.hidden, weights.ffn_norm.data(),
               spec_.rms_epsilon, buffers->block_out.data());
  const Product router{.weight = weights.router, .out = buffers->router_logits.data()};
  ops_.MatMul(buffers->block_out.data(), batch.size(), {&router, 1});
  ops_.Route(buffers->router_logits.data(), batch.size(), spec_.moe.experts, wanted.experts,
             RouterRule::kSoftmax, &gate_routing_);
  // Of several tokens an expert has the highest probability that one of them gives it.
  guesses_.clear();
  for (size_t i = 0; i < gate_routing_.experts.size(); ++i) {
    const int32_t expert = gate_routing_.experts[i];
    const float probability = gate_routing_.weights[i];
    const auto known = std::ranges::find(guesses_, expert, &Likely::expert);
    if (known == guesses_.end()) {
      guesses_.push_back({.expert = expert, .probability = probability});
    } else {
      known->probability = std::max(known->probability, probability);
    }
  }
  std::ranges::sort(guesses_, [](const Likely& a, const Likely& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.expert < b.expert;
  });
  return {.layer = wanted.layer, .experts = guesses_};
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

// The heart: the only place where decisions (cache/), bytes (store/) and arithmetic (device/) meet.
//
// Experts are computed in whatever order they arrive, each into rows of its own; the sum over them
// is taken at the end, in rank order. That is why the disk's timing cannot show in the output.
#include "engine/moe_layer.h"

#include <algorithm>

#include "engine/norm.h"

namespace sluice {

void MoeLayer::RouterLogits(const LayerWeights& weights, const float* x, int64_t tokens,
                            Activations* buffers) {
  const Product router{.weight = weights.router,
                       .bias = OrNull(weights.router_bias),
                       .out = buffers->router_logits.data()};
  ops_.MatMul(x, tokens, {&router, 1});
}

void MoeLayer::Begin(int32_t layer, const Batch& batch, Activations* buffers) {
  const MoeFfn& moe = spec_.moe;
  layer_ = layer;
  const LayerWeights& weights = weights_[static_cast<size_t>(layer)];
  Norm(&ops_, spec_, buffers->hidden.data(), batch.size(), weights.ffn_norm,
       buffers->normed.data());
  RouterLogits(weights, buffers->normed.data(), batch.size(), buffers);
  ops_.Route({.logits = buffers->router_logits.data(),
              .tokens = batch.size(),
              .experts = moe.experts,
              .selection_bias = OrNull(weights.selection_bias)},
             moe.top_k, moe.rule, &buffers->routing);
  const GateGuess gate = Gate(layer, batch, buffers);
  if (trace_ != nullptr) trace_->Record(layer, buffers->routing, batch.traced, gate);
  groups_ = GroupByExpert(buffers->routing, moe.experts);
  store_.Begin({.layer = layer,
                .tokens = static_cast<int32_t>(batch.size()),
                .experts = buffers->routing.experts,
                .weights = buffers->routing.weights,
                .gate = gate},
               groups_);
  // While the reads travel.
  if (moe.shared_ff > 0) shared_.Run(weights, batch, buffers);
}

// What a later layer's router would choose if it saw the present hidden state, for a policy that
// prefetches by it. Uses buffers that are idle between routing and the experts.
GateGuess MoeLayer::Gate(int32_t layer, const Batch& batch, Activations* buffers) {
  const DecisionCore::GateWanted wanted = core_.gate_wanted(layer);
  if (wanted.layer < 0) return {};
  const LayerWeights& weights = weights_[static_cast<size_t>(wanted.layer)];
  Norm(&ops_, spec_, buffers->hidden.data(), batch.size(), weights.ffn_norm,
       buffers->block_out.data());
  RouterLogits(weights, buffers->block_out.data(), batch.size(), buffers);
  // Of every chosen expert its probability, whatever becomes of it in the sum.
  RouterRule rule = spec_.moe.rule;
  rule.renormalise = false;
  rule.scale = 1;
  if (rule.scores == RouterScores::kSoftmaxOfChosen) rule.scores = RouterScores::kSoftmax;
  rule.groups = rule.groups_used = 1;  // more experts are asked for than groups may hold
  ops_.Route({.logits = buffers->router_logits.data(),
              .tokens = batch.size(),
              .experts = spec_.moe.experts,
              .selection_bias = OrNull(weights.selection_bias)},
             wanted.experts, rule, &gate_routing_);
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

// Biases are small: they are resident.
ExpertBiases MoeLayer::Biases(int32_t expert) const {
  const LayerWeights& weights = weights_[static_cast<size_t>(layer_)];
  const auto of = [&](const std::vector<float>& all, int64_t size) {
    return all.empty() ? nullptr : all.data() + expert * size;
  };
  return {.gate = of(weights.expert_gate_bias, spec_.moe.ff),
          .up = of(weights.expert_up_bias, spec_.moe.ff),
          .down = of(weights.expert_down_bias, spec_.hidden)};
}

Status MoeLayer::Finish(const Batch& batch, Activations* buffers) {
  ops_.StageExpertInput(buffers->normed.data(), batch.size(), spec_.hidden);
  while (true) {
    SLUICE_TRY_ASSIGN(const std::span<const ReadyExpert> ready, store_.Next());
    if (ready.empty()) break;
    calls_.clear();
    for (const ReadyExpert& expert : ready) {
      const ExpertGroup& group = groups_[expert.group];
      calls_.push_back({.weights = expert.weights,
                        .biases = Biases(group.expert),
                        .assignments = group.assignments});
    }
    ops_.ExpertFfn(calls_, spec_.moe.top_k, spec_.moe.activation, buffers->expert_out.data());
  }
  ops_.Combine(buffers->routing, buffers->expert_out.data(), spec_.hidden, buffers->hidden.data());
  return {};
}

}  // namespace sluice

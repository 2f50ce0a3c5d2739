// The checks that every trace passes, once.
#include "routing/trace_builder.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace sluice {
namespace {

// Far beyond any real model (the largest have some 100 layers of 512 experts), and small enough
// that tables of layers x experts cost no memory worth mentioning.
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxExperts = 65536;
constexpr int64_t kMaxTopK = 1024;
constexpr int64_t kMaxKeys = int64_t{1} << 22;

}  // namespace

TraceBuilder::TraceBuilder(TraceMeta meta) { trace_.meta = std::move(meta); }

Result<TraceBuilder> TraceBuilder::Create(TraceMeta meta) {
  if (meta.layers < 1 || meta.layers > kMaxLayers || meta.experts < 1 ||
      meta.experts > kMaxExperts || meta.layers * meta.experts > kMaxKeys) {
    return CorruptError(
        fmt::format("{} layers of {} experts: no such model can be", meta.layers, meta.experts));
  }
  if (meta.top_k < 1 || meta.top_k > meta.experts || meta.top_k > kMaxTopK) {
    return CorruptError(
        fmt::format("{} of {} experts per token: no such model can be", meta.top_k, meta.experts));
  }
  TraceBuilder builder(std::move(meta));
  builder.last_row_.assign(static_cast<size_t>(builder.meta().experts), 0);
  return builder;
}

void TraceBuilder::Reserve(uint64_t rows) {
  trace_.experts.reserve(rows * static_cast<uint64_t>(meta().top_k));
  trace_.calls.reserve(rows);
  trace_.steps.reserve(rows / static_cast<uint64_t>(meta().layers));
}

Status TraceBuilder::BeginStep(int32_t tokens, const ClockReadings* readings) {
  if (tokens < 1) return CorruptError(fmt::format("a step of {} tokens", tokens));
  if (!told_ && rows_ > 0) return CorruptError("a step begins after rows outside of any step");
  told_ = true;
  if (open_) SLUICE_TRY(EndStep());
  step_tokens_ = tokens;
  open_ = true;
  trace_.steps.push_back({.first_call = trace_.calls.size(), .calls = 0, .tokens = tokens});
  if (readings != nullptr) {
    trace_.steps.back().readings = static_cast<int32_t>(trace_.readings.size());
    trace_.readings.push_back(*readings);
  }
  return {};
}

void TraceBuilder::BeginConversation() {
  const uint64_t step = steps();
  if (trace_.conversations.empty() || trace_.conversations.back() != step) {
    trace_.conversations.push_back(step);
  }
}

Status TraceBuilder::AddGate(int32_t layer, TraceGate gate) {
  if (gate_layer_ >= 0) return CorruptError("two gate guesses for one call");
  if (layer < 0 || gate.layer <= layer || gate.layer >= meta().layers) {
    return CorruptError(fmt::format("a gate guess at layer {} for layer {} of {}", layer,
                                    gate.layer, meta().layers));
  }
  // Guesses share the rows' memory of who was named last: the count goes on.
  ++rows_;
  for (const Likely& likely : gate.experts) {
    SLUICE_TRY(CheckExperts(gate.layer, {&likely.expert, 1}));
  }
  gate_layer_ = layer;
  trace_.gates.push_back(std::move(gate));
  return {};
}

Status TraceBuilder::EndCall() {
  TraceStep& step = trace_.steps.back();
  if (step.calls == 0) return {};
  const TraceCall& call = trace_.calls.back();
  if (step_tokens_ < 0) {
    step_tokens_ = call.tokens;
    step.tokens = call.tokens;
  }
  if (call.tokens != step_tokens_) {
    return CorruptError(fmt::format("layer {} has {} tokens in a step of {}", call.layer,
                                    call.tokens, step_tokens_));
  }
  return {};
}

Status TraceBuilder::EndStep() {
  if (!open_) return {};
  SLUICE_TRY(EndCall());
  const TraceStep& step = trace_.steps.back();
  if (step.calls != static_cast<uint32_t>(meta().layers)) {
    return CorruptError(
        fmt::format("step {} ends after {} of {} layers; remove what belongs to an unfinished step",
                    trace_.steps.size() - 1, step.calls, meta().layers));
  }
  open_ = false;
  return {};
}

Status TraceBuilder::BeginCall(int32_t layer) {
  if (open_) SLUICE_TRY(EndCall());
  const int32_t due = open_ ? static_cast<int32_t>(trace_.steps.back().calls) : 0;
  if (layer == 0 && !told_ && due == meta().layers) SLUICE_TRY(EndStep());
  if (!open_) {
    if (told_) return CorruptError("a row outside of any step");
    open_ = true;
    step_tokens_ = -1;
    trace_.steps.push_back({.first_call = trace_.calls.size()});
  }
  TraceStep& step = trace_.steps.back();
  if (layer != static_cast<int32_t>(step.calls)) {
    return CorruptError(
        fmt::format("layer {} where layer {} of step {} is due; every step calls "
                    "all {} layers in ascending order",
                    layer, step.calls, trace_.steps.size() - 1, meta().layers));
  }
  ++step.calls;
  TraceCall call{.layer = layer, .tokens = 0};
  call.first_row = trace_.experts.size() / static_cast<uint64_t>(meta().top_k);
  if (gate_layer_ >= 0) {
    if (gate_layer_ != layer) {
      return CorruptError(
          fmt::format("a gate guess of layer {} before a call of layer {}", gate_layer_, layer));
    }
    call.gate = static_cast<int32_t>(trace_.gates.size() - 1);
    gate_layer_ = -1;
  }
  trace_.calls.push_back(call);
  return {};
}

Status TraceBuilder::CheckExperts(int32_t layer, std::span<const int32_t> experts) {
  for (const int32_t expert : experts) {
    if (expert < 0 || expert >= meta().experts) {
      return CorruptError(fmt::format("expert {} at layer {}; the experts are 0 to {}", expert,
                                      layer, meta().experts - 1));
    }
    uint64_t& last = last_row_[static_cast<size_t>(expert)];
    if (last == rows_) {
      return CorruptError(fmt::format("expert {} twice in one row at layer {}", expert, layer));
    }
    last = rows_;
  }
  return {};
}

Status TraceBuilder::CheckRow(std::span<const int32_t> experts, std::span<const float> weights) {
  const auto top_k = static_cast<size_t>(meta().top_k);
  if (experts.size() != top_k) {
    return CorruptError(fmt::format("{} experts; every token has {}", experts.size(), top_k));
  }
  if (!weights.empty() && weights.size() != top_k) {
    return CorruptError(fmt::format("{} weights for {} experts", weights.size(), top_k));
  }
  if (!trace_.experts.empty() && weights.empty() != trace_.weights.empty()) {
    return CorruptError(weights.empty() ? "a row without weights in a trace with weights"
                                        : "a row with weights in a trace without");
  }
  return {};
}

// All layers of a step have the same tokens, which its layer 0 has told.
Status TraceBuilder::CheckToken(const TracedToken* token) {
  const TraceCall& call = trace_.calls.back();
  if (token == nullptr) return {};
  const TraceStep& step = trace_.steps.back();
  if (call.layer == 0) {
    if (requests_.insert(token->request).second) {
      const uint64_t number = trace_.steps.size() - 1;
      if (trace_.conversations.empty() || trace_.conversations.back() != number) {
        trace_.conversations.push_back(number);
      }
    }
    return {};
  }
  const TraceCall& first = trace_.calls[step.first_call];
  if (call.tokens >= first.tokens) return {};  // EndCall() will complain
  const TracedToken& expected = trace_.tokens[first.first_row + static_cast<uint64_t>(call.tokens)];
  if (expected.request != token->request || expected.position != token->position) {
    return CorruptError(fmt::format(
        "token {} of request {} at layer {}, where layer 0 of the step has token {} of request {}",
        token->position, token->request, call.layer, expected.position, expected.request));
  }
  return {};
}

Status TraceBuilder::AddRow(int32_t layer, std::span<const int32_t> experts,
                            std::span<const float> weights, const TracedToken* token) {
  if (layer < 0 || layer >= meta().layers) {
    return CorruptError(fmt::format("layer {}; the layers are 0 to {}", layer, meta().layers - 1));
  }
  SLUICE_TRY(CheckRow(experts, weights));
  if (!open_ || trace_.steps.back().calls == 0 || trace_.calls.back().layer != layer) {
    SLUICE_TRY(BeginCall(layer));
  } else if (gate_layer_ >= 0) {
    return CorruptError("a gate guess in the middle of a call");
  }
  SLUICE_TRY(CheckToken(token));
  ++rows_;
  SLUICE_TRY(CheckExperts(layer, experts));
  TraceCall& call = trace_.calls.back();
  if (call.tokens == std::numeric_limits<int32_t>::max()) {
    return CorruptError("a call of more than 2^31 tokens");
  }
  ++call.tokens;
  trace_.experts.insert(trace_.experts.end(), experts.begin(), experts.end());
  trace_.weights.insert(trace_.weights.end(), weights.begin(), weights.end());
  if (token != nullptr) trace_.tokens.push_back(*token);
  return {};
}

Result<Trace> TraceBuilder::Finish() {
  SLUICE_TRY(EndStep());
  if (gate_layer_ >= 0) return CorruptError("a gate guess without its call");
  if (!trace_.steps.empty() &&
      (trace_.conversations.empty() || trace_.conversations.front() != 0)) {
    trace_.conversations.insert(trace_.conversations.begin(), 0);
  }
  return std::move(trace_);
}

}  // namespace sluice

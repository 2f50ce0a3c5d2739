#include "plan/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/byte_size.h"
#include "cache/decision_core.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {
namespace {

// Code that has not run yet, stacks, small allocations: measured on the runs of the budget test and
// rounded up.
constexpr uint64_t kProcessMargin = 6U << 20;
constexpr int64_t kSmallestChunk = 16;

uint64_t ScratchBytes(const Model& model, const Device& device, const MemoryRequest& request,
                      int64_t chunk) {
  const ModelSpec& spec = model.spec;
  const Attention& a = spec.attention;
  const int64_t tokens = std::max(chunk, request.sequences);
  const int64_t dense_ff = std::max(spec.dense_ff, spec.moe.shared_ff);
  const int64_t latent =
      a.latent ? a.latent->q_rank + a.heads * (a.cached_key_dim() + a.cached_value_dim()) : 0;
  const int64_t q = a.heads * std::max(a.head_dim, a.value_dim());
  const int64_t kv = a.cached_heads() * a.cached_key_dim();
  const int64_t widest = std::max({spec.hidden, q, spec.moe.ff, latent});
  const int64_t per_token = 3 * spec.hidden + 2 * q + 2 * kv + latent + spec.moe.experts +
                            spec.moe.top_k * (spec.hidden + 4) + 2 * a.rope.dims() + 2;
  const int64_t logits =
      (std::max(request.sequences, kLogitRows) + request.sequences * QueuedLogitRows(spec.vocab)) *
      spec.vocab;
  // A sampler sorts (probability, token) pairs of one sequence.
  const int64_t sampling = spec.vocab * 16;
  const uint64_t turning =
      static_cast<uint64_t>(request.threads) * ExpertStore::ScratchBytes(model.experts);
  return turning +
         static_cast<uint64_t>(4 * (tokens * per_token + logits) + sampling +
                               device.ScratchBytes({.tokens = tokens,
                                                    .cols = widest,
                                                    .top_k = spec.moe.top_k,
                                                    .ff = spec.moe.ff,
                                                    .dense_ff = dense_ff,
                                                    .head_dim = a.cached_key_dim(),
                                                    .heads_per_kv = a.heads / a.cached_heads()}));
}

// In MiB, rounded up, and one more: what a process has before weights varies by some pages.
uint64_t Advice(const MemoryPlan& plan) { return (plan.minimum_bytes() >> 20) + 2; }

std::string Table(const MemoryPlan& plan) {
  std::string text;
  const auto line = [&](const char* what, uint64_t bytes) {
    fmt::format_to(std::back_inserter(text), "  {:<34}{:>12}\n", what, FormatByteSize(bytes));
  };
  line("program, tokenizer, file headers", plan.process_bytes);
  if (plan.policy_bytes > 0) line("the policy's memory", plan.policy_bytes);
  line("dense weights", plan.dense_bytes);
  line("KV cache", plan.kv_bytes);
  line("activations and scratch", plan.scratch_bytes);
  if (plan.all_slots > 0) line("one expert slot", plan.slot_bytes);
  line("needed at least", plan.minimum_bytes());
  if (plan.all_slots > 0) line("with every expert in RAM", plan.everything_bytes());
  return text;
}

}  // namespace

KvLayout KvLayoutOf(const ModelSpec& spec, KvFormat format) {
  const Attention& a = spec.attention;
  return {.format = format,
          .kv_heads = a.cached_heads(),
          .key_dim = a.cached_key_dim(),
          .value_dim = a.cached_value_dim(),
          .values = a.latent ? KvValues::kInKeys : KvValues::kOwn,
          .page_tokens = kPageTokens};
}

int64_t KvPageBytes(const ModelSpec& spec, KvFormat format) {
  return spec.layers * KvLayoutOf(spec, format).layer_bytes();
}

Result<MemoryPlan> PlanMemory(const Model& model, const Device& device,
                              const MemoryRequest& request) {
  MemoryPlan plan{.budget_bytes = request.budget_bytes,
                  .process_bytes = request.process_bytes + kProcessMargin,
                  .dense_bytes = DenseWeights::BytesNeeded(model),
                  .slot_bytes = ExpertStore::SlotBytes(model.experts),
                  .all_slots = static_cast<int64_t>(model.experts.extents().size())};
  if (request.policy != nullptr && model.spec.has_experts()) {
    plan.policy_bytes = DecisionCore::Footprint(
        *request.policy, {.layers = static_cast<int32_t>(model.spec.moe_layers()),
                          .experts = static_cast<int32_t>(model.spec.moe.experts)});
  }
  const int64_t pages = (request.kv_tokens + kPageTokens - 1) / kPageTokens;
  plan.kv_bytes = static_cast<uint64_t>(pages * KvPageBytes(model.spec, request.kv_format));

  // Activations may take an eighth of the budget before a smaller chunk is the better use of RAM.
  plan.prefill_chunk = std::max(request.prefill_chunk, int64_t{1});
  plan.scratch_bytes = ScratchBytes(model, device, request, plan.prefill_chunk);
  while (plan.prefill_chunk > kSmallestChunk &&
         (plan.scratch_bytes > plan.budget_bytes / 8 || plan.minimum_bytes() > plan.budget_bytes)) {
    plan.prefill_chunk = std::max(plan.prefill_chunk / 2, kSmallestChunk);
    plan.scratch_bytes = ScratchBytes(model, device, request, plan.prefill_chunk);
  }
  if (plan.minimum_bytes() > plan.budget_bytes) {
    return ResourceExhaustedError(fmt::format(
        "a RAM budget of {} is too small for {}:\n{}"
        "Raise --ram-budget to {}MiB or more, or shorten the context (-c) to save KV cache.",
        FormatByteSize(plan.budget_bytes), model.checkpoint.path, Table(plan), Advice(plan)));
  }
  const uint64_t left = plan.budget_bytes - plan.fixed_bytes();
  if (plan.all_slots == 0) return plan;  // a dense model
  plan.slots = std::min(static_cast<int64_t>(left / plan.slot_bytes), plan.all_slots);
  return plan;
}

Result<uint64_t> ParseBudget(std::string_view text, const MemoryState& state) {
  if (text == "auto") {
    // A twentieth stays free for the page cache and for what others do meanwhile.
    return state.available_bytes - state.available_bytes / 20;
  }
  if (text.ends_with('%')) {
    double percent = 0;
    const char* end = text.data() + text.size() - 1;
    const auto [stop, error] = std::from_chars(text.data(), end, percent);
    if (error != std::errc() || stop != end || !(percent > 0) || percent > 100) {
      return InvalidArgumentError(
          fmt::format("'{}' is no share of the memory: write for example 50%", text));
    }
    return static_cast<uint64_t>(static_cast<double>(state.total_bytes) * percent / 100);
  }
  Result<uint64_t> bytes = ParseByteSize(text);
  if (!bytes.ok()) {
    return InvalidArgumentError(fmt::format(
        "'{}' is no RAM budget: write bytes (6GiB), a share of the machine (50%) or auto", text));
  }
  return bytes;
}

}  // namespace sluice

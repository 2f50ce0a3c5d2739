#include "cache/slot_layout.h"

#include <algorithm>
#include <cmath>

#include "cache/prefetch_planner.h"

namespace sluice {
namespace {

// Below this a layer of its own holds nothing from one token to the next: layers then share.
constexpr int32_t kMinSlotsPerLayer = 2;

// Slots for experts that are not in the cache.
struct StagingNeed {
  int32_t guesses = 0;
  int32_t passing = 0;  // through, without being admitted
};

StagingNeed StagingNeedOf(const PolicySpec& spec, CacheShape shape, int32_t top_k) {
  int32_t guesses = 0;
  bool passing = spec.cache.admission != Admission::kAlways || spec.cache.insert_cap > 0;
  for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
    const PrefetchSpec& prefetch = spec.PrefetchOf(phase);
    if (prefetch.insert == PrefetchInsert::kStaging) {
      guesses = std::max(guesses, PrefetchBudget(prefetch, shape) * prefetch.lookahead);
    }
    passing = passing || spec.ScheduleOf(phase).mode == Mode::kLayerwise;
  }
  for (const AdaptRule& rule : spec.adapt) {
    for (const AdaptAction& action : rule.actions) {
      if (action.kind != AdaptAction::Kind::kSet) continue;
      if (action.tunable == Tunable::kPrefetchStrategy) guesses = std::max(guesses, 4);
      if (action.tunable == Tunable::kPrefetchBudget) {
        guesses = std::max(guesses, static_cast<int32_t>(action.number));
      }
      passing =
          passing || action.tunable == Tunable::kAdmission || action.tunable == Tunable::kInsertCap;
    }
  }
  passing = passing || spec.cache.prefill_insert == PrefillInsert::kBypass;
  return {.guesses = guesses, .passing = passing ? top_k : 0};
}

// Divides `slots` evenly, the first domains getting what is left over.
std::vector<int32_t> Evenly(int64_t slots, int32_t domains, int32_t most) {
  std::vector<int32_t> capacities;
  capacities.reserve(static_cast<size_t>(domains));
  for (int32_t d = 0; d < domains; ++d) {
    capacities.push_back(static_cast<int32_t>(
        std::min<int64_t>(most, slots / domains + (d < slots % domains ? 1 : 0))));
  }
  return capacities;
}

}  // namespace

SlotLayout LayOutSlots(const PolicySpec& spec, CacheShape shape, int32_t top_k,
                       uint64_t expert_bytes, int64_t available) {
  const auto all = static_cast<int64_t>(shape.size());
  const StagingNeed wish = StagingNeedOf(spec, shape, top_k);
  const Capacity& capacity = spec.cache.capacity;
  const bool shared = spec.cache.scope == Scope::kShared;
  const int32_t domains = shared ? 1 : shape.layers;
  const auto most = static_cast<int32_t>(shared ? all : shape.experts);
  int64_t wanted = 0;  // of the cache, over all domains
  switch (capacity.kind) {
    case Capacity::Kind::kAuto: {
      SlotLayout layout;
      // A layer that cannot hold the experts of one token keeps nothing for the next: guesses get
      // only what is left beyond that.
      const int64_t spare = available - wish.passing - int64_t{shape.layers} * top_k;
      const auto need = static_cast<int32_t>(
          wish.passing + (shared ? wish.guesses : std::clamp<int64_t>(spare, 0, wish.guesses)));
      if (available >= all) {
        layout.staging = static_cast<int32_t>(std::min<int64_t>(need, available - all));
        available = all + layout.staging;
      } else if (need > 0 && available > 1) {
        // Guesses are worth an eighth of the memory at most; without a slot to pass through,
        // though, what the policy does not admit could not be computed.
        layout.staging =
            static_cast<int32_t>(std::clamp<int64_t>(available / 8, 1, std::max<int64_t>(need, 1)));
      }
      const int64_t cache = available - layout.staging;
      const bool together =
          shared || cache < static_cast<int64_t>(kMinSlotsPerLayer) * shape.layers;
      layout.capacities = Evenly(cache, together ? 1 : shape.layers,
                                 static_cast<int32_t>(together ? all : shape.experts));
      return layout;
    }
    case Capacity::Kind::kSlots:
      wanted = static_cast<int64_t>(capacity.amount) * domains;
      break;
    case Capacity::Kind::kShare:
      wanted = std::llround(capacity.amount * static_cast<double>(all));
      break;
    case Capacity::Kind::kBytes:
      wanted = static_cast<int64_t>(capacity.amount / static_cast<double>(expert_bytes));
      break;
  }
  wanted = std::clamp<int64_t>(wanted, 1, all);
  if (spec.per_layer && spec.per_layer->total_budget > 0 && !shared) {
    wanted = std::min(all, spec.per_layer->total_budget);
  }
  // What a size in bytes buys may be less than a slot per layer.
  const bool together = shared || wanted < domains;
  return {.capacities =
              Evenly(wanted, together ? 1 : domains, together ? static_cast<int32_t>(all) : most),
          // Nobody has a use for more slots than experts.
          .staging =
              static_cast<int32_t>(std::min<int64_t>(wish.guesses + wish.passing, all - wanted))};
}

}  // namespace sluice

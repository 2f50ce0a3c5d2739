#include "cache/prefetch_planner.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace sluice {

namespace {

// By squaring: the same bits on every machine, which a library's pow() does not promise.
float Power(float base, int32_t exponent) {
  float power = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 != 0) power *= base;
    base *= base;
  }
  return power;
}

}  // namespace

int32_t PrefetchBudget(const PrefetchSpec& spec, CacheShape shape) {
  if (spec.strategies.empty()) return 0;
  return std::ranges::find(spec.strategies, "all") != spec.strategies.end() ? shape.experts
                                                                            : spec.budget;
}

PrefetchPlanner::PrefetchPlanner(const PolicySpec& spec, const Setup& setup)
    : spec_(spec), setup_(setup), probability_(static_cast<size_t>(setup.shape.experts)) {
  const auto add = [&](const std::vector<std::string>& strategies, const PrefetchSpec& prefetch) {
    if (strategies.empty() || Find(strategies) != nullptr) return;
    std::unique_ptr<Predictor> predictor =
        NewPredictor(std::span(strategies), {.shape = setup.shape,
                                             .top_k = setup.top_k,
                                             .prefetch = &prefetch,
                                             .cache = &spec.cache,
                                             .table = setup.table});
    SLUICE_CHECK(predictor != nullptr);  // the policy was checked
    entries_.push_back({.strategies = strategies, .predictor = std::move(predictor)});
  };
  for (const PrefetchSpec& prefetch : spec.prefetch) add(prefetch.strategies, prefetch);
  for (const AdaptRule& rule : spec.adapt) {
    for (const AdaptAction& action : rule.actions) {
      if (action.kind != AdaptAction::Kind::kSet || action.tunable != Tunable::kPrefetchStrategy) {
        continue;
      }
      add(action.names, spec.PrefetchOf(action.phase.value_or(Phase::kDecode)));
    }
  }
}

PrefetchPlanner::Entry* PrefetchPlanner::Find(const std::vector<std::string>& strategies) {
  for (Entry& entry : entries_) {
    if (entry.strategies == strategies) return &entry;
  }
  return nullptr;
}

void PrefetchPlanner::Observe(const LayerCall& call) {
  for (Entry& entry : entries_) entry.predictor->Observe(call);
}

void PrefetchPlanner::Reset() {
  for (Entry& entry : entries_) entry.predictor->Reset();
}

// The probability of the last expert that is needed, likeliest first, to reach `share` of the
// whole.
float PrefetchPlanner::MassThreshold(double share) {
  sorted_.assign(probability_.begin(), probability_.end());
  std::ranges::sort(sorted_, std::greater());
  const double whole = std::accumulate(sorted_.begin(), sorted_.end(), 0.0);
  double sum = 0;
  for (const float p : sorted_) {
    sum += p;
    if (sum >= share * whole) return p;
  }
  return sorted_.back();
}

void PrefetchPlanner::Gather(const LayerCall& call, const PrefetchSpec& spec, int32_t distance,
                             const Residency& residency) {
  const CacheShape shape = setup_.shape;
  const int32_t target = (call.layer + distance) % shape.layers;
  if (distance >= shape.layers) return;
  // Which tokens a prefill step brings next is not to be guessed from those of this one.
  if (target <= call.layer && call.phase == Phase::kPrefill) return;
  Entry* entry = Find(spec.strategies);
  SLUICE_CHECK(entry != nullptr);
  entry->predictor->Predict(call, target, distance, probability_);
  auto least = static_cast<float>(spec.min_confidence);
  if (spec.select == Select::kCumulative) least = MassThreshold(1.0 - spec.min_confidence);
  const double nearness =
      spec.distance_decay == DistanceDecay::kLinear
          ? 1.0 - static_cast<double>(distance - 1) / static_cast<double>(shape.layers + 1)
          : 1.0;
  const ExpertKey base = KeyOf(shape, {.layer = target, .expert = 0});
  for (int32_t e = 0; e < shape.experts; ++e) {
    float p = probability_[static_cast<size_t>(e)];
    if (p <= 0 || p < least || !residency.Absent(base + e)) continue;
    if (call.tokens > 1) p = 1.0F - Power(1.0F - p, call.tokens);
    wanted_.push_back({.key = base + e,
                       .probability = static_cast<float>(p * nearness),
                       .due = call.call + static_cast<uint64_t>(distance)});
  }
}

int32_t PrefetchPlanner::Affordable(const PrefetchSpec& spec, int32_t demand_misses) {
  const int32_t budget = PrefetchBudget(spec, setup_.shape);
  if (!spec.budget_idle || setup_.link.bytes_per_call <= 0) return budget;
  const auto expert = static_cast<double>(setup_.expert_bytes);
  // What idle time carries cannot be saved up for longer than the reads that may be under way, and
  // a burst of misses is not held against later calls for longer than that either.
  const double most = expert * std::max(1, spec.max_inflight);
  credit_bytes_ = std::clamp(credit_bytes_ + setup_.link.bytes_per_call - demand_misses * expert,
                             -most, std::max(most, setup_.link.bytes_per_call));
  return std::min(budget, static_cast<int32_t>(std::max(0.0, credit_bytes_) / expert));
}

std::span<const PrefetchPlanner::Wanted> PrefetchPlanner::Plan(const LayerCall& call,
                                                               const Residency& residency,
                                                               int32_t demand_misses) {
  wanted_.clear();
  const PrefetchSpec& spec = spec_.PrefetchOf(call.phase);
  if (spec.strategies.empty()) return {};
  // Predictors learn from how their predictions turn out, so they are asked where nothing can be
  // afforded, too.
  const int32_t affordable = Affordable(spec, demand_misses);
  for (int32_t d = 1; d <= spec.lookahead; ++d) Gather(call, spec, d, residency);
  if (affordable <= 0) return {};
  const size_t count = std::min(wanted_.size(), static_cast<size_t>(affordable));
  std::ranges::partial_sort(wanted_, wanted_.begin() + static_cast<std::ptrdiff_t>(count),
                            [](const Wanted& a, const Wanted& b) {
                              if (a.probability != b.probability) {
                                return a.probability > b.probability;
                              }
                              return a.due != b.due ? a.due < b.due : a.key < b.key;
                            });
  wanted_.resize(count);
  return wanted_;
}

void PrefetchPlanner::PredictSameLayer(const LayerCall& call, std::span<float> probability) {
  std::ranges::fill(probability, 0.0F);
  const PrefetchSpec& spec = spec_.PrefetchOf(call.phase);
  if (spec.strategies.empty()) return;
  Find(spec.strategies)->predictor->Predict(call, call.layer, setup_.shape.layers, probability);
}

void PrefetchPlanner::Charge(int64_t experts) {
  credit_bytes_ -= static_cast<double>(experts) * static_cast<double>(setup_.expert_bytes);
}

}  // namespace sluice

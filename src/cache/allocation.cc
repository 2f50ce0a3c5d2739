#include "cache/allocation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/check.h"

namespace sluice {

Popularity::Popularity(CacheShape shape, double half_life_tokens)
    : shape_(shape),
      growth_(std::exp2(1.0 / half_life_tokens)),
      unit_(static_cast<size_t>(shape.layers), 1.0),
      counts_(shape.size(), 0.0) {}

void Popularity::Observe(const LayerCall& call) {
  double& unit = unit_[static_cast<size_t>(call.layer)];
  const size_t base = shape_.Index({.layer = call.layer, .expert = 0});
  const auto top_k = static_cast<size_t>(call.top_k);
  for (size_t t = 0; t < static_cast<size_t>(call.tokens); ++t) {
    unit *= growth_;
    for (size_t i = 0; i < top_k; ++i) {
      counts_[base + static_cast<size_t>(call.experts[t * top_k + i])] += unit;
    }
  }
  constexpr double kRescale = 1e100;
  if (unit < kRescale) return;
  for (size_t e = 0; e < static_cast<size_t>(shape_.experts); ++e) counts_[base + e] /= unit;
  unit = 1;
}

std::span<const double> Popularity::OfLayer(int32_t layer) const {
  return std::span(counts_).subspan(shape_.Index({.layer = layer, .expert = 0}),
                                    static_cast<size_t>(shape_.experts));
}

double Popularity::Entropy(int32_t layer) const {
  const std::span<const double> counts = OfLayer(layer);
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  double bits = 0;
  for (const double count : counts) {
    if (count > 0) bits -= count / sum * std::log2(count / sum);
  }
  return bits;
}

double Popularity::MeanEntropy() const {
  double sum = 0;
  for (int32_t layer = 0; layer < shape_.layers; ++layer) sum += Entropy(layer);
  return sum / shape_.layers;
}

void Popularity::Reset() {
  std::ranges::fill(unit_, 1.0);
  std::ranges::fill(counts_, 0.0);
}

StackDepths::StackDepths(CacheShape shape)
    : shape_(shape), stacks_(shape.size()), hits_(shape.size()) {
  for (size_t i = 0; i < stacks_.size(); ++i) {
    stacks_[i] = static_cast<int16_t>(i % static_cast<size_t>(shape.experts));
  }
}

void StackDepths::Observe(const LayerCall& call) {
  const size_t base = shape_.Index({.layer = call.layer, .expert = 0});
  const auto stack = stacks_.begin() + static_cast<std::ptrdiff_t>(base);
  for (const Demand& demand : call.demands) {
    const auto found =
        std::find(stack, stack + shape_.experts, static_cast<int16_t>(demand.expert));
    hits_[base + static_cast<size_t>(found - stack)] += static_cast<uint64_t>(demand.tokens);
    std::rotate(stack, found, found + 1);
  }
}

void StackDepths::Age() {
  for (uint64_t& hits : hits_) hits /= 2;
}

namespace {

// Hands out what is left of `total` one slot at a time, each to the layer with the largest gain
// (the lower layer on ties), never beyond `most`.
void Distribute(int64_t left, int32_t most, std::vector<int32_t>* slots,
                const std::function<double(size_t layer, int32_t slots)>& gain) {
  for (; left > 0; --left) {
    size_t best = slots->size();
    double best_gain = 0;
    for (size_t l = 0; l < slots->size(); ++l) {
      if ((*slots)[l] >= most) continue;
      const double g = gain(l, (*slots)[l]);
      if (best == slots->size() || g > best_gain) {
        best = l;
        best_gain = g;
      }
    }
    if (best == slots->size()) return;
    ++(*slots)[best];
  }
}

}  // namespace

std::vector<int32_t> DivideSlots(const PerLayerSpec& spec, CacheShape shape, int64_t total,
                                 const Popularity& popularity, const StackDepths* depths) {
  const int32_t most = std::min(spec.max_capacity, shape.experts);
  const auto even = static_cast<int32_t>(total / shape.layers);
  const int32_t least = std::min({spec.min_capacity, most, even});
  std::vector<int32_t> slots(static_cast<size_t>(shape.layers), least);
  const int64_t left = total - static_cast<int64_t>(least) * shape.layers;
  switch (spec.allocation) {
    case Allocation::kUniform:
      Distribute(left, most, &slots, [](size_t, int32_t have) { return -have; });
      break;
    case Allocation::kEntropy: {
      // The layer farthest below its share of the total, which is in proportion to its entropy.
      std::vector<double> entropy;
      entropy.reserve(slots.size());
      for (int32_t l = 0; l < shape.layers; ++l) entropy.push_back(popularity.Entropy(l));
      const double sum = std::accumulate(entropy.begin(), entropy.end(), 0.0);
      Distribute(left, most, &slots, [&](size_t l, int32_t have) {
        return (sum > 0 ? entropy[l] / sum * static_cast<double>(total) : 0) - have;
      });
      break;
    }
    case Allocation::kPopularity: {
      // The most popular expert that has no slot yet, wherever it is.
      std::vector<std::vector<double>> ranked;
      for (int32_t l = 0; l < shape.layers; ++l) {
        const std::span<const double> counts = popularity.OfLayer(l);
        const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
        std::vector<double>& shares = ranked.emplace_back(counts.begin(), counts.end());
        for (double& share : shares) share = sum > 0 ? share / sum : 0;
        std::ranges::sort(shares, std::greater());
      }
      Distribute(left, most, &slots,
                 [&](size_t l, int32_t have) { return ranked[l][static_cast<size_t>(have)]; });
      break;
    }
    case Allocation::kMarginal:
      SLUICE_CHECK(depths != nullptr);
      // The best mean gain of any number of further slots, since hits may begin only where a whole
      // working set fits (lookahead of Qureshi and Patt, utility-based cache partitioning).
      Distribute(left, most, &slots, [&](size_t l, int32_t have) {
        double best = 0, sum = 0;
        for (int32_t depth = have; depth < most; ++depth) {
          sum += static_cast<double>(depths->Hits(static_cast<int32_t>(l), depth));
          best = std::max(best, sum / (depth - have + 1));
        }
        return best;
      });
      break;
  }
  return slots;
}

}  // namespace sluice

// Learns while it runs who is wanted soon: one logistic score of decayed averages, age and the
// recall of a similarity memory, plus a table per layer of who follows whom: after the choices of
// the layer's present token, of its earlier tokens, and of the layer before.
//
// A choice is judged when it is known what followed: `delay` tokens later, with the discounted time
// to the expert's next use as the label. One token at a time: a call of several tokens moves the
// averages by each of them and is remembered, but what has not been judged by then never is.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/lane_kernels.h"
#include "cache/eviction/rule_support.h"
#include "cache/eviction/similarity_memory.h"

namespace sluice {
namespace {

// How far ahead it looks: the fewer slots to choose from, the less far.
struct Outlook {
  float discount;  // per token until the next use
  size_t delay;    // tokens until a choice is judged; later uses count nothing
  SimilarityMemory::Horizon horizon;
};
constexpr Outlook kNear = {0.8F, 15, {6, 0.75F}};
constexpr Outlook kFar = {0.9F, 29, {10, 0.85F}};

constexpr float kWeightRate = 0.02F;
constexpr float kFirstSquares = 0.001F;
constexpr float kFirstWeights[1 + kFeatures] = {-1, 0.3F, 0.3F, 0.3F, 0.3F, 0, 0};
constexpr float kTableRate = 0.005F;  // falls with use
constexpr float kLeastTableRate = 0.0001F;
constexpr float kTableRateUses = 10;    // with which it falls
constexpr float kLeastContext = 0.02F;  // an earlier choice that counts less is left out

enum Table { kPresent, kEarlier, kLayerBefore, kTables };

class Learned final : public EvictionRule {
 public:
  explicit Learned(const RuleSetup& setup);
  void Observe(const LayerCall& call) override;
  ExpertKey Victim(std::span<const ExpertKey> candidates) override;
  void Reset() override;

 private:
  // What a layer has to keep of a token until it is judged.
  struct Sample {
    const float* features;        // [kFeatures, lanes]
    const float* context;         // [lanes]
    const int32_t* chosen;        // [top_k]
    const int32_t* layer_before;  // [top_k], -1: none
  };
  // Of the layer called last.
  size_t SampleIndex(size_t tokens_ago) const;
  Sample SampleAt(size_t index) const;
  struct Rows {
    std::vector<uint32_t> rows;  // of tables_
    std::vector<float> scales;
    size_t count = 0;
  };
  void CollectRows(const Sample& sample, Rows* rows);
  void Judge(const Sample& sample, const Rows& rows);

  const CacheShape shape_;
  const size_t top_k_;
  const size_t lanes_;
  const Outlook outlook_;
  const size_t history_;  // samples of a layer that are kept
  const LaneKernels& kernels_;
  SimilarityMemory memory_;
  LastUse last_use_;

  // Of all layers, each as long as its layer's part times the layers.
  std::vector<float> averages_;         // [layers, kDecays, lanes]
  std::vector<float> ages_;             // [layers, lanes]
  std::vector<float> contexts_;         // [layers, lanes]
  std::vector<float> tables_;           // [kTables, layers, experts, lanes]
  std::vector<float> row_uses_;         // [kTables, layers, experts]
  std::vector<size_t> tokens_;          // [layers]: seen one after the other
  std::vector<float> features_;         // [layers, history, kFeatures, lanes]
  std::vector<float> sample_contexts_;  // [layers, history, lanes]
  std::vector<int32_t> chosen_;         // [layers, history, top_k]
  std::vector<int32_t> layers_before_;  // [layers, history, top_k]

  std::vector<int32_t> before_;  // [top_k]: choices of the call before this one
  float weights_[1 + kFeatures] = {};
  float squares_[1 + kFeatures] = {};
  std::vector<float> discounts_;  // by tokens until the next use - 1

  // Of the call under way.
  size_t layer_ = 0;
  bool scored_ = false;
  std::vector<float> mask_, labels_, delta_, z_;  // [lanes]
  Rows judged_rows_, present_rows_;
  std::vector<float> rates_;
};

Learned::Learned(const RuleSetup& setup)
    : shape_(setup.shape),
      top_k_(static_cast<size_t>(setup.top_k)),
      lanes_((static_cast<size_t>(setup.shape.experts) + 31) / 32 * 32),
      outlook_((setup.cache->scope == Scope::kShared ? setup.slots / setup.shape.layers
                                                     : setup.slots) <= 2 * setup.top_k
                   ? kNear
                   : kFar),
      history_(outlook_.delay + 1),
      kernels_(BestLaneKernels()),
      memory_(setup.shape, setup.top_k, outlook_.horizon, kernels_),
      last_use_(setup.shape) {
  const auto layers = static_cast<size_t>(shape_.layers);
  averages_.resize(layers * kDecays * lanes_);
  ages_.resize(layers * lanes_);
  contexts_.resize(layers * lanes_);
  tables_.resize(kTables * shape_.size() * lanes_);
  row_uses_.resize(kTables * shape_.size());
  tokens_.resize(layers);
  features_.resize(layers * history_ * kFeatures * lanes_);
  sample_contexts_.resize(layers * history_ * lanes_);
  chosen_.resize(layers * history_ * top_k_);
  layers_before_.resize(layers * history_ * top_k_);
  before_.resize(top_k_);
  for (std::vector<float>* v : {&mask_, &labels_, &delta_, &z_}) v->resize(lanes_);
  for (float discount = 1; discounts_.size() < outlook_.delay; discount *= outlook_.discount) {
    discounts_.push_back(discount);
  }
  const size_t rows = static_cast<size_t>(shape_.experts) + 2 * top_k_;
  for (Rows* r : {&judged_rows_, &present_rows_}) {
    r->rows.resize(rows + 1);
    r->scales.resize(rows + 1);
  }
  rates_.resize(rows);
  Learned::Reset();
}

void Learned::Reset() {
  memory_.Reset();
  last_use_.Reset();
  for (std::vector<float>* v : {&averages_, &contexts_, &tables_, &row_uses_}) {
    std::ranges::fill(*v, 0.0F);
  }
  std::ranges::fill(ages_, kOldest);
  std::ranges::fill(tokens_, 0);
  std::ranges::fill(before_, -1);
  std::ranges::copy(kFirstWeights, weights_);
  std::ranges::fill(squares_, kFirstSquares);
}

void Learned::Observe(const LayerCall& call) {
  last_use_.Observe(call);
  layer_ = static_cast<size_t>(call.layer);
  scored_ = false;
  if (call.tokens > 1) tokens_[layer_] = 0;
  ++tokens_[layer_];
  const bool judges = tokens_[layer_] > outlook_.delay;
  const Sample judged = SampleAt(SampleIndex(judges ? outlook_.delay : 0));
  if (judges) CollectRows(judged, &judged_rows_);
  float* averages = &averages_[layer_ * kDecays * lanes_];
  float* ages = &ages_[layer_ * lanes_];
  float* context = &contexts_[layer_ * lanes_];
  std::span<const int32_t> chosen;
  for (int32_t row = 0; row < call.tokens; ++row) {
    chosen = Chosen(call, row);
    for (const int32_t expert : chosen) mask_[static_cast<size_t>(expert)] = 1;
    kernels_.age(mask_.data(), averages, ages, context, lanes_);
    for (const int32_t expert : chosen) mask_[static_cast<size_t>(expert)] = 0;
  }
  const size_t index = SampleIndex(0);
  std::copy(context, context + lanes_, &sample_contexts_[index * lanes_]);
  std::ranges::copy(chosen, &chosen_[index * top_k_]);
  std::ranges::copy(before_, &layers_before_[index * top_k_]);
  std::ranges::copy(chosen, before_.begin());
  CollectRows(SampleAt(index), &present_rows_);
  memory_.Observe(call);
  kernels_.features(averages, ages, memory_.Recall().data(), &features_[index * kFeatures * lanes_],
                    lanes_);
  if (judges) Judge(judged, judged_rows_);
}

size_t Learned::SampleIndex(size_t tokens_ago) const {
  return layer_ * history_ + (tokens_[layer_] - 1 - tokens_ago) % history_;
}

Learned::Sample Learned::SampleAt(size_t index) const {
  return {.features = &features_[index * kFeatures * lanes_],
          .context = &sample_contexts_[index * lanes_],
          .chosen = &chosen_[index * top_k_],
          .layer_before = &layers_before_[index * top_k_]};
}

// Which rows of the tables speak for the sample, and how loud. Asks the machine to bring them: they
// are too many for the caches, and there is other work before they are used.
void Learned::CollectRows(const Sample& sample, Rows* rows) {
  const auto experts = static_cast<size_t>(shape_.experts);
  const auto first_row = [&](Table table) {
    return static_cast<uint32_t>((table * static_cast<size_t>(shape_.layers) + layer_) * experts);
  };
  size_t count = 0;
  const auto add = [&](uint32_t row, float scale, bool counts) {
    rows->rows[count] = row;
    rows->scales[count] = scale;
    count += counts ? 1 : 0;
  };
  for (size_t k = 0; k < top_k_; ++k) {
    add(first_row(kPresent) + static_cast<uint32_t>(sample.chosen[k]), 1, true);
  }
  const uint32_t earlier = first_row(kEarlier);
  for (size_t e = 0; e < experts; ++e) {
    add(earlier + static_cast<uint32_t>(e), sample.context[e], sample.context[e] >= kLeastContext);
  }
  for (size_t k = 0; k < top_k_; ++k) {
    const int32_t expert = sample.layer_before[k];
    add(first_row(kLayerBefore) + static_cast<uint32_t>(expert), 1, expert >= 0);
  }
  rows->count = count;
  for (size_t r = 0; r < count; ++r) {
    const float* row = &tables_[rows->rows[r] * lanes_];
    for (size_t e = 0; e < lanes_; e += kLanes) __builtin_prefetch(row + e, 1, 2);
  }
}

// Corrects the weights by what they said of a token whose future is known now.
void Learned::Judge(const Sample& sample, const Rows& rows) {
  kernels_.score(sample.features, weights_, tables_.data(), rows.rows.data(), rows.scales.data(),
                 rows.count, z_.data(), lanes_);
  std::ranges::fill(labels_, 0.0F);
  for (size_t later = outlook_.delay; later > 0; --later) {  // the next use overwrites later ones
    const Sample follower = SampleAt(SampleIndex(outlook_.delay - later));
    for (size_t k = 0; k < top_k_; ++k) {
      labels_[static_cast<size_t>(follower.chosen[k])] = discounts_[later - 1];
    }
  }
  float gradient[1 + kFeatures];
  const auto experts = static_cast<size_t>(shape_.experts);
  kernels_.gradient(labels_.data(), z_.data(), sample.features, experts, delta_.data(), gradient,
                    lanes_);
  for (size_t f = 0; f < 1 + kFeatures; ++f) {
    const float mean = gradient[f] / static_cast<float>(experts);
    squares_[f] += mean * mean;
    weights_[f] += kWeightRate * mean / std::sqrt(squares_[f]);
  }
  for (size_t r = 0; r < rows.count; ++r) {
    float& uses = row_uses_[rows.rows[r]];
    uses += rows.scales[r] * rows.scales[r];
    const float rate = kTableRate / std::sqrt(1 + uses / kTableRateUses);
    rates_[r] = std::max(kLeastTableRate, rate) * rows.scales[r];
  }
  kernels_.learn(tables_.data(), rows.rows.data(), rates_.data(), rows.count, delta_.data(),
                 lanes_);
}

ExpertKey Learned::Victim(std::span<const ExpertKey> candidates) {
  if (!scored_) {
    kernels_.score(SampleAt(SampleIndex(0)).features, weights_, tables_.data(),
                   present_rows_.rows.data(), present_rows_.scales.data(), present_rows_.count,
                   z_.data(), lanes_);
    scored_ = true;
  }
  const ExpertKey first = FirstKey(shape_, static_cast<int32_t>(layer_));
  return Lowest(candidates, last_use_, [&](ExpertKey key) {
    const ExpertKey expert = key - first;
    const bool here = expert >= 0 && expert < shape_.experts;
    // Where layers share slots, the others go first: their scores are not comparable.
    return here ? z_[static_cast<size_t>(expert)] : -1e9F;
  });
}

}  // namespace

std::unique_ptr<EvictionRule> NewLearned(const RuleSetup& setup) {
  return std::make_unique<Learned>(setup);
}

}  // namespace sluice

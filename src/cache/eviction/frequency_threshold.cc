// Whose share of the last `freq_window` accesses is at least `freq_threshold` stays: the victim is
// the one used longest ago among the others, or the one of the least share where all may stay. A
// layer has its own window, or all have one where they share slots.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

constexpr int64_t kLongestWindow = 1 << 16;  // a longer one would tell no more, and cost memory

class FrequencyThreshold final : public EvictionRule {
 public:
  explicit FrequencyThreshold(const RuleSetup& setup)
      : shape_(setup.shape),
        cache_(setup.cache),
        domains_(setup),
        length_(
            static_cast<size_t>(std::clamp<int64_t>(setup.cache->freq_window, 1, kLongestWindow))),
        accesses_(static_cast<size_t>(domains_.count()) * length_, -1),
        next_(static_cast<size_t>(domains_.count())),
        counts_(setup.shape.size()),
        last_use_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    const auto domain = static_cast<size_t>(domains_.Of(first));
    ExpertKey* const window = &accesses_[domain * length_];
    size_t next = next_[domain];
    for (const int32_t expert : call.experts) {
      const ExpertKey key = first + expert;
      if (window[next] >= 0) --counts_[static_cast<size_t>(window[next])];
      window[next] = key;
      ++counts_[static_cast<size_t>(key)];
      if (++next == length_) next = 0;
    }
    next_[domain] = next;
    last_use_.Observe(call);
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    const double enough = cache_->freq_threshold * static_cast<double>(length_);
    return Lowest(candidates, last_use_, [&](ExpertKey key) {
      const int32_t count = counts_[static_cast<size_t>(key)];
      return static_cast<double>(count) < enough ? -1 : count;
    });
  }
  void Reset() override {
    std::ranges::fill(accesses_, -1);
    std::ranges::fill(counts_, 0);
    last_use_.Reset();
  }

 private:
  const CacheShape shape_;
  const CacheSpec* const cache_;
  const Domains domains_;
  const size_t length_;              // of a window
  std::vector<ExpertKey> accesses_;  // [domains, length], a ring each; -1: none yet
  std::vector<size_t> next_;         // by domain: where its next access is written
  std::vector<int32_t> counts_;      // by key: in its window
  LastUse last_use_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewFrequencyThreshold(const RuleSetup& setup) {
  return std::make_unique<FrequencyThreshold>(setup);
}

}  // namespace sluice

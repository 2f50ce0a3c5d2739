// Keeps who comes back soon: every expert has a mean gap between its uses, and the victim is the
// one of the largest gap + age / 2. Both are in tokens. An expert that is not chosen costs nothing.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

constexpr double kFirstGap = 30;     // of an expert that was never used
constexpr double kLongestGap = 200;  // that counts, so that one long pause is forgotten soon
constexpr double kNewest = 0.2;      // share of the newest gap in the mean

class Gap final : public EvictionRule {
 public:
  explicit Gap(const RuleSetup& setup)
      : shape_(setup.shape),
        gaps_(setup.shape.size(), kFirstGap),
        last_use_(setup.shape),
        ages_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    for (int32_t row = 0; row < call.tokens; ++row) {
      ages_.NextToken(call.layer);
      for (const int32_t expert : Chosen(call, row)) {
        const ExpertKey key = first + expert;
        double& gap = gaps_[static_cast<size_t>(key)];
        const auto newest = static_cast<double>(ages_.Age(key));
        gap = (1 - kNewest) * gap + kNewest * std::min(kLongestGap, newest);
        ages_.Use(key);
      }
    }
    last_use_.Observe(call);
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    return Lowest(candidates, last_use_, [&](ExpertKey key) {
      return -(gaps_[static_cast<size_t>(key)] + 0.5 * static_cast<double>(ages_.Age(key)));
    });
  }
  void Reset() override {
    gaps_.assign(gaps_.size(), kFirstGap);
    last_use_.Reset();
    ages_.Reset();
  }

 private:
  const CacheShape shape_;
  std::vector<double> gaps_;  // by key
  LastUse last_use_;
  Ages ages_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewGap(const RuleSetup& setup) {
  return std::make_unique<Gap>(setup);
}

}  // namespace sluice

// The victim is the candidate that is wanted again farthest in the future: the most hits that a
// cache which takes in everything can have (L. A. Belady, A study of replacement algorithms for a
// virtual-storage computer, 1966). Only a replay knows the future; without one, this is LRU.
#include <memory>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Belady final : public EvictionRule {
 public:
  explicit Belady(const RuleSetup& setup) : future_(setup.future), last_use_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    call_ = call.call;
    last_use_.Observe(call);
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    if (future_ == nullptr) return last_use_.Oldest(candidates);
    return Lowest(candidates, last_use_,
                  [&](ExpertKey key) { return Future::kNever - future_->NextUse(key, call_); });
  }

 private:
  const Future* const future_;
  LastUse last_use_;
  uint64_t call_ = 0;
};

}  // namespace

std::unique_ptr<EvictionRule> NewBelady(const RuleSetup& setup) {
  return std::make_unique<Belady>(setup);
}

}  // namespace sluice

// `a | b`: a cache of two levels. Who comes in enters the first, two thirds of the slots, under
// rule a. Its victims are demoted to the second, under rule b, and leave the cache from there; a
// use in the second level promotes. Every expert is in one level only: being moved costs nothing.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

constexpr double kFirstShare = 2.0 / 3;

class TwoLevel final : public EvictionRule {
 public:
  TwoLevel(const RuleSetup& setup, std::unique_ptr<EvictionRule> first,
           std::unique_ptr<EvictionRule> second)
      : shape_(setup.shape),
        domains_(setup),
        capacities_(domains_, setup),
        first_(std::move(first)),
        second_(std::move(second)),
        levels_(setup.shape, 2 * domains_.count()),
        current_(setup.shape) {
    candidates_.reserve(setup.shape.size());
  }

  void Observe(const LayerCall& call) override {
    first_->Observe(call);
    second_->Observe(call);
    const ExpertKey first_key = FirstKey(shape_, call.layer);
    const int32_t domain = domains_.Of(first_key);
    current_.Clear();
    for (const Demand& demand : call.demands) current_.Insert(first_key + demand.expert);
    for (const Demand& demand : call.demands) {
      const ExpertKey key = first_key + demand.expert;
      if (levels_.ListOf(key) != Second(domain)) continue;
      second_->OnRemove(key);
      levels_.Remove(key);
      Enter(domain, key, Insertion::kDemand);
    }
  }
  void OnInsert(ExpertKey key, Insertion how) override { Enter(domains_.Of(key), key, how); }
  void OnRemove(ExpertKey key) override {
    const bool second = levels_.ListOf(key) == Second(domains_.Of(key));
    (second ? second_ : first_)->OnRemove(key);
    levels_.Remove(key);
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    const int32_t domain = domains_.Of(candidates[0]);
    capacities_.Full(domain, levels_.size(First(domain)) + levels_.size(Second(domain)));
    candidates_.clear();
    for (const ExpertKey key : candidates) {
      if (levels_.ListOf(key) == Second(domain)) candidates_.push_back(key);
    }
    return candidates_.empty() ? first_->Victim(candidates) : second_->Victim(candidates_);
  }
  void Reset() override {
    first_->Reset();
    second_->Reset();
  }

 private:
  static int32_t First(int32_t domain) { return 2 * domain; }
  static int32_t Second(int32_t domain) { return 2 * domain + 1; }

  // Into the first level, which demotes somebody if that is one too many: nobody whom the call
  // under way wants.
  void Enter(int32_t domain, ExpertKey key, Insertion how) {
    levels_.PushFront(First(domain), key);
    first_->OnInsert(key, how);
    if (levels_.size(First(domain)) <= capacities_.Share(domain, kFirstShare)) return;
    candidates_.clear();
    for (ExpertKey k = levels_.Back(First(domain)); k != KeyLists::kNone;
         k = levels_.TowardsFront(k)) {
      if (k != key && !current_.Has(k)) candidates_.push_back(k);
    }
    if (candidates_.empty()) return;
    const ExpertKey demoted = first_->Victim(candidates_);
    first_->OnRemove(demoted);
    levels_.MoveToFront(Second(domain), demoted);
    second_->OnInsert(demoted, how);
  }

  const CacheShape shape_;
  const Domains domains_;
  Capacities capacities_;
  const std::unique_ptr<EvictionRule> first_;
  const std::unique_ptr<EvictionRule> second_;
  KeyLists levels_;  // two per domain
  KeySet current_;   // what the call under way wants
  std::vector<ExpertKey> candidates_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewEvictionRule(const Eviction& eviction, const RuleSetup& setup) {
  if (eviction.second.empty()) return NewEvictionRule(eviction.primary, setup);
  RuleSetup part = setup;
  part.slots = std::max(1, static_cast<int32_t>(kFirstShare * setup.slots));
  auto first = NewEvictionRule(eviction.primary, part);
  part.slots = std::max(1, setup.slots - part.slots);
  auto second = NewEvictionRule(eviction.second, part);
  if (first == nullptr || second == nullptr) return nullptr;
  return std::make_unique<TwoLevel>(setup, std::move(first), std::move(second));
}

}  // namespace sluice

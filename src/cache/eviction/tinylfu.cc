// W-TinyLFU (G. Einziger, R. Friedman, B. Manes, TinyLFU: a highly efficient cache admission
// policy, 2017): who comes in waits in a small window; at its end it must have been used more often
// than the one that would leave the main part (a segmented LRU) for it, or it leaves itself. Uses
// are counted up to 15 and halved after 10 accesses per slot. Experts are few: each has its own
// counter where the paper hashes. A call uses an expert once, however many of its tokens chose it.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

constexpr double kWindowShare = 0.01;
constexpr double kProtectedShare = 0.8;  // of the main part
constexpr uint8_t kMostCount = 15;
constexpr int64_t kAccessesPerSlot = 10;

class TinyLfu final : public EvictionRule {
 public:
  explicit TinyLfu(const RuleSetup& setup)
      : shape_(setup.shape),
        domains_(setup),
        capacities_(domains_, setup),
        lists_(setup.shape, 3 * domains_.count()),
        uses_(setup.shape.size()),
        accesses_(static_cast<size_t>(domains_.count())),
        candidates_(setup.shape) {}

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    const int32_t domain = domains_.Of(first);
    for (const Demand& demand : call.demands) {
      const ExpertKey key = first + demand.expert;
      uint8_t& uses = uses_[static_cast<size_t>(key)];
      uses = std::min(kMostCount, static_cast<uint8_t>(uses + 1));
      Touch(domain, key);
    }
    int64_t& accesses = accesses_[static_cast<size_t>(domain)];
    accesses += static_cast<int64_t>(call.demands.size());
    if (accesses >= kAccessesPerSlot * capacities_[domain]) {
      accesses = 0;
      const auto keys = domains_.count() == 1
                            ? std::span(uses_)
                            : std::span(uses_).subspan(static_cast<size_t>(first),
                                                       static_cast<size_t>(shape_.experts));
      for (uint8_t& uses : keys) uses /= 2;
    }
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override {
    const int32_t domain = domains_.Of(key);
    lists_.MoveToFront(Window(domain), key);
    while (lists_.size(Window(domain)) > capacities_.Share(domain, kWindowShare)) {
      lists_.MoveToFront(Probation(domain), lists_.Back(Window(domain)));
    }
  }
  void OnRemove(ExpertKey key) override { lists_.Remove(key); }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    candidates_.Assign(candidates);
    const int32_t domain = domains_.Of(candidates[0]);
    capacities_.Full(domain, lists_.size(Window(domain)) + lists_.size(Probation(domain)) +
                                 lists_.size(Protected(domain)));
    ExpertKey leaving = lists_.LastOf(Probation(domain), candidates_);
    if (leaving == KeyLists::kNone) leaving = lists_.LastOf(Protected(domain), candidates_);
    const bool window_full = lists_.size(Window(domain)) >= capacities_.Share(domain, kWindowShare);
    if (!window_full && leaving != KeyLists::kNone) return leaving;
    const ExpertKey contender = lists_.LastOf(Window(domain), candidates_);
    if (contender == KeyLists::kNone) return leaving;
    if (leaving == KeyLists::kNone ||
        uses_[static_cast<size_t>(contender)] <= uses_[static_cast<size_t>(leaving)]) {
      return contender;
    }
    lists_.MoveToFront(Probation(domain), contender);
    return leaving;
  }
  void Reset() override {
    std::ranges::fill(uses_, uint8_t{0});
    std::ranges::fill(accesses_, 0);
  }

 private:
  static int32_t Window(int32_t domain) { return 3 * domain; }
  static int32_t Probation(int32_t domain) { return 3 * domain + 1; }
  static int32_t Protected(int32_t domain) { return 3 * domain + 2; }

  void Touch(int32_t domain, ExpertKey key) {
    const int32_t list = lists_.ListOf(key);
    if (list == KeyLists::kNone) return;
    if (list == Window(domain)) {
      lists_.MoveToFront(list, key);
      return;
    }
    lists_.MoveToFront(Protected(domain), key);
    const int32_t main = capacities_[domain] - capacities_.Share(domain, kWindowShare);
    if (lists_.size(Protected(domain)) >
        std::max(1, static_cast<int32_t>(kProtectedShare * main))) {
      lists_.MoveToFront(Probation(domain), lists_.Back(Protected(domain)));
    }
  }

  const CacheShape shape_;
  const Domains domains_;
  Capacities capacities_;
  KeyLists lists_;                 // three per domain, the latest used in front
  std::vector<uint8_t> uses_;      // by key
  std::vector<int64_t> accesses_;  // by domain: since its counters were halved
  KeySet candidates_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewTinyLfu(const RuleSetup& setup) {
  return std::make_unique<TinyLfu>(setup);
}

}  // namespace sluice

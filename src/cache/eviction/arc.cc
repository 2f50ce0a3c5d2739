// Adaptive replacement (N. Megiddo, D. Modha, ARC: a self-tuning, low overhead replacement cache,
// FAST 2003): one list for who was used once, one for who was used again, and the same of who left
// lately. A return from the one or the other memory says which list should have been longer, and
// moves the border. A call uses an expert once, however many of its tokens chose it.
#include <algorithm>
#include <memory>
#include <vector>

#include "cache/eviction.h"
#include "cache/eviction/rule_support.h"

namespace sluice {
namespace {

class Arc final : public EvictionRule {
 public:
  explicit Arc(const RuleSetup& setup)
      : shape_(setup.shape),
        domains_(setup),
        capacities_(domains_, setup),
        lists_(setup.shape, kLists * domains_.count()),
        once_targets_(static_cast<size_t>(domains_.count())),
        adapted_(setup.shape),
        candidates_(setup.shape) {
    missing_.reserve(static_cast<size_t>(setup.shape.experts));
  }

  void Observe(const LayerCall& call) override {
    const ExpertKey first = FirstKey(shape_, call.layer);
    const int32_t domain = domains_.Of(first);
    missing_.clear();
    next_missing_ = 0;
    adapted_.Clear();
    for (const Demand& demand : call.demands) {
      const ExpertKey key = first + demand.expert;
      const int32_t list = lists_.ListOf(key);
      if (list == List(domain, kOnce) || list == List(domain, kAgain)) {
        lists_.MoveToFront(List(domain, kAgain), key);
      } else {
        missing_.push_back(key);
      }
    }
  }
  void OnInsert(ExpertKey key, Insertion /*how*/) override {
    const int32_t domain = domains_.Of(key);
    Adapt(domain, key);
    for (size_t i = next_missing_; i < missing_.size(); ++i) {
      if (missing_[i] == key) next_missing_ = i + 1;
    }
    const bool known = lists_.ListOf(key) != KeyLists::kNone;
    lists_.MoveToFront(List(domain, known ? kAgain : kOnce), key);
    const int32_t slots = capacities_[domain];
    Trim(domain, kOnceGone, Size(domain, kOnce) + Size(domain, kOnceGone) - slots);
    Trim(domain, kAgainGone,
         Size(domain, kOnce) + Size(domain, kOnceGone) + Size(domain, kAgain) +
             Size(domain, kAgainGone) - 2 * slots);
  }
  void OnRemove(ExpertKey key) override {
    const int32_t domain = domains_.Of(key);
    const bool once = lists_.ListOf(key) == List(domain, kOnce);
    lists_.MoveToFront(List(domain, once ? kOnceGone : kAgainGone), key);
  }
  ExpertKey Victim(std::span<const ExpertKey> candidates) override {
    candidates_.Assign(candidates);
    const int32_t domain = domains_.Of(candidates[0]);
    capacities_.Full(domain, Size(domain, kOnce) + Size(domain, kAgain));
    bool again_gone = false;
    if (next_missing_ < missing_.size()) {
      const ExpertKey coming = missing_[next_missing_];
      again_gone = lists_.ListOf(coming) == List(domain, kAgainGone);
      Adapt(domain, coming);
    }
    const double target = once_targets_[static_cast<size_t>(domain)];
    const auto once = static_cast<double>(Size(domain, kOnce));
    const bool from_once = once > target || (again_gone && once == target);
    const ExpertKey key = lists_.LastOf(List(domain, from_once ? kOnce : kAgain), candidates_);
    if (key != KeyLists::kNone) return key;
    return lists_.LastOf(List(domain, from_once ? kAgain : kOnce), candidates_);
  }
  void Reset() override {
    for (int32_t domain = 0; domain < domains_.count(); ++domain) {
      lists_.Clear(List(domain, kOnceGone));
      lists_.Clear(List(domain, kAgainGone));
      once_targets_[static_cast<size_t>(domain)] = 0;
    }
  }

 private:
  // T1, T2, B1 and B2 of the paper.
  enum Kind { kOnce, kAgain, kOnceGone, kAgainGone };
  static constexpr int32_t kLists = 4;
  static int32_t List(int32_t domain, Kind kind) { return kLists * domain + kind; }
  int32_t Size(int32_t domain, Kind kind) const { return lists_.size(List(domain, kind)); }

  void Trim(int32_t domain, Kind kind, int32_t excess) {
    for (; excess > 0 && Size(domain, kind) > 0; --excess) {
      lists_.Remove(lists_.Back(List(domain, kind)));
    }
  }
  // Moves the border if `key` left lately; once per call.
  void Adapt(int32_t domain, ExpertKey key) {
    if (adapted_.Has(key)) return;
    adapted_.Insert(key);
    double& target = once_targets_[static_cast<size_t>(domain)];
    const auto once_gone = static_cast<double>(Size(domain, kOnceGone));
    const auto again_gone = static_cast<double>(Size(domain, kAgainGone));
    if (lists_.ListOf(key) == List(domain, kOnceGone)) {
      target =
          std::min<double>(capacities_[domain], target + std::max(1.0, again_gone / once_gone));
    } else if (lists_.ListOf(key) == List(domain, kAgainGone)) {
      target = std::max(0.0, target - std::max(1.0, once_gone / again_gone));
    }
  }

  const CacheShape shape_;
  const Domains domains_;
  Capacities capacities_;
  KeyLists lists_;                    // four per domain, the latest in front
  std::vector<double> once_targets_;  // by domain: p of the paper, how long kOnce should be
  std::vector<ExpertKey> missing_;    // that the call under way has to bring in, in order
  size_t next_missing_ = 0;
  KeySet adapted_;  // in this call
  KeySet candidates_;
};

}  // namespace

std::unique_ptr<EvictionRule> NewArc(const RuleSetup& setup) {
  return std::make_unique<Arc>(setup);
}

}  // namespace sluice

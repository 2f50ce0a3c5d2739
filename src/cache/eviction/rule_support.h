// What several rules of eviction need: the order of use, the current step, sets and lists of keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/eviction.h"

namespace sluice {

// The experts that token `row` of a call chose, in rank order.
inline std::span<const int32_t> Chosen(const LayerCall& call, int32_t row) {
  const auto top_k = static_cast<size_t>(call.top_k);
  return call.experts.subspan(static_cast<size_t>(row) * top_k, top_k);
}

inline ExpertKey FirstKey(CacheShape shape, int32_t layer) { return layer * shape.experts; }

// When each expert was chosen last. A call of several tokens counts as that many, one after the
// other.
class LastUse {
 public:
  explicit LastUse(CacheShape shape) : shape_(shape), stamps_(shape.size()) {}

  void Observe(const LayerCall& call) {
    uint64_t* layer = &stamps_[static_cast<size_t>(FirstKey(shape_, call.layer))];
    uint64_t uses = uses_;
    for (const int32_t expert : call.experts) layer[expert] = ++uses;
    uses_ = uses;
  }
  void Reset() { stamps_.assign(stamps_.size(), 0); }

  uint64_t operator[](ExpertKey key) const { return stamps_[static_cast<size_t>(key)]; }
  // Whether `a` was used before `b`. Never is before everything, and a lower key before a higher.
  bool Older(ExpertKey a, ExpertKey b) const {
    const uint64_t at_a = (*this)[a];
    const uint64_t at_b = (*this)[b];
    return at_a != at_b ? at_a < at_b : a < b;
  }
  ExpertKey Oldest(std::span<const ExpertKey> keys) const {
    ExpertKey oldest = keys[0];
    for (const ExpertKey key : keys.subspan(1)) {
      if (Older(key, oldest)) oldest = key;
    }
    return oldest;
  }

 private:
  const CacheShape shape_;
  std::vector<uint64_t> stamps_;  // by key; 0: never
  uint64_t uses_ = 0;
};

// The candidate of the lowest score; of several the one used longest ago.
template <typename Score>
ExpertKey Lowest(std::span<const ExpertKey> candidates, const LastUse& last_use, Score score) {
  ExpertKey lowest = candidates[0];
  auto lowest_score = score(lowest);
  for (const ExpertKey key : candidates.subspan(1)) {
    const auto s = score(key);
    if (s < lowest_score || (s == lowest_score && last_use.Older(key, lowest))) {
      lowest = key;
      lowest_score = s;
    }
  }
  return lowest;
}

// How many tokens ago each expert was chosen last, counted in tokens of its own layer.
class Ages {
 public:
  static constexpr int64_t kNever = 1000;  // the age that all begin with

  explicit Ages(CacheShape shape)
      : shape_(shape),
        now_(static_cast<size_t>(shape.layers), -1),
        last_(shape.size(), -1 - kNever) {}

  void Observe(const LayerCall& call) {
    for (int32_t row = 0; row < call.tokens; ++row) {
      NextToken(call.layer);
      for (const int32_t expert : Chosen(call, row)) Use(FirstKey(shape_, call.layer) + expert);
    }
  }
  // The same in parts.
  void NextToken(int32_t layer) { ++now_[static_cast<size_t>(layer)]; }
  void Use(ExpertKey key) { last_[static_cast<size_t>(key)] = Now(key); }
  // 0: by the layer's latest token.
  int64_t Age(ExpertKey key) const { return Now(key) - last_[static_cast<size_t>(key)]; }
  void Reset() {
    now_.assign(now_.size(), -1);
    last_.assign(last_.size(), -1 - kNever);
  }

 private:
  int64_t Now(ExpertKey key) const { return now_[static_cast<size_t>(key / shape_.experts)]; }

  const CacheShape shape_;
  std::vector<int64_t> now_;   // by layer: its latest token
  std::vector<int64_t> last_;  // by key: the token that chose it last
};

// Tells where a step of the model begins: the layers are called in ascending order.
class StepWatch {
 public:
  // Whether this call is the first of a step. Every call, once.
  bool Begins(const LayerCall& call) {
    const bool begins = call.layer <= layer_ || call.step != step_;
    layer_ = call.layer;
    step_ = call.step;
    return begins;
  }

 private:
  int32_t layer_ = 0;  // so that the first call of all begins a step
  uint64_t step_ = ~uint64_t{0};
};

// A set of keys that is emptied at no cost.
class KeySet {
 public:
  explicit KeySet(CacheShape shape) : marks_(shape.size()) {}

  void Assign(std::span<const ExpertKey> keys) {
    Clear();
    for (const ExpertKey key : keys) Insert(key);
  }
  void Clear() { ++epoch_; }
  void Insert(ExpertKey key) { marks_[static_cast<size_t>(key)] = epoch_; }
  void Erase(ExpertKey key) { marks_[static_cast<size_t>(key)] = 0; }
  bool Has(ExpertKey key) const { return marks_[static_cast<size_t>(key)] == epoch_; }

 private:
  std::vector<uint64_t> marks_;  // by key
  uint64_t epoch_ = 1;
};

// Doubly linked lists of keys. A key is in one list at most.
class KeyLists {
 public:
  static constexpr int32_t kNone = -1;

  KeyLists(CacheShape shape, int32_t lists)
      : keys_(static_cast<int32_t>(shape.size())),
        links_(shape.size() + static_cast<size_t>(lists)),
        sizes_(static_cast<size_t>(lists)) {
    for (int32_t list = 0; list < lists; ++list)
      links_[Node(keys_ + list)] = {keys_ + list, keys_ + list, list};
  }

  int32_t ListOf(ExpertKey key) const { return links_[Node(key)].list; }  // or kNone
  int32_t size(int32_t list) const { return sizes_[Node(list)]; }
  // The ends, and from one key to the next; kNone where there is none.
  ExpertKey Front(int32_t list) const { return KeyOrNone(links_[Node(keys_ + list)].next); }
  ExpertKey Back(int32_t list) const { return KeyOrNone(links_[Node(keys_ + list)].previous); }
  ExpertKey TowardsFront(ExpertKey key) const { return KeyOrNone(links_[Node(key)].previous); }

  // REQUIRES: `key` is in no list.
  void PushFront(int32_t list, ExpertKey key) { InsertAfter(keys_ + list, list, key); }
  // Takes `key` out of its list, if it is in one.
  void Remove(ExpertKey key) {
    Link& link = links_[Node(key)];
    if (link.list == kNone) return;
    links_[Node(link.previous)].next = link.next;
    links_[Node(link.next)].previous = link.previous;
    --sizes_[Node(link.list)];
    link.list = kNone;
  }
  void MoveToFront(int32_t list, ExpertKey key) {
    Remove(key);
    PushFront(list, key);
  }
  void Clear(int32_t list) {
    while (Back(list) != kNone) Remove(Back(list));
  }
  // The key nearest to the back that is in `among`, or kNone.
  ExpertKey LastOf(int32_t list, const KeySet& among) const {
    ExpertKey key = Back(list);
    while (key != kNone && !among.Has(key)) key = TowardsFront(key);
    return key;
  }

 private:
  struct Link {
    int32_t previous = kNone;
    int32_t next = kNone;
    int32_t list = kNone;
  };
  static size_t Node(int32_t node) { return static_cast<size_t>(node); }
  ExpertKey KeyOrNone(int32_t node) const { return node < keys_ ? node : kNone; }
  void InsertAfter(int32_t node, int32_t list, ExpertKey key) {
    const int32_t next = links_[Node(node)].next;
    links_[Node(key)] = {node, next, list};
    links_[Node(node)].next = key;
    links_[Node(next)].previous = key;
    ++sizes_[Node(list)];
  }

  const int32_t keys_;
  std::vector<Link> links_;  // of the keys, then one for the ends of each list
  std::vector<int32_t> sizes_;
};

// Who shares slots with whom: the experts of a layer, or all.
class Domains {
 public:
  explicit Domains(const RuleSetup& setup)
      : experts_(setup.shape.experts),
        count_(setup.cache->scope == Scope::kShared ? 1 : setup.shape.layers) {}
  int32_t count() const { return count_; }
  int32_t Of(ExpertKey key) const { return count_ == 1 ? 0 : key / experts_; }

 private:
  const int32_t experts_;
  const int32_t count_;
};

// How many slots each domain has. Only the core knows, and it may change its mind; but it asks for
// a victim when a domain is full, and then they are as many as there are residents.
class Capacities {
 public:
  Capacities(const Domains& domains, const RuleSetup& setup)
      : slots_(static_cast<size_t>(domains.count()), setup.slots) {}
  void Full(int32_t domain, int32_t residents) { slots_[static_cast<size_t>(domain)] = residents; }
  int32_t operator[](int32_t domain) const { return slots_[static_cast<size_t>(domain)]; }
  // Of a domain's slots, at least one.
  int32_t Share(int32_t domain, double share) const {
    return std::max(1, static_cast<int32_t>(share * (*this)[domain]));
  }

 private:
  std::vector<int32_t> slots_;  // by domain
};

}  // namespace sluice

// Rules of the literature against their papers, written here once more in the plainest way.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "cache/eviction.h"
#include "cache/plain_caches.h"

namespace sluice {
namespace {

// Rules whose papers speak of single accesses to one cache.
constexpr CacheShape kOneLayer{.layers = 1, .experts = 60};

struct Textbook {
  virtual ~Textbook() = default;
  // Whether `x` was there; it is afterwards.
  virtual bool Access(int32_t x) = 0;
};

void ExpectTextbook(const std::string& name, int32_t slots, Textbook* book,
                    const CacheSpec& spec = {}) {
  const auto rule =
      NewEvictionRule(name, {.shape = kOneLayer, .top_k = 1, .slots = slots, .cache = &spec});
  PlainCaches caches(kOneLayer, 1, slots, rule.get());
  std::mt19937 random(5);
  int hits = 0;
  for (int access = 0; access < 30000; ++access) {
    // Skewed, with a drift and now and then a scan.
    int32_t x = static_cast<int32_t>(random() % 60 * (random() % 60) / 60 +
                                     static_cast<uint32_t>(access) / 3000) %
                60;
    if (access % 500 < 50) x = access % 60;
    const bool hit = book->Access(x);
    hits += hit ? 1 : 0;
    ASSERT_EQ(caches.Call(0, std::vector<int32_t>{x}), hit ? 1 : 0)
        << name << " with " << slots << " slots, access " << access;
  }
  EXPECT_GT(hits, 500);
}

TEST(EvictionTextbookTest, Fifo) {
  struct Fifo : Textbook {
    explicit Fifo(size_t n) : slots(n) {}
    bool Access(int32_t x) override {
      if (std::ranges::find(queue, x) != queue.end()) return true;
      if (queue.size() == slots) queue.pop_front();
      queue.push_back(x);
      return false;
    }
    size_t slots;
    std::deque<int32_t> queue;
  };
  for (const int32_t slots : {1, 7, 20}) {
    Fifo fifo(static_cast<size_t>(slots));
    ExpectTextbook("fifo", slots, &fifo);
  }
}

TEST(EvictionTextbookTest, SegmentedLru) {
  struct Slru : Textbook {
    explicit Slru(size_t n) : slots(n) {}
    bool Access(int32_t x) override {
      const bool hit = std::erase(probation, x) + std::erase(guarded, x) > 0;
      if (hit) {
        guarded.push_front(x);
        if (guarded.size() > std::max<size_t>(1, slots / 2)) {
          probation.push_front(guarded.back());
          guarded.pop_back();
        }
      } else {
        if (probation.size() + guarded.size() == slots) {
          (probation.empty() ? guarded : probation).pop_back();
        }
        probation.push_front(x);
      }
      return hit;
    }
    size_t slots;
    std::list<int32_t> probation;
    std::list<int32_t> guarded;
  };
  for (const int32_t slots : {1, 2, 7, 20}) {
    Slru slru(static_cast<size_t>(slots));
    ExpectTextbook("slru", slots, &slru);
  }
}

TEST(EvictionTextbookTest, Sieve) {
  struct Sieve : Textbook {
    explicit Sieve(size_t n) : slots(n) {}
    bool Access(int32_t x) override {
      for (Entry& e : queue) {
        if (e.x == x) return e.visited = true;
      }
      if (queue.size() == slots) {
        // `hand` counts from the oldest.
        while (queue[hand].visited) {
          queue[hand].visited = false;
          hand = (hand + 1) % queue.size();
        }
        queue.erase(queue.begin() + static_cast<int64_t>(hand));
        if (hand == queue.size()) hand = 0;
        // At the newest's end the hand starts anew with the oldest, not with whom comes now.
      }
      queue.push_back({x, false});
      return false;
    }
    struct Entry {
      int32_t x;
      bool visited;
    };
    size_t slots;
    size_t hand = 0;
    std::deque<Entry> queue;
  };
  for (const int32_t slots : {2, 7, 20}) {
    Sieve sieve(static_cast<size_t>(slots));
    ExpectTextbook("sieve", slots, &sieve);
  }
}

TEST(EvictionTextbookTest, S3Fifo) {
  struct S3Fifo : Textbook {
    explicit S3Fifo(size_t n) : slots(n), small_slots(std::max<size_t>(1, n / 10)) {}
    bool Access(int32_t x) override {
      if (freq.contains(x)) {
        freq[x] = std::min(freq[x] + 1, 3);
        return true;
      }
      if (small.size() + main.size() == slots) Evict();
      const auto known = std::ranges::find(ghost, x);
      if (known != ghost.end()) {
        ghost.erase(known);
        main.push_front(x);
      } else {
        small.push_front(x);
      }
      freq[x] = 0;
      return false;
    }
    void Evict() {
      while (small.size() >= small_slots) {
        const int32_t t = small.back();
        small.pop_back();
        if (freq[t] > 1) {
          main.push_front(t);
          freq[t] = 0;
          continue;
        }
        freq.erase(t);
        ghost.push_front(t);
        if (ghost.size() > slots - small_slots) ghost.pop_back();
        return;
      }
      for (;;) {
        const int32_t t = main.back();
        main.pop_back();
        if (freq[t]-- == 0) {
          freq.erase(t);
          return;
        }
        main.push_front(t);
      }
    }
    size_t slots;
    size_t small_slots;
    std::list<int32_t> small;
    std::list<int32_t> main;
    std::list<int32_t> ghost;
    std::map<int32_t, int> freq;
  };
  for (const int32_t slots : {5, 12, 30}) {
    S3Fifo s3fifo(static_cast<size_t>(slots));
    ExpectTextbook("s3fifo", slots, &s3fifo);
  }
}

TEST(EvictionTextbookTest, Arc) {
  // Figure 4 of the paper, case by case.
  struct Arc : Textbook {
    explicit Arc(size_t n) : c(n) {}
    static bool In(const std::list<int32_t>& list, int32_t x) {
      return std::ranges::find(list, x) != list.end();
    }
    bool Access(int32_t x) override {
      if (In(t1, x) || In(t2, x)) {
        t1.remove(x);
        t2.remove(x);
        t2.push_front(x);
        return true;
      }
      const auto b1_size = static_cast<double>(b1.size());
      const auto b2_size = static_cast<double>(b2.size());
      if (In(b1, x)) {
        p = std::min(static_cast<double>(c), p + (b1_size >= b2_size ? 1 : b2_size / b1_size));
        Replace(false);
        b1.remove(x);
        t2.push_front(x);
      } else if (In(b2, x)) {
        p = std::max(0.0, p - (b2_size >= b1_size ? 1 : b1_size / b2_size));
        Replace(true);
        b2.remove(x);
        t2.push_front(x);
      } else {
        if (t1.size() + b1.size() == c) {
          if (t1.size() < c) {
            b1.pop_back();
            Replace(false);
          } else {
            t1.pop_back();
          }
        } else if (t1.size() + t2.size() + b1.size() + b2.size() >= c) {
          if (t1.size() + t2.size() + b1.size() + b2.size() == 2 * c) b2.pop_back();
          Replace(false);
        }
        t1.push_front(x);
      }
      return false;
    }
    void Replace(bool in_b2) {
      if (t1.size() + t2.size() < c) return;
      const auto size = static_cast<double>(t1.size());
      const bool from_t1 = !t1.empty() && ((in_b2 && size == p) || size > p);
      auto& from = from_t1 ? t1 : t2;
      (from_t1 ? b1 : b2).push_front(from.back());
      from.pop_back();
    }
    size_t c;
    double p = 0;
    std::list<int32_t> t1, t2, b1, b2;
  };
  for (const int32_t slots : {2, 7, 20}) {
    Arc arc(static_cast<size_t>(slots));
    ExpectTextbook("arc", slots, &arc);
  }
}

TEST(EvictionTextbookTest, TwoLevelsOfFifoAndLru) {
  struct Levels : Textbook {
    explicit Levels(size_t n) : slots(n), first_slots(std::max<size_t>(1, n * 2 / 3)) {}
    bool Access(int32_t x) override {
      if (std::ranges::find(first, x) != first.end()) return true;
      const bool hit = std::erase(second, x) > 0;
      if (!hit && first.size() + second.size() == slots) second.pop_back();
      first.push_front(x);
      if (first.size() > first_slots) {
        second.push_front(first.back());
        first.pop_back();
      }
      return hit;
    }
    size_t slots;
    size_t first_slots;
    std::list<int32_t> first;
    std::list<int32_t> second;
  };
  const CacheSpec spec;
  for (const int32_t slots : {3, 9, 20}) {
    Levels levels(static_cast<size_t>(slots));
    const auto rule = NewEvictionRule(
        Eviction{"fifo", "fifo"}, {.shape = kOneLayer, .top_k = 1, .slots = slots, .cache = &spec});
    PlainCaches caches(kOneLayer, 1, slots, rule.get());
    std::mt19937 random(6);
    for (int access = 0; access < 20000; ++access) {
      const auto x = static_cast<int32_t>(random() % 60 * (random() % 60) / 60);
      ASSERT_EQ(caches.Call(0, std::vector<int32_t>{x}), levels.Access(x) ? 1 : 0) << access;
    }
  }
}

}  // namespace
}  // namespace sluice

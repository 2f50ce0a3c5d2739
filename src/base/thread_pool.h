// ParallelFor over a fixed set of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace sluice {

// Cores that this process may run on, at least 1.
int AvailableCores();

// Runs one loop at a time; the calling thread takes part, so a pool of 1 has no threads at all.
// Each thread begins with a run of items of its own, which it takes in order, so that neighbours in
// memory meet one thread; one that is done helps others with theirs. Which thread runs an item must
// not matter to its result.
// A worker that sleeps never delays a loop: it joins if it wakes in time, and the loop is over when
// every item is done. ParallelFor may be called by one thread at a time.
class ThreadPool {  // NOLINT(clang-analyzer-optin.performance.Padding): lines of their own
 public:
  // Fewer threads where the system does not give as many: see size().
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(item) for item in [0, items); returns when all have returned. Where memory for an
  // item is short, throws std::bad_alloc on the calling thread, as a plain loop would; other items
  // may then be left out.
  template <typename Body>
  void ParallelFor(int64_t items, const Body& body) {
    if (items <= 0) return;
    if (items == 1 || workers_.empty()) {
      for (int64_t i = 0; i < items; ++i) body(i);
      return;
    }
    Run(
        items,
        [](const void* context, int64_t item) { (*static_cast<const Body*>(context))(item); },
        &body);
  }

 private:
  using Call = void (*)(const void* context, int64_t item);
  void Run(int64_t items, Call call, const void* context);
  void Work(size_t thread);
  void RunItems(size_t thread) noexcept;
  bool Join(uint32_t* last_generation);

  // The loop under way. Written only while state_ says closed and nobody is inside.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  struct alignas(64) Range {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Range> ranges_;  // [threads]
  // generation << 17 | open << 16 | threads inside. Wrapping generations cost at most a missed
  // chance to help.
  alignas(64) std::atomic<uint32_t> state_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> out_of_memory_{false};  // an item of the loop under way
  std::vector<std::jthread> workers_;
};

}  // namespace sluice

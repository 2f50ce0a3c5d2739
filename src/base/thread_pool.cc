// Loops in a decode step are tens of microseconds long, so workers spin between them and sleep only
// when nothing has come for a while.
#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <new>
#include <system_error>

namespace sluice {

int AvailableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}
namespace {

constexpr uint32_t kOpen = 1U << 16;
constexpr uint32_t kInside = kOpen - 1;
constexpr int kGenerationShift = 17;
// About 100 us of pausing: longer than the gaps within a step, shorter than anyone would notice.
constexpr int kSpins = 2000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) : ranges_(static_cast<size_t>(std::max(1, threads))) {
  try {
    for (size_t i = 1; i < ranges_.size(); ++i) workers_.emplace_back([this, i] { Work(i); });
  } catch (const std::system_error&) {
    // The system gives no more threads (a cgroup's limit): go on with those there are.
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  state_.fetch_add(1U << kGenerationShift);  // changes the value that sleepers wait on
  state_.notify_all();
  workers_.clear();
}

void ThreadPool::RunItems(size_t thread) noexcept {
  try {
    for (size_t k = 0; k < ranges_.size(); ++k) {
      Range& range = ranges_[(thread + k) % ranges_.size()];
      for (int64_t i = range.next.fetch_add(1, std::memory_order_relaxed); i < range.end;
           i = range.next.fetch_add(1, std::memory_order_relaxed)) {
        call_(context_, i);
      }
    }
  } catch (const std::bad_alloc&) {
    out_of_memory_.store(true, std::memory_order_relaxed);
  }
}

void ThreadPool::Run(int64_t items, Call call, const void* context) {
  call_ = call;
  context_ = context;
  const auto threads = static_cast<int64_t>(ranges_.size());
  for (int64_t t = 0; t < threads; ++t) {
    Range& range = ranges_[static_cast<size_t>(t)];
    range.next.store(items * t / threads, std::memory_order_relaxed);
    range.end = items * (t + 1) / threads;
  }
  const uint32_t generation = (state_.load(std::memory_order_relaxed) >> kGenerationShift) + 1;
  state_.store((generation << kGenerationShift) | kOpen);
  if (sleepers_.load() > 0) state_.notify_all();
  RunItems(0);
  // Close, then wait for those who got in.
  for (uint32_t state = state_.fetch_and(~kOpen) & ~kOpen; (state & kInside) != 0;
       state = state_.load(std::memory_order_acquire)) {
    Pause();
  }
  if (out_of_memory_.exchange(false, std::memory_order_relaxed)) throw std::bad_alloc();
}

bool ThreadPool::Join(uint32_t* last_generation) {
  uint32_t state = state_.load(std::memory_order_acquire);
  while ((state & kOpen) != 0 && (state >> kGenerationShift) != *last_generation) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) {
      *last_generation = state >> kGenerationShift;
      return true;
    }
  }
  return false;
}

void ThreadPool::Work(size_t thread) {
  uint32_t last_generation = 0;
  int idle = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    if (Join(&last_generation)) {
      RunItems(thread);
      state_.fetch_sub(1, std::memory_order_release);
      idle = 0;
    } else if (++idle < kSpins) {
      Pause();
    } else {
      sleepers_.fetch_add(1);
      const uint32_t state = state_.load();
      const bool missed = (state & kOpen) != 0 && (state >> kGenerationShift) != last_generation;
      if (!missed && !stop_.load()) state_.wait(state);
      sleepers_.fetch_sub(1);
      idle = 0;
    }
  }
}

}  // namespace sluice

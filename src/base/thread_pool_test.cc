#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <thread>
#include <vector>

namespace sluice {
namespace {

TEST(ThreadPoolTest, RunsEveryItemOnceInManyLoops) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    std::vector<int> counts(97);
    for (int loop = 0; loop < 3000; ++loop) {
      pool.ParallelFor(static_cast<int64_t>(counts.size()),
                       [&](int64_t i) { ++counts[static_cast<size_t>(i)]; });
    }
    for (const int count : counts) EXPECT_EQ(count, 3000);
  }
}

TEST(ThreadPoolTest, WakesWorkersThatSleep) {
  ThreadPool pool(3);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // long past the spinning
  // Both items can only be under way at once if a sleeper woke up to take one of them.
  std::atomic<int> inside{0};
  pool.ParallelFor(2, [&](int64_t) {
    ++inside;
    while (inside.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(inside.load(), 2);
}

TEST(ThreadPoolTest, ShortMemoryIsToldToTheCaller) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 100; ++round) {
      EXPECT_THROW(pool.ParallelFor(50,
                                    [&](int64_t i) {
                                      if (i % 17 == round % 17) throw std::bad_alloc();
                                    }),
                   std::bad_alloc);
      std::atomic<int> done{0};
      pool.ParallelFor(50, [&](int64_t) { ++done; });
      EXPECT_EQ(done.load(), 50);
    }
  }
}

TEST(ThreadPoolTest, NothingToDoIsFine) {
  ThreadPool pool(2);
  pool.ParallelFor(0, [](int64_t) { FAIL(); });
}

}  // namespace
}  // namespace sluice

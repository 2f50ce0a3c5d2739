#include "machine/memory_speed.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/stopwatch.h"

namespace sluice {
namespace {

// Of each thread: some 5 ms.
constexpr uint64_t kWindowBytes = 64U << 20;

uint64_t Sum(const std::byte* from, size_t bytes) {
  constexpr size_t kSums = 16;  // independent, so that no add waits for another
  const auto* words = reinterpret_cast<const uint64_t*>(from);
  uint64_t sums[kSums] = {};
  for (size_t i = 0; i + kSums <= bytes / sizeof(uint64_t); i += kSums) {
    for (size_t j = 0; j < kSums; ++j) sums[j] += words[i + j];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all += sum;
  return all;
}

}  // namespace

Result<Rate> MeasureMemoryRead(PageKind pages, int threads, uint64_t bytes, double seconds) {
  SLUICE_TRY_ASSIGN(const PageBuffer buffer, PageBuffer::Allocate(bytes, "measuring memory"));
  if (pages == PageKind::kSmall) madvise(buffer.data(), bytes, MADV_NOHUGEPAGE);
  const uint64_t part = bytes / static_cast<uint64_t>(threads) / 4096 * 4096;
  std::atomic<uint64_t> sink{0};  // keeps the sums from being optimised away
  const auto together = [&](const auto& work) {
    std::vector<std::jthread> helpers;
    for (int t = 1; t < threads; ++t) helpers.emplace_back([&work, t] { work(t); });
    work(0);
  };
  const auto at = [&](int t) { return buffer.data() + static_cast<uint64_t>(t) * part; };
  together([&](int t) { std::memset(at(t), 1, part); });
  // Windows short enough that some are not interrupted, one after the other through all of the
  // memory, so that no window finds in a cache what the one before has read.
  const uint64_t piece = std::min(part, kWindowBytes);
  uint64_t offset = 0;
  std::vector<double> rates;
  const SteadyClock::time_point begin = SteadyClock::now();
  do {
    const SteadyClock::time_point window = SteadyClock::now();
    together([&](int t) { sink += Sum(at(t) + offset, piece); });
    rates.push_back(static_cast<double>(piece * static_cast<uint64_t>(threads)) /
                    SecondsSince(window));
    offset = offset + 2 * piece <= part ? offset + piece : 0;
  } while (SecondsSince(begin) < seconds);
  std::ranges::sort(rates);
  return Rate{.best = rates.back(), .median = rates[rates.size() / 2]};
}

}  // namespace sluice

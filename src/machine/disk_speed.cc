#include "machine/disk_speed.h"

#include <algorithm>
#include <array>
#include <memory>
#include <random>

#include "base/memory.h"
#include "base/stopwatch.h"

namespace sluice {

Result<DiskRate> MeasureDirectRead(const File& file, uint64_t request_bytes, int depth,
                                   double seconds, const std::function<void(double)>& each_second) {
  const uint64_t stride = request_bytes + kAlignedExtentSlack;
  SLUICE_TRY_ASSIGN(
      const PageBuffer buffer,
      PageBuffer::Allocate(stride * static_cast<uint64_t>(depth), "measuring a disk"));
  SLUICE_TRY_ASSIGN(const std::unique_ptr<ReadQueue> queue, ReadQueue::Create(depth));
  std::mt19937_64 random(1);
  const uint64_t places = (file.bytes() - request_bytes) / kDirectAlignment;
  const auto start = [&](uint64_t slot) {
    queue->Submit({.file = &file,
                   .offset = random() % places * kDirectAlignment,
                   .bytes = request_bytes,
                   .buffer = buffer.data() + slot * stride,
                   .tag = slot});
  };
  const SteadyClock::time_point begin = SteadyClock::now();
  for (int slot = 0; slot < depth; ++slot) start(static_cast<uint64_t>(slot));
  int under_way = depth;
  uint64_t bytes = 0;
  uint64_t of_second = 0;
  int second = 0;
  DiskRate rate;
  Status failure;
  std::array<ReadCompletion, 64> completions;
  while (under_way > 0) {
    const size_t count = queue->Wait(completions);
    const double now = SecondsSince(begin);
    for (size_t i = 0; i < count; ++i) {
      --under_way;
      if (!completions[i].status.ok()) failure = completions[i].status;
      bytes += request_bytes;
      of_second += request_bytes;
      if (!failure.ok() || now > seconds) continue;
      start(completions[i].tag);
      ++under_way;
    }
    if (now < second + 1) continue;
    second = static_cast<int>(now);
    const auto moved = static_cast<double>(of_second);
    rate.worst_second = rate.worst_second == 0 ? moved : std::min(rate.worst_second, moved);
    if (each_second) each_second(now);
    of_second = 0;
  }
  if (!failure.ok()) return failure;
  rate.bytes_per_s = static_cast<double>(bytes) / SecondsSince(begin);
  return rate;
}

}  // namespace sluice

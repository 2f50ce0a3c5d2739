#include "plan/probe.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/memory.h"

namespace sluice {
namespace {

// Experts in flight: as many as the store keeps with the kernel (twelve reads of three per expert).
constexpr size_t kInFlight = 4;
constexpr int kReadDepth = 12;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Result<double> ReadSpeed(const Model& model, double seconds) {
  const std::span<const ExpertExtent> experts = model.experts.extents();
  const uint64_t room = model.experts.largest_bytes() + 6 * kDirectAlignment;
  const uint64_t stride = (room + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
  SLUICE_TRY_ASSIGN(const PageBuffer buffer,
                    PageBuffer::Allocate(kInFlight * stride, "the probe of the disk"));
  SLUICE_TRY_ASSIGN(const std::unique_ptr<ReadQueue> queue, ReadQueue::Create(kReadDepth));
  std::mt19937 random(1);
  std::array<int, kInFlight> left = {};
  uint64_t bytes = 0;
  const auto start = [&](size_t slot) {
    const ExpertExtent& expert = experts[random() % experts.size()];
    std::byte* to = buffer.data() + slot * stride;
    for (const TensorExtent* part : {&expert.gate, &expert.up, &expert.down}) {
      const AlignedExtent extent = ReadQueue::Extent(*part->file, part->offset, part->bytes);
      queue->Submit({.file = part->file,
                     .offset = part->offset,
                     .bytes = part->bytes,
                     .buffer = to,
                     .tag = slot});
      to += extent.bytes;
      bytes += extent.bytes;
      ++left[slot];
    }
  };
  const double begin = Now();
  for (size_t slot = 0; slot < kInFlight; ++slot) start(slot);
  int under_way = static_cast<int>(3 * kInFlight);
  Status failure;
  std::array<ReadCompletion, 16> completions;
  while (under_way > 0) {
    const size_t count = queue->Wait(completions);
    for (size_t i = 0; i < count; ++i) {
      --under_way;
      if (!completions[i].status.ok()) failure = completions[i].status;
      if (--left[completions[i].tag] > 0 || !failure.ok() || Now() - begin > seconds) continue;
      start(completions[i].tag);
      under_way += 3;
    }
  }
  if (!failure.ok()) return failure;
  return static_cast<double>(bytes) / (Now() - begin);
}

Result<double> MemorySpeed(double seconds) {
  constexpr uint64_t kBytes = 64U << 20;  // more than a core's share of the caches
  SLUICE_TRY_ASSIGN(const PageBuffer buffer, PageBuffer::Allocate(kBytes, "the probe of memory"));
  std::memset(buffer.data(), 1, kBytes);
  const auto* words = reinterpret_cast<const uint64_t*>(buffer.data());
  uint64_t bytes = 0;
  uint64_t sums[4] = {};
  const double begin = Now();
  while (Now() - begin < seconds) {
    for (size_t i = 0; i < kBytes / 8; i += 4) {
      for (size_t j = 0; j < 4; ++j) sums[j] += words[i + j];
    }
    bytes += kBytes;
  }
  const double elapsed = Now() - begin;
  // Keeps the sums from being optimised away.
  volatile uint64_t sink = sums[0] + sums[1] + sums[2] + sums[3];
  (void)sink;
  return static_cast<double>(bytes) / elapsed;
}

}  // namespace

Result<MachineSpeed> ProbeMachine(const Model& model, double seconds) {
  MachineSpeed speed;
  SLUICE_TRY_ASSIGN(speed.read_bytes_per_second, ReadSpeed(model, seconds));
  SLUICE_TRY_ASSIGN(speed.memory_bytes_per_second, MemorySpeed(seconds / 2));
  return speed;
}

}  // namespace sluice

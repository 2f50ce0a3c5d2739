#include "store/expert_store.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"

namespace sluice {
namespace {

// A segment's room in a slot: the bytes read for it start at most one alignment unit early and end
// at most one late.
uint64_t SegmentRoom(uint64_t bytes) {
  return (bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment + kDirectAlignment;
}

uint64_t MatrixBytes(const TensorExtent& extent) {
  return static_cast<uint64_t>(extent.rows * Spec(extent.format).row_bytes(extent.cols));
}

// The rows of a matrix that lies transposed, in memory of this thread. Elements of a float format.
template <typename T>
const std::byte* Turn(const TensorExtent& extent, const std::byte* from) {
  thread_local std::vector<T> turned;
  if (turned.size() < static_cast<size_t>(extent.rows * extent.cols)) {
    turned.resize(static_cast<size_t>(extent.rows * extent.cols));
  }
  const int64_t stored = extent.rows * extent.order.step;  // numbers of a stored column
  for (int64_t r = 0; r < extent.rows; ++r) {
    const std::byte* number =
        from + (extent.order.first + r * extent.order.step) * static_cast<int64_t>(sizeof(T));
    for (int64_t c = 0; c < extent.cols; ++c) {
      std::memcpy(&turned[static_cast<size_t>(r * extent.cols + c)],
                  number + c * stored * static_cast<int64_t>(sizeof(T)), sizeof(T));
    }
  }
  return reinterpret_cast<const std::byte*>(turned.data());
}

const std::byte* ToRows(const TensorExtent& extent, const std::byte* from) {
  return Spec(extent.format).block_bytes == 4 ? Turn<uint32_t>(extent, from)
                                              : Turn<uint16_t>(extent, from);
}

// How many reads of the common size are `bytes` in all.
int ReadDepth(const ExpertCatalog& experts, uint64_t bytes) {
  const ExpertExtent& expert = experts.extents()[0];
  const uint64_t read = (expert.gate.bytes + expert.up.bytes + expert.down.bytes) / 3;
  return static_cast<int>(std::clamp<uint64_t>(bytes / std::max<uint64_t>(read, 1), 2, 64));
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

// Of the read of segment `segment` into slot `slot`.
uint64_t ExpertStore::TagOf(int32_t slot, size_t segment) {
  return static_cast<uint64_t>(slot) * kSegments + segment;
}

std::vector<ExpertStore::Segment> ExpertStore::Segments(const ExpertExtent& extent) {
  std::vector<Segment> segments;
  uint64_t offset = 0;
  for (const TensorExtent* part : {&extent.gate, &extent.up, &extent.down}) {
    segments.push_back({.extent = part, .offset = offset});
    offset += SegmentRoom(part->bytes);
  }
  return segments;
}

uint64_t ExpertStore::SlotBytes(const ExpertCatalog& experts) {
  uint64_t largest = 0;
  for (const ExpertExtent& extent : experts.extents()) {
    largest = std::max(largest, SegmentRoom(extent.gate.bytes) + SegmentRoom(extent.up.bytes) +
                                    SegmentRoom(extent.down.bytes));
  }
  return largest;
}

uint64_t ExpertStore::ScratchBytes(const ExpertCatalog& experts) {
  uint64_t largest = 0;
  for (const ExpertExtent& expert : experts.extents()) {
    for (const TensorExtent* extent : {&expert.gate, &expert.up, &expert.down}) {
      if (extent->order.kind != MatrixOrder::kRows) {
        largest = std::max(largest, MatrixBytes(*extent));
      }
    }
  }
  return largest;
}

Result<std::unique_ptr<ExpertStore>> ExpertStore::Create(const Model& model, const Device& device,
                                                         ThreadPool* pool, DecisionCore* core,
                                                         const Options& options) {
  std::unique_ptr<ExpertStore> store(new ExpertStore(model, device, pool, core));
  const auto slots = static_cast<uint64_t>(core->slots());
  store->slot_bytes_ = SlotBytes(model.experts);
  SLUICE_TRY_ASSIGN(store->arena_,
                    PageBuffer::Allocate(slots * store->slot_bytes_,
                                         "the expert slots of " + model.checkpoint.path));
  store->slots_.resize(slots);
  SLUICE_TRY_ASSIGN(
      store->queue_,
      ReadQueue::Create(ReadDepth(model.experts, options.bytes_in_flight), options.backend));
  store->Prefetch(core->initial());
  return store;
}

ExpertStore::~ExpertStore() = default;

void ExpertStore::Begin(const LayerRouting& routing, std::span<const ExpertGroup> groups) {
  SLUICE_CHECK(entries_.empty());
  const Dispatch& dispatch = core_.Begin(routing);
  SLUICE_CHECK(core_.demands().size() == groups.size());
  stats_.experts_used += groups.size();
  for (const Placed& placed : dispatch.experts) {
    const auto group = static_cast<size_t>(placed.demand);
    entries_.push_back({.id = {.layer = routing.layer, .expert = groups[group].expert},
                        .group = group,
                        .slot = placed.slot,
                        .after = placed.after,
                        .hit = placed.hit});
  }
  StartUnblocked();
  Prefetch(dispatch.prefetches);
}

// The slot is this expert's from now on. Reads for the one before it are dropped where they have
// not started, and waited for where they have: the kernel writes into the slot until then.
void ExpertStore::Assign(int32_t index, ExpertId id, bool speculative) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (slot.content == Content::kQueued) {
    std::erase(speculation_, index);
    ++stats_.prefetches_cancelled;
  }
  if (slot.content == Content::kFilling) {
    const std::vector<Segment> segments = Segments(model_.experts.Find(slot.id));
    size_t dropped = 0;
    for (size_t s = 0; s < kSegments; ++s) {
      if (queue_->Cancel(TagOf(index, s)) == 0) continue;
      const TensorExtent& extent = *segments[s].extent;
      stats_.bytes_read -= ReadQueue::Extent(*extent.file, extent.offset, extent.bytes).bytes;
      ++dropped;
    }
    if (slot.speculative) {
      --speculating_;
      if (dropped == kSegments || slot.stale) ++stats_.prefetches_cancelled;
    }
    slot.reads_left -= static_cast<int>(dropped);
    in_flight_ -= static_cast<int64_t>(dropped);
    if (in_flight_ == 0 && dropped > 0) stats_.read_seconds += Now() - busy_since_;
  }
  slot.stale = slot.reads_left > 0;
  slot.id = id;
  slot.speculative = speculative;
  slot.failure = {};
  slot.content = Content::kEmpty;
  slot.parts = {};
}

void ExpertStore::StartReads(int32_t index) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  slot.content = Content::kFilling;
  slot.failure = {};
  slot.parts = {};
  if (slot.speculative) ++speculating_;
  if (slot.stale) return;  // Collect() starts them when the slot is quiet
  slot.reads_left = static_cast<int>(kSegments);
  const std::vector<Segment> segments = Segments(model_.experts.Find(slot.id));
  for (size_t s = 0; s < kSegments; ++s) {
    const TensorExtent& extent = *segments[s].extent;
    if (in_flight_++ == 0) busy_since_ = Now();
    stats_.bytes_read += ReadQueue::Extent(*extent.file, extent.offset, extent.bytes).bytes;
    queue_->Submit({.file = extent.file,
                    .offset = extent.offset,
                    .bytes = extent.bytes,
                    .buffer = SlotAt(index) + segments[s].offset,
                    .tag = TagOf(index, s),
                    .urgency = slot.speculative ? Urgency::kSpeculative : Urgency::kDemand});
  }
}

// The open call needs what the slot holds or is about to hold.
void ExpertStore::Demand(int32_t index) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  const bool failed = slot.content == Content::kFilled && !slot.failure.ok();
  if (slot.content == Content::kFilling && slot.speculative) {
    --speculating_;
    for (size_t s = 0; s < kSegments; ++s) queue_->Promote(TagOf(index, s));
  }
  slot.speculative = false;
  if (slot.content == Content::kQueued) std::erase(speculation_, index);
  // A guess that could not be read is read again, now that somebody wants to know why.
  if (slot.content == Content::kQueued || slot.content == Content::kEmpty || failed) {
    StartReads(index);
  }
}

void ExpertStore::StartUnblocked() {
  for (Entry& entry : entries_) {
    if (entry.progress != Progress::kWaiting) continue;
    const bool blocked =
        entry.after >= 0 && entries_[static_cast<size_t>(entry.after)].progress != Progress::kDone;
    if (blocked) continue;
    entry.progress = Progress::kStarted;
    if (!entry.hit) Assign(entry.slot, entry.id, /*speculative=*/false);
    Demand(entry.slot);
  }
}

void ExpertStore::Prefetch(std::span<const sluice::Prefetch> prefetches) {
  for (const sluice::Prefetch& prefetch : prefetches) {
    Assign(prefetch.slot, prefetch.id, /*speculative=*/true);
    slots_[static_cast<size_t>(prefetch.slot)].content = Content::kQueued;
    speculation_.push_back(prefetch.slot);
  }
  Speculate();
}

void ExpertStore::Speculate() {
  while (!speculation_.empty() && speculating_ < core_.max_inflight()) {
    const int32_t slot = speculation_.front();
    speculation_.pop_front();
    StartReads(slot);
  }
}

void ExpertStore::OnCompletion(const ReadCompletion& completion) {
  const auto index = static_cast<int32_t>(completion.tag / kSegments);
  Slot& slot = slots_[static_cast<size_t>(index)];
  --slot.reads_left;
  if (slot.stale) {
    slot.stale = slot.reads_left > 0;
    if (slot.stale || slot.content != Content::kFilling) return;
    if (slot.speculative) --speculating_;  // StartReads counts it again
    StartReads(index);
    return;
  }
  if (!completion.status.ok()) slot.failure = completion.status;
  slot.parts[completion.tag % kSegments] = Part::kArrived;
  if (slot.reads_left > 0) return;
  slot.content = Content::kFilled;
  if (slot.speculative) --speculating_;
}

void ExpertStore::Collect(bool block) {
  std::array<ReadCompletion, 64> completions;
  while (in_flight_ > 0) {
    size_t count = queue_->Poll(completions);
    if (count == 0 && block) {
      const double begin = Now();
      count = queue_->Wait(completions);
      stats_.stall_seconds += Now() - begin;
    }
    if (count == 0) break;
    block = false;
    in_flight_ -= static_cast<int64_t>(count);
    if (in_flight_ == 0) stats_.read_seconds += Now() - busy_since_;
    for (size_t i = 0; i < count; ++i) OnCompletion(completions[i]);
  }
  Speculate();
}

// Matrix by matrix: those of an expert that has not arrived in whole are laid out meanwhile.
void ExpertStore::PackArrived() {
  struct Job {
    const TensorExtent* extent;
    const std::byte* from;
    std::byte* to;
  };
  std::vector<Job> jobs;
  for (const Entry& entry : entries_) {
    Slot& slot = SlotOf(entry);
    if (entry.progress != Progress::kStarted || !slot.failure.ok()) continue;
    const std::vector<Segment> segments = Segments(model_.experts.Find(entry.id));
    for (size_t s = 0; s < kSegments; ++s) {
      if (slot.parts[s] != Part::kArrived) continue;
      std::byte* to = SlotAt(entry.slot) + segments[s].offset;
      const TensorExtent& extent = *segments[s].extent;
      const uint64_t skip = ReadQueue::Extent(*extent.file, extent.offset, extent.bytes).skip;
      jobs.push_back({.extent = &extent, .from = to + skip, .to = to});
      slot.parts[s] = Part::kPacked;
    }
    if (slot.content == Content::kFilled) slot.content = Content::kReady;
  }
  pool_.ParallelFor(static_cast<int64_t>(jobs.size()), [&](int64_t i) {
    const Job& job = jobs[static_cast<size_t>(i)];
    const TensorExtent& extent = *job.extent;
    const std::byte* from =
        extent.order.kind == MatrixOrder::kRows ? job.from : ToRows(extent, job.from);
    device_.Pack(extent.format, extent.rows, extent.cols, from, job.to);
  });
}

Status ExpertStore::FailCall(Status cause) {
  while (in_flight_ > 0) Collect(/*block=*/true);
  for (const Entry& entry : entries_) {
    const bool waits = entry.progress == Progress::kWaiting && !entry.hit;
    if (!waits && SlotOf(entry).content == Content::kReady) continue;
    core_.Forget(entry.id);
    if (!waits) Assign(entry.slot, entry.id, /*speculative=*/false);
  }
  entries_.clear();
  return cause;
}

ExpertWeights ExpertStore::WeightsOf(const Entry& entry) const {
  const std::vector<Segment> segments = Segments(model_.experts.Find(entry.id));
  const auto view = [&](const Segment& segment) {
    return WeightView{.bytes = SlotAt(entry.slot) + segment.offset,
                      .format = segment.extent->format,
                      .rows = segment.extent->rows,
                      .cols = segment.extent->cols};
  };
  return {.gate = view(segments[0]), .up = view(segments[1]), .down = view(segments[2])};
}

Result<std::span<const ReadyExpert>> ExpertStore::Next() {
  bool all_done = true;
  for (Entry& entry : entries_) {
    if (entry.progress == Progress::kTaken) entry.progress = Progress::kDone;
    all_done = all_done && entry.progress == Progress::kDone;
  }
  ready_.clear();
  if (all_done) {
    entries_.clear();
    return std::span<const ReadyExpert>();
  }
  StartUnblocked();
  for (bool block = false; ready_.empty(); block = true) {
    Collect(block);
    for (const Entry& entry : entries_) {
      const Slot& slot = SlotOf(entry);
      if (entry.progress == Progress::kStarted && !slot.failure.ok() &&
          slot.content == Content::kFilled) {
        return FailCall(slot.failure);
      }
    }
    PackArrived();
    for (Entry& entry : entries_) {
      if (entry.progress != Progress::kStarted || SlotOf(entry).content != Content::kReady) {
        continue;
      }
      entry.progress = Progress::kTaken;
      ready_.push_back({.group = entry.group, .weights = WeightsOf(entry)});
    }
  }
  return std::span<const ReadyExpert>(ready_);
}

}  // namespace sluice

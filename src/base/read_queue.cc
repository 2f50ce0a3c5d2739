// The two backends of ReadQueue: io_uring, and threads that pread where the kernel refuses it
// (seccomp in containers, old kernels). Both keep two first-in-first-out queues in front of the
// operating system, so that a demand read waits only for what the system already has.
#include <fmt/format.h>
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/file.h"

namespace sluice {
namespace {

// What becomes of a read that returned `result` bytes (or -errno) after `done` earlier ones.
enum class Progress { kComplete, kAgain, kFailed };

Status ReadError(const ReadRequest& request, int64_t result) {
  const std::string where = fmt::format("{}: read of {} bytes at {}", request.file->name(),
                                        request.bytes, request.offset);
  if (result < 0) {
    return IoError(where +
                   " failed: " + std::generic_category().message(static_cast<int>(-result)));
  }
  return IoError(where + " met the end of the file: it was shortened while in use");
}

// Adds `result` to `done`. Direct reads go on only at aligned offsets: after a ragged end from the
// last one before it, and if not even a block came, it was the file's.
Progress Advance(int64_t result, uint64_t needed, uint64_t* done) {
  if (result == -EINTR || result == -EAGAIN) return Progress::kAgain;
  if (result < 0) return Progress::kFailed;
  if (*done + static_cast<uint64_t>(result) >= needed) return Progress::kComplete;
  const uint64_t whole = static_cast<uint64_t>(result) / kDirectAlignment * kDirectAlignment;
  *done += whole;
  return whole == 0 ? Progress::kFailed : Progress::kAgain;
}

class UrgencyQueue {
 public:
  void Push(const ReadRequest& request) { Of(request.urgency).push_back(request); }
  std::optional<ReadRequest> Pop() {
    for (auto* queue : {&demand_, &speculative_}) {
      if (queue->empty()) continue;
      ReadRequest request = queue->front();
      queue->pop_front();
      return request;
    }
    return std::nullopt;
  }
  void Promote(uint64_t tag) {
    for (ReadRequest& request : speculative_) {
      if (request.tag != tag) continue;
      request.urgency = Urgency::kDemand;
      demand_.push_back(request);
    }
    Cancel(tag);
  }
  size_t Cancel(uint64_t tag) {
    return std::erase_if(speculative_, [&](const ReadRequest& r) { return r.tag == tag; });
  }

 private:
  std::deque<ReadRequest>& Of(Urgency urgency) {
    return urgency == Urgency::kDemand ? demand_ : speculative_;
  }
  std::deque<ReadRequest> demand_;
  std::deque<ReadRequest> speculative_;
};

class IoUringQueue final : public ReadQueue {
 public:
  static std::unique_ptr<ReadQueue> Create(int depth) {
    std::unique_ptr<IoUringQueue> queue(new IoUringQueue(depth));
    if (io_uring_queue_init(static_cast<unsigned>(depth), &queue->ring_, 0) != 0) {
      return nullptr;
    }
    queue->initialised_ = true;
    io_uring_probe* probe =
        io_uring_get_probe_ring(&queue->ring_);  // kernels before 5.6 lack reads
    const bool reads = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ) != 0;
    io_uring_free_probe(probe);
    return reads ? std::move(queue) : nullptr;
  }

  IoUringQueue(const IoUringQueue&) = delete;
  IoUringQueue& operator=(const IoUringQueue&) = delete;
  ~IoUringQueue() override {
    if (!initialised_) return;
    while (in_flight_ > 0) {  // the kernel still writes into the callers' buffers
      io_uring_submit_and_wait(&ring_, 1);
      io_uring_cqe* cqe = nullptr;
      while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
        io_uring_cqe_seen(&ring_, cqe);
        --in_flight_;
      }
    }
    io_uring_queue_exit(&ring_);
  }

  void Submit(const ReadRequest& request) override {
    waiting_.Push(request);
    Fill();
  }

  void Promote(uint64_t tag) override { waiting_.Promote(tag); }
  size_t Cancel(uint64_t tag) override { return waiting_.Cancel(tag); }

  size_t Poll(std::span<ReadCompletion> out) override {
    size_t n = 0;
    io_uring_cqe* cqe = nullptr;
    while (n < out.size() && io_uring_peek_cqe(&ring_, &cqe) == 0) n += Take(cqe, &out[n]);
    Fill();
    return n;
  }

  size_t Wait(std::span<ReadCompletion> out) override {
    while (true) {
      if (const size_t n = Poll(out); n > 0) return n;
      SLUICE_CHECK(in_flight_ > 0);
      // Also submits what an earlier submit could not (the kernel was short of memory for a
      // moment). After EINTR Poll finds nothing and we wait again.
      io_uring_submit_and_wait(&ring_, 1);
    }
  }

  const char* backend_name() const override { return "io_uring"; }

 private:
  struct Slot {
    ReadRequest request;
    Target target;
    uint64_t done = 0;
  };

  explicit IoUringQueue(int depth) : slots_(static_cast<size_t>(depth)) {
    for (size_t i = 0; i < slots_.size(); ++i) free_.push_back(i);
  }

  void Enqueue(size_t index) {
    Slot& slot = slots_[index];
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    SLUICE_CHECK(sqe != nullptr);               // as many entries as slots
    constexpr uint64_t kMostAtOnce = 1U << 30;  // a length has 32 bits
    io_uring_prep_read(
        sqe, slot.target.fd, slot.request.buffer + slot.done,
        static_cast<unsigned>(std::min(kMostAtOnce, slot.target.extent.bytes - slot.done)),
        slot.target.extent.begin + slot.done);
    io_uring_sqe_set_data64(sqe, index);
    ++in_flight_;
  }

  void Fill() {
    bool any = false;
    while (!free_.empty()) {
      std::optional<ReadRequest> request = waiting_.Pop();
      if (!request) break;
      const size_t index = free_.back();
      free_.pop_back();
      slots_[index] = {.request = *request, .target = Resolve(*request)};
      Enqueue(index);
      any = true;
    }
    if (any) io_uring_submit(&ring_);
  }

  // Returns 1 and fills *out when the request of `cqe` is finished.
  size_t Take(io_uring_cqe* cqe, ReadCompletion* out) {
    const size_t index = io_uring_cqe_get_data64(cqe);
    const int64_t result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    --in_flight_;
    Slot& slot = slots_[index];
    const Progress progress = Advance(result, slot.target.needed, &slot.done);
    if (progress == Progress::kAgain) {
      Enqueue(index);
      io_uring_submit(&ring_);
      return 0;
    }
    *out = {.tag = slot.request.tag,
            .status = progress == Progress::kFailed ? ReadError(slot.request, result)
                                                    : slot.request.file->CheckUnchanged()};
    free_.push_back(index);
    return 1;
  }

  io_uring ring_ = {};
  bool initialised_ = false;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  UrgencyQueue waiting_;
  int in_flight_ = 0;
};

class ThreadReadQueue final : public ReadQueue {
 public:
  explicit ThreadReadQueue(int depth) {
    // More threads than this wait for the same disk. Those that the system refuses are done
    // without.
    constexpr int kMostThreads = 16;
    try {
      for (int i = 0; i < std::min(depth, kMostThreads); ++i) {
        threads_.emplace_back([this](const std::stop_token& stop) { Serve(stop); });
      }
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;
    }
  }
  ThreadReadQueue(const ThreadReadQueue&) = delete;
  ThreadReadQueue& operator=(const ThreadReadQueue&) = delete;
  ~ThreadReadQueue() override {
    for (std::jthread& thread : threads_) thread.request_stop();
    work_.notify_all();
    threads_.clear();  // joins before the queues go
  }

  void Submit(const ReadRequest& request) override {
    {
      const std::lock_guard lock(mutex_);
      waiting_.Push(request);
      ++under_way_;
    }
    work_.notify_one();
  }

  void Promote(uint64_t tag) override {
    const std::lock_guard lock(mutex_);
    waiting_.Promote(tag);
  }
  size_t Cancel(uint64_t tag) override {
    const std::lock_guard lock(mutex_);
    const size_t dropped = waiting_.Cancel(tag);
    under_way_ -= dropped;
    return dropped;
  }

  size_t Poll(std::span<ReadCompletion> out) override {
    const std::lock_guard lock(mutex_);
    return Collect(out);
  }

  size_t Wait(std::span<ReadCompletion> out) override {
    std::unique_lock lock(mutex_);
    SLUICE_CHECK(under_way_ > 0);
    arrived_.wait(lock, [this] { return !finished_.empty(); });
    return Collect(out);
  }

  const char* backend_name() const override { return "pread threads"; }

 private:
  void Serve(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (true) {
      std::optional<ReadRequest> request;
      work_.wait(lock, stop, [&] { return (request = waiting_.Pop()).has_value(); });
      if (!request || stop.stop_requested()) return;
      lock.unlock();
      Status status = Read(*request);
      lock.lock();
      finished_.push_back({.tag = request->tag, .status = std::move(status)});
      arrived_.notify_one();
    }
  }

  static Status Read(const ReadRequest& request) {
    const Target target = Resolve(request);
    uint64_t done = 0;
    while (true) {
      const ssize_t n = pread(target.fd, request.buffer + done, target.extent.bytes - done,
                              static_cast<off_t>(target.extent.begin + done));
      const int64_t result = n < 0 ? -static_cast<int64_t>(errno) : n;
      switch (Advance(result, target.needed, &done)) {
        case Progress::kComplete:
          return request.file->CheckUnchanged();
        case Progress::kFailed:
          return ReadError(request, result);
        case Progress::kAgain:
          break;
      }
    }
  }

  size_t Collect(std::span<ReadCompletion> out) {
    const size_t n = std::min(out.size(), finished_.size());
    for (size_t i = 0; i < n; ++i) {
      out[i] = std::move(finished_.front());
      finished_.pop_front();
    }
    under_way_ -= n;
    return n;
  }

  std::mutex mutex_;  // guards everything below but threads_
  std::condition_variable_any work_;
  std::condition_variable_any arrived_;
  UrgencyQueue waiting_;
  std::deque<ReadCompletion> finished_;
  size_t under_way_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace

Result<std::unique_ptr<ReadQueue>> ReadQueue::Create(int depth, Backend backend) {
  SLUICE_CHECK(depth >= 1);
  if (backend != Backend::kThreads) {
    if (std::unique_ptr<ReadQueue> queue = IoUringQueue::Create(depth)) return queue;
    if (backend == Backend::kIoUring) return UnsupportedError("the kernel refuses io_uring");
  }
  return std::unique_ptr<ReadQueue>(std::make_unique<ThreadReadQueue>(depth));
}

}  // namespace sluice

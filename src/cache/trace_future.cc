#include "cache/trace_future.h"

namespace sluice {

TraceFuture::TraceFuture(CacheShape shape, std::span<const TraceCall> calls,
                         std::span<const int32_t> experts, int32_t top_k)
    : end_(shape.size()), upcoming_(shape.size()) {
  // Twice the same walk: the first counts each key's uses, the second writes them.
  std::vector<uint64_t> last_call(shape.size(), kNever);
  const auto for_each_use = [&](auto use) {
    last_call.assign(last_call.size(), kNever);
    for (uint64_t call = 0; call < calls.size(); ++call) {
      const TraceCall& c = calls[call];
      const auto rows = experts.subspan(c.first_row * static_cast<size_t>(top_k),
                                        static_cast<size_t>(c.tokens) * static_cast<size_t>(top_k));
      for (const int32_t expert : rows) {
        const size_t key = shape.Index({.layer = c.layer, .expert = expert});
        if (last_call[key] == call) continue;
        last_call[key] = call;
        use(key, static_cast<uint32_t>(call));
      }
    }
  };
  for_each_use([&](size_t key, uint32_t) { ++end_[key]; });
  size_t total = 0;
  for (size_t key = 0; key < end_.size(); ++key) {
    upcoming_[key] = total;
    total += end_[key];
    end_[key] = upcoming_[key];
  }
  uses_.resize(total);
  for_each_use([&](size_t key, uint32_t call) { uses_[end_[key]++] = call; });
}

uint64_t TraceFuture::NextUse(ExpertKey key, uint64_t call) const {
  size_t& at = upcoming_[static_cast<size_t>(key)];
  const size_t end = end_[static_cast<size_t>(key)];
  while (at < end && uses_[at] <= call) ++at;
  return at < end ? uses_[at] : kNever;
}

}  // namespace sluice

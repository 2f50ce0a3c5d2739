#include "plan/auto_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_size.h"

namespace sluice {
namespace {

// What deciding costs per layer call (sim_bench): worth it only where a miss costs much more.
constexpr double kLearnedSeconds = 10e-6;
constexpr double kMemorySeconds = 4e-6;
constexpr double kWorthIt = 20;

struct Reasons {
  double miss_seconds = 0;   // one expert over the disk
  double layer_seconds = 0;  // computing one layer of one token
  double slots_per_layer = 0;
};

std::string Cache(const AutoFacts& facts, const Reasons& reasons) {
  const double ms = reasons.miss_seconds * 1e3;
  if (facts.slots >= facts.layers * facts.experts) {
    return "        # Every expert fits: each is read once, and nothing ever has to leave.\n"
           "        eviction = lru\n";
  }
  if (reasons.slots_per_layer < 2) {
    return fmt::format(
        "        # Fewer than two slots per layer: hardly anything stays from one token to the "
        "next,\n"
        "        # so all layers share what there is. More memory helps more than any policy:\n"
        "        # {} more would give every layer {} slots.\n"
        "        scope = shared\n"
        "        eviction = lfu\n",
        FormatByteSize(facts.expert_bytes *
                       static_cast<uint64_t>(2 * facts.top_k * facts.layers - facts.slots)),
        2 * facts.top_k);
  }
  if (reasons.miss_seconds > kWorthIt * kLearnedSeconds) {
    return fmt::format(
        "        # A miss costs {:.2f} ms, deciding well 0.01 ms: the best rule there is.\n"
        "        eviction = learned\n",
        ms);
  }
  if (reasons.miss_seconds > kWorthIt * kMemorySeconds) {
    return fmt::format(
        "        # A miss costs {:.2f} ms: worth a rule that takes 0.003 ms to decide.\n"
        "        eviction = memory\n",
        ms);
  }
  return fmt::format(
      "        # A miss costs only {:.3f} ms: a rule that decides in well under a microsecond.\n"
      "        eviction = gap\n",
      ms);
}

std::string PrefetchBlock(const AutoFacts& facts, const Reasons& reasons) {
  if (facts.slots >= facts.layers * facts.experts || reasons.slots_per_layer < 2) return "";
  const double idle = reasons.layer_seconds / reasons.miss_seconds;
  if (idle < 0.05) {
    return fmt::format(
        "    # No prefetch: while one layer computes ({:.2f} ms) the disk carries {:.2f} of an "
        "expert;\n"
        "    # what is demanded keeps it busy.\n",
        reasons.layer_seconds * 1e3, idle);
  }
  // A wrong guess delays the demands behind it: it pays from 1 - idle / transfer on.
  const double confidence = std::clamp(1 - idle, 0.5, 0.9);
  return fmt::format(
      "    prefetch decode {{\n"
      "        # While one layer computes ({:.2f} ms) the disk carries {:.2f} experts: a guess "
      "pays\n"
      "        # if it is right with a probability of {:.2f} or more, and only when the disk is "
      "idle.\n"
      "        strategy = learned + similar\n"
      "        min_confidence = {:.2f}\n"
      "        budget = {} | idle\n"
      "        insert = staging\n"
      "    }}\n",
      reasons.layer_seconds * 1e3, idle, confidence, confidence,
      std::max<int64_t>(2, facts.top_k / 2));
}

}  // namespace

std::string MakeAutoPolicy(const AutoFacts& facts) {
  Reasons reasons;
  reasons.miss_seconds =
      static_cast<double>(facts.expert_bytes) / facts.speed.read_bytes_per_second;
  reasons.layer_seconds =
      static_cast<double>(facts.dense_layer_bytes +
                          static_cast<uint64_t>(facts.top_k) * facts.expert_bytes) /
      facts.speed.memory_bytes_per_second;
  reasons.slots_per_layer = static_cast<double>(facts.slots) / static_cast<double>(facts.layers);
  return fmt::format(
      "version 1.0\n"
      "# For {}: {} layers of {} experts, top-{}, {} each.\n"
      "# Of a budget of {} experts get {} of {} slots ({:.1f} per layer).\n"
      "# Measured: experts read at {:.2f} GB/s, memory at {:.1f} GB/s per core.\n"
      "policy auto {{\n"
      "    cache {{\n"
      "        capacity = auto\n"
      "{}"
      "    }}\n"
      "{}"
      "}}\n",
      facts.model, facts.layers, facts.experts, facts.top_k, FormatByteSize(facts.expert_bytes),
      FormatByteSize(facts.budget_bytes), std::min(facts.slots, facts.layers * facts.experts),
      facts.layers * facts.experts, reasons.slots_per_layer,
      facts.speed.read_bytes_per_second / 1e9, facts.speed.memory_bytes_per_second / 1e9,
      Cache(facts, reasons), PrefetchBlock(facts, reasons));
}

}  // namespace sluice

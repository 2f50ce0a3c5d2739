// One function per block. Rules that need the model are silent without one.
#include "policy/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// A layer's router applied that far back says little; nobody has measured more.
constexpr int32_t kFurthestGate = 4;

class Checker {
 public:
  Checker(const CompiledPolicy& policy, const CompileOptions& options, const FoundRule& found)
      : spec_(policy.spec), cache_(policy.spec.cache), options_(options), found_(found) {
    slots_ = SlotsOf(cache_.capacity, cache_.scope, options);
  }

  void Run() {
    CheckCapacity();
    CheckCache();
    Pins();
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
      Prefetch(phase);
      Schedule(phase);
    }
    PerLayer();
    Tiers();
  }

 private:
  void Found(std::string_view code, std::string_view parameter, std::string message,
             std::string remedy = "") {
    found_(code, "cache." + std::string(parameter), std::move(message), std::move(remedy));
  }
  void FoundIn(Phase phase, BlockKind block, std::string_view code, std::string_view parameter,
               std::string message, std::string remedy = "") {
    found_(code, ParameterKey(block, parameter, phase), std::move(message), std::move(remedy));
  }

  void CheckCapacity() {
    const Capacity& capacity = cache_.capacity;
    if (options_.shape && capacity.kind == Capacity::Kind::kSlots) {
      const bool layer = cache_.scope == Scope::kLayer;
      const auto most =
          static_cast<double>(layer ? options_.shape->experts : options_.shape->all_experts());
      if (capacity.amount > most) {
        Found("E301", "capacity",
              fmt::format("{} slots for {} experts{}", capacity.amount, most,
                          layer ? " per layer" : ""),
              fmt::format("write at most {}, or 100%", most));
      }
    }
    if (slots_ && *slots_ < 1) {
      Found("E315", "capacity", "not even one expert fits",
            fmt::format("one expert of this model needs {} bytes", options_.shape->expert_bytes));
    }
    const bool fetches = spec_.ScheduleOf(Phase::kDecode).mode == Mode::kFetch;
    const bool counted = capacity.kind != Capacity::Kind::kShare;
    if (options_.shape && slots_ && counted && cache_.scope == Scope::kLayer && fetches &&
        *slots_ >= 1 && *slots_ < options_.shape->top_k) {
      Found("E308", "capacity",
            fmt::format("{:.0f} slots, but each token needs {} experts of a layer", *slots_,
                        options_.shape->top_k),
            fmt::format("write at least {}, or mode = in_place", options_.shape->top_k));
    }
    if (!cache_.eviction.second.empty() && slots_ && *slots_ < 2) {
      Found("E313", "capacity", "two levels need two slots", "write capacity = 2 or more");
    }
  }

  void CheckCache() {
    if (cache_.init == Init::kProfile && cache_.profile.empty()) {
      Found("E309", "init", "init = profile, but no profile is named",
            "add profile = \"file.csv\" with lines of layer,expert,count");
    }
    const bool never = cache_.admission == Admission::kNever;
    if (never && cache_.init == Init::kEmpty && cache_.pins.empty()) {
      Found("E310", "admission", "nothing ever enters this cache, and it begins empty",
            "add init = first, init = profile, or pins");
    }
    if (cache_.eviction.primary == "none" && !never) {
      Found("E311", "eviction", "with eviction = none a full cache admits nobody",
            "add admission = never, or name an eviction rule");
    }
    if (cache_.eviction.primary == "belady" && options_.use == PolicyUse::kEngine) {
      Found("E312", "eviction", "belady looks into the future, which only a replay knows",
            "use it with sluice replay, or name a rule that can run");
    }
    if (options_.shape && cache_.protect >= options_.shape->layers) {
      Found("E314", "protect", fmt::format("the model has {} layers", options_.shape->layers),
            "protect fewer layers than there are");
    }
    if (cache_.memory_threshold > 0 && cache_.memory_headroom > cache_.memory_threshold) {
      Found("E702", "memory_headroom",
            fmt::format("{} is above memory_threshold = {}", cache_.memory_headroom,
                        cache_.memory_threshold),
            "give back down to less than what set it off");
    }
    if (cache_.backend != Backend::kPageCache) return;
    if (cache_.eviction.primary != "none") {
      Found("E605", "backend", "the kernel decides what its page cache forgets",
            "write eviction = none and admission = never, or backend = arena");
    } else if (!cache_.pins.empty() || cache_.memory_threshold > 0) {
      Found("E605", "backend", "the page cache has no pins and no memory trigger of ours",
            "leave them out, or write backend = arena");
    }
  }

  // ---- pins

  void Pins() {
    if (cache_.pins.empty()) return;
    options_.shape ? PinsOfModel(*options_.shape) : PinsOfEveryLayer();
  }

  // Without a model only pins in all layers can be counted.
  void PinsOfEveryLayer() {
    std::vector<std::pair<int32_t, int32_t>> ranges;
    for (const PinRange& pin : cache_.pins) {
      const bool every_layer = pin.layer_first == 0 && pin.layer_last == -1;
      if (every_layer && pin.expert_last >= 0)
        ranges.emplace_back(pin.expert_first, pin.expert_last);
    }
    std::ranges::sort(ranges);
    int64_t count = 0;
    int32_t covered = -1;
    for (const auto& [first, last] : ranges) {
      const int32_t begin = std::max(first, covered + 1);
      if (last >= begin) count += last - begin + 1;
      covered = std::max(covered, last);
    }
    CountPins(count);
  }
  void CountPins(int64_t count) {
    if (slots_ && static_cast<double>(count) > *slots_) {
      Found("E303", "pin", fmt::format("{} pins in {:.0f} slots", count, *slots_),
            "pin fewer experts or raise capacity");
    }
    const bool bounded = spec_.per_layer && cache_.scope == Scope::kLayer;
    if (bounded && count > spec_.per_layer->max_capacity) {
      Found("E604", "pin",
            fmt::format("{} pins in a layer of at most {} slots", count,
                        spec_.per_layer->max_capacity),
            "raise per_layer.max_capacity or pin fewer experts");
    }
  }

  void PinsOfModel(const TargetModel& shape) {
    std::vector<bool> pinned(static_cast<size_t>(shape.all_experts()));
    for (const PinRange& pin : cache_.pins) {
      // "24..*" means those that there are; a number means exactly that one.
      const bool layer_outside = pin.layer_last >= shape.layers ||
                                 (pin.layer_last >= 0 && pin.layer_first >= shape.layers);
      const bool expert_outside = pin.expert_last >= shape.experts ||
                                  (pin.expert_last >= 0 && pin.expert_first >= shape.experts);
      if (layer_outside || expert_outside) {
        Found("E316", "pin",
              fmt::format("the model has {} layers of {} experts", shape.layers, shape.experts),
              fmt::format("layers go from 0 to {}, experts from 0 to {}", shape.layers - 1,
                          shape.experts - 1));
        return;
      }
      const int32_t last_layer = pin.layer_last < 0 ? shape.layers - 1 : pin.layer_last;
      const int32_t last_expert = pin.expert_last < 0 ? shape.experts - 1 : pin.expert_last;
      for (int32_t layer = pin.layer_first; layer <= last_layer; ++layer) {
        for (int32_t expert = pin.expert_first; expert <= last_expert; ++expert) {
          pinned[static_cast<size_t>(layer) * static_cast<size_t>(shape.experts) +
                 static_cast<size_t>(expert)] = true;
        }
      }
    }
    int64_t all = 0;
    int64_t most = 0;
    for (int32_t layer = 0; layer < shape.layers; ++layer) {
      const auto begin = pinned.begin() + int64_t{layer} * shape.experts;
      const int64_t count = std::count(begin, begin + shape.experts, true);
      all += count;
      most = std::max(most, count);
    }
    CountPins(cache_.scope == Scope::kLayer ? most : all);
  }

  // ---- phases

  void Prefetch(Phase phase) {
    const PrefetchSpec& prefetch = spec_.PrefetchOf(phase);
    if (prefetch.strategies.empty()) return;
    const auto found = [&](std::string_view code, std::string_view parameter, std::string message,
                           std::string remedy) {
      FoundIn(phase, BlockKind::kPrefetch, code, parameter, std::move(message), std::move(remedy));
    };
    const auto uses = [&](std::string_view strategy) {
      return std::ranges::find(prefetch.strategies, strategy) != prefetch.strategies.end();
    };
    if (prefetch.insert != PrefetchInsert::kStaging && slots_ && prefetch.budget > *slots_) {
      found("E403", "budget",
            fmt::format("{} guesses into a cache of {:.0f}", prefetch.budget, *slots_),
            "lower budget, or write insert = staging");
    } else if (prefetch.insert == PrefetchInsert::kHot && slots_ && options_.shape &&
               prefetch.budget > *slots_ - options_.shape->top_k) {
      found("E410", "budget",
            fmt::format("{} guesses and {} experts in use are more than {:.0f} slots",
                        prefetch.budget, options_.shape->top_k, *slots_),
            "lower budget, or write insert = staging");
    }
    // The least that can be written is no mistake where there is one layer: it finds nothing there.
    if (options_.shape && prefetch.lookahead >= std::max(2, options_.shape->layers)) {
      found("E406", "lookahead", fmt::format("the model has {} layers", options_.shape->layers),
            "look ahead fewer layers than there are");
    } else if (uses("gate") && prefetch.lookahead > kFurthestGate) {
      found("E406", "lookahead", fmt::format("gate sees {} layers ahead, at most", kFurthestGate),
            fmt::format("write lookahead = {} or less", kFurthestGate));
    }
    if ((uses("predictor") || prefetch.learn == Learn::kOffline) && prefetch.table.empty()) {
      found("E407", prefetch.learn == Learn::kOffline ? "learn" : "strategy",
            "this needs a table, and none is named",
            "add table = \"file\", or write learn = online");
    }
  }

  void Schedule(Phase phase) {
    const ScheduleSpec& schedule = spec_.ScheduleOf(phase);
    const auto found = [&](std::string_view code, std::string_view parameter, std::string message,
                           std::string remedy) {
      FoundIn(phase, BlockKind::kSchedule, code, parameter, std::move(message), std::move(remedy));
    };
    if (schedule.mode == Mode::kHybrid && !schedule.overlap) {
      found("E502", "overlap", "hybrid computes on one side while it reads for the other",
            "write overlap = true");
    }
    if (options_.shape && schedule.defer >= options_.shape->top_k && schedule.defer > 0) {
      found("E505", "defer",
            fmt::format("a token has {} experts, and one must be in time", options_.shape->top_k),
            "defer fewer experts than top_k");
    }
    if (schedule.lossy) return;
    const bool fewer = schedule.min_experts > 0 &&
                       (!options_.shape || schedule.min_experts < options_.shape->top_k);
    const std::array<std::pair<std::string_view, bool>, 4> changes = {
        {{"route_bias", schedule.route_bias > 0},
         {"drop_below", schedule.drop_below > 0},
         {"min_experts", fewer},
         {"defer", schedule.defer > 0}}};
    for (const auto& [name, changes_output] : changes) {
      if (!changes_output) continue;
      found("E504", name, fmt::format("{} changes what the model says", name),
            "add lossy = true to the schedule if that is wanted");
    }
  }

  // ---- the rest

  void PerLayer() {
    if (!spec_.per_layer) return;
    const PerLayerSpec& layers = *spec_.per_layer;
    const auto found = [&](std::string_view code, std::string_view parameter, std::string message,
                           std::string remedy) {
      found_(code, ParameterKey(BlockKind::kPerLayer, parameter, {}), std::move(message),
             std::move(remedy));
    };
    if (cache_.scope == Scope::kShared) {
      found_("E602", "cache.scope", "with scope = shared no layer has slots of its own",
             "leave out per_layer, or write scope = layer");
    }
    if (layers.min_capacity > layers.max_capacity) {
      found("E603", "min_capacity",
            fmt::format("min_capacity = {} is above max_capacity = {}", layers.min_capacity,
                        layers.max_capacity),
            "");
    }
    if (options_.shape && layers.total_budget > 0 &&
        layers.total_budget < int64_t{layers.min_capacity} * options_.shape->layers) {
      found("E603", "total_budget",
            fmt::format("{} slots are fewer than {} layers times {}", layers.total_budget,
                        options_.shape->layers, layers.min_capacity),
            "raise total_budget or lower min_capacity");
    }
  }

  void Tiers() {
    for (size_t i = 1; i < spec_.tiers.size(); ++i) {
      const TierSpec& fast = spec_.tiers[i - 1];
      const TierSpec& slow = spec_.tiers[i];
      const std::string remedy = "write tiers from the fastest to the slowest: vram, ram, disk";
      if (fast.bytes_per_second > 0 && slow.bytes_per_second > fast.bytes_per_second) {
        found_("E606", ParameterKey(BlockKind::kTier, "bandwidth", {}, slow.name),
               fmt::format("{} is faster than {}, which comes before it", slow.name, fast.name),
               remedy);
      }
      if (fast.capacity.kind == slow.capacity.kind && slow.capacity.amount < fast.capacity.amount) {
        found_("E606", ParameterKey(BlockKind::kTier, "capacity", {}, slow.name),
               fmt::format("{} is smaller than the faster {}", slow.name, fast.name), remedy);
      }
    }
  }

  const PolicySpec& spec_;
  const CacheSpec& cache_;
  const CompileOptions& options_;
  const FoundRule& found_;
  std::optional<double> slots_;
};

}  // namespace

std::optional<double> SlotsOf(const Capacity& capacity, Scope scope,
                              const CompileOptions& options) {
  if (capacity.kind == Capacity::Kind::kSlots) return capacity.amount;
  if (capacity.kind == Capacity::Kind::kAuto || !options.shape) return std::nullopt;
  const TargetModel& shape = *options.shape;
  const double layers = scope == Scope::kLayer ? shape.layers : 1;
  double slots = capacity.amount * static_cast<double>(shape.all_experts()) / layers;
  if (capacity.kind == Capacity::Kind::kBytes) {
    if (shape.expert_bytes == 0) return std::nullopt;
    slots = capacity.amount / static_cast<double>(shape.expert_bytes) / layers;
  }
  return static_cast<double>(static_cast<int64_t>(slots));
}

void CheckPolicy(const CompiledPolicy& policy, const CompileOptions& options,
                 const FoundRule& found) {
  Checker(policy, options, found).Run();
}

}  // namespace sluice

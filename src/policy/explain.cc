// Sentences, one per decision, with numbers where model and machine are known.
#include "policy/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/byte_size.h"
#include "policy/adapt.h"
#include "policy/rules.h"

namespace sluice {
namespace {

struct Sentence {
  std::string_view name;
  std::string_view text;
};

// "When the cache is full, ..."
constexpr std::array<Sentence, 18> kEvictions = {{
    {"none", "nobody leaves, and nobody comes in"},
    {"fifo", "the expert that came first leaves"},
    {"random", "any expert leaves, by lot (the same lots in every run)"},
    {"lru", "the expert that was not used for longest leaves"},
    {"lfu", "the expert with the lowest use count leaves"},
    {"lfru", "the expert with the lowest use count for the time since its last use leaves"},
    {"slru", "experts used only once leave before those used again"},
    {"score", "the expert with the lowest average router score leaves"},
    {"frequency_threshold", "experts below their share of recent accesses leave first"},
    {"sieve", "the oldest expert leaves that was not used since the hand passed it (SIEVE)"},
    {"s3fifo", "experts used only once leave early through a small queue (S3-FIFO)"},
    {"arc", "recency or frequency decides, whichever erred less of late (ARC)"},
    {"tinylfu", "a newcomer replaces only an expert that is used less often (TinyLFU)"},
    {"predicted", "the expert that the predictor thinks least likely leaves"},
    {"belady", "the expert that is needed last leaves: the bound that no rule can pass"},
    {"gap", "the expert leaves that is longest past its usual time between uses"},
    {"memory", "the expert leaves that was needed least after earlier moments like this one"},
    {"learned",
     "the expert leaves that a score, learned while running, finds least likely to be needed"},
}};

constexpr std::array<Sentence, 12> kStrategies = {{
    {"history", "what this layer used most of late"},
    {"affinity", "what usually follows the experts just used"},
    {"klotski", "what usually follows the experts just used (Klotski's table)"},
    {"lookahead", "what the layers ahead used most of late"},
    {"gate", "the next layers' routers, asked early"},
    {"pattern", "the earlier passage that looked most alike"},
    {"similar", "what earlier moments with similar routing used next"},
    {"learned", "a score learned while running"},
    {"predictor", "a predictor trained beforehand"},
    {"score", "the highest average router scores"},
    {"all", "every expert of the layer"},
    {"demand", "nothing but what the layer has just chosen"},
}};

template <size_t N>
std::string TextOf(const std::array<Sentence, N>& sentences, const std::string& name) {
  for (const Sentence& sentence : sentences) {
    if (sentence.name == name) return std::string(sentence.text);
  }
  return fmt::format("the rule {} decides", name);
}

std::string Percent(double share) { return fmt::format("{:.3g} %", share * 100); }

std::string SpanText(const Span& span) {
  std::string unit(SpanUnitName(span.unit));
  if (span.count == 1 && unit.size() > 2) {
    unit = unit == "accesses" ? "access" : unit.substr(0, unit.size() - 1);
  }
  return fmt::format("{} {}", span.count, unit);
}

class Explainer {
 public:
  Explainer(const CompiledPolicy& policy, const CompileOptions& options,
            const MachineFacts& machine)
      : spec_(policy.spec), options_(options), machine_(machine) {}

  std::string Run() {
    text_ = fmt::format("Policy {}\n", spec_.name);
    CacheSize();
    CacheRules();
    Prefetch();
    Schedule();
    for (const TierSpec& tier : spec_.tiers) {
      Say(fmt::format("The memory {} holds {}; when it is full, {}.", tier.name,
                      CapacityText(tier.capacity), EvictionText(tier.eviction)));
    }
    Adapt();
    Numbers();
    return std::move(text_);
  }

 private:
  // One paragraph, broken where the line is full.
  void Say(const std::string& sentence) {
    constexpr size_t kWidth = 96;
    std::string line = "  -";
    size_t begin = 0;
    while (begin <= sentence.size()) {
      size_t end = sentence.find(' ', begin);
      if (end == std::string::npos) end = sentence.size();
      if (line.size() + 1 + end - begin > kWidth) {
        text_ += line + "\n";
        line = "   ";
      }
      line += " " + sentence.substr(begin, end - begin);
      begin = end + 1;
    }
    text_ += line + "\n";
  }

  std::string CapacityText(const Capacity& capacity) const {
    const bool layer = spec_.cache.scope == Scope::kLayer;
    switch (capacity.kind) {
      case Capacity::Kind::kAuto:
        return "as many experts as the memory budget allows";
      case Capacity::Kind::kSlots:
        return fmt::format("{:.0f} experts {}", capacity.amount,
                           layer ? "of each layer" : "of all layers together");
      case Capacity::Kind::kBytes:
        return fmt::format("{} of experts", FormatByteSize(static_cast<uint64_t>(capacity.amount)));
      case Capacity::Kind::kShare:
        return fmt::format("{} of the experts{}", Percent(capacity.amount),
                           layer ? " of each layer" : "");
    }
    return {};
  }

  std::optional<double> Slots() const {
    if (!options_.shape) return std::nullopt;
    const Capacity& capacity = spec_.cache.capacity;
    const bool automatic = capacity.kind == Capacity::Kind::kAuto;
    if (!automatic) return SlotsOf(capacity, spec_.cache.scope, options_);
    if (machine_.expert_budget_bytes == 0) return std::nullopt;
    const Capacity bytes{.kind = Capacity::Kind::kBytes,
                         .amount = static_cast<double>(machine_.expert_budget_bytes)};
    const std::optional<double> slots = SlotsOf(bytes, spec_.cache.scope, options_);
    if (!slots) return slots;
    const bool layer = spec_.cache.scope == Scope::kLayer;
    const auto most =
        static_cast<double>(layer ? options_.shape->experts : options_.shape->all_experts());
    return std::min(*slots, most);
  }

  void CacheSize() {
    const CacheSpec& cache = spec_.cache;
    std::string line = fmt::format("Fast memory holds {}", CapacityText(cache.capacity));
    if (cache.backend == Backend::kPageCache) {
      line = "Experts stay in the page cache of the operating system, which decides what to keep";
    } else if (const std::optional<double> slots = Slots()) {
      const TargetModel& shape = *options_.shape;
      const bool layer = cache.scope == Scope::kLayer;
      const double all = layer ? *slots * shape.layers : *slots;
      line += fmt::format(
          ": {:.0f} of {}{}, {} in all", *slots, layer ? shape.experts : shape.all_experts(),
          layer ? " per layer" : "",
          FormatByteSize(static_cast<uint64_t>(all * static_cast<double>(shape.expert_bytes))));
    }
    Say(line + ".");
    if (cache.init == Init::kFirst)
      Say("It is filled at the start with experts 0, 1, 2 and so on.");
    if (cache.init == Init::kProfile) {
      Say(fmt::format("It is filled at the start with the most used experts of {}.",
                      cache.profile));
    }
    if (!cache.pins.empty()) {
      std::string pins = PrintValue(*FindParameter(BlockKind::kCache, "pin"), Parts());
      Say(fmt::format("These experts (layers:experts) never leave: {}.", pins));
    }
    if (!spec_.per_layer) return;
    const PerLayerSpec& layers = *spec_.per_layer;
    constexpr std::array<std::string_view, 4> kBy = {
        "evenly", "by how evenly each uses its experts",
        "by how often each misses its popular experts", "by what one more slot would save in each"};
    Say(
        fmt::format("The slots are divided among layers {}: {} to {} each, reconsidered every {} "
                    "layer calls.",
                    kBy[static_cast<size_t>(layers.allocation)], layers.min_capacity,
                    layers.max_capacity, layers.rebalance_interval));
  }

  PolicyParts Parts() {
    return {.cache = &spec_.cache,
            .prefetch = spec_.prefetch.data(),
            .schedule = spec_.schedule.data(),
            .monitor = &spec_.monitor};
  }

  std::string EvictionText(const Eviction& eviction) const {
    std::string first = TextOf(kEvictions, eviction.primary);
    if (eviction.second.empty()) return first;
    return fmt::format("{}, into a second level of a third of the slots, where {}", first,
                       TextOf(kEvictions, eviction.second));
  }

  void CacheRules() {
    const CacheSpec& cache = spec_.cache;
    if (cache.admission == Admission::kNever) {
      Say("Nothing enters after that: the set is fixed.");
    } else {
      std::string line = fmt::format("When it is full, {}", EvictionText(cache.eviction));
      if (cache.eviction.primary == "lfu" || cache.eviction.primary == "lfru") {
        line += fmt::format("; counts are multiplied by {} every {}", cache.frequency_decay,
                            SpanText(cache.decay_every));
      }
      Say(line + ".");
      if (cache.history == History::kResident) Say("An expert that leaves loses its past.");
      if (cache.admission == Admission::kSecondTouch) {
        Say("An expert enters only when it is missed a second time.");
      }
      if (cache.admission == Admission::kFrequency) {
        Say("An expert enters only if it is used more often than the one that would leave.");
      }
      constexpr std::array<std::string_view, 3> kPrompt = {
          "A prompt's experts enter like any other.",
          "A prompt's experts are the first to go, so that it does not flush the rest.",
          "A prompt's experts pass through without entering."};
      Say(std::string(kPrompt[static_cast<size_t>(cache.prefill_insert)]));
    }
    if (cache.insert_cap > 0) {
      Say(fmt::format("At most {} experts enter per layer and step.", cache.insert_cap));
    }
    if (cache.protect > 0) {
      Say(fmt::format("Experts of the next {} layers do not leave.", cache.protect));
    }
    if (cache.ttl > 0) Say(fmt::format("An expert unused for {} accesses leaves.", cache.ttl));
    if (cache.memory_threshold > 0) {
      Say(fmt::format("From {} of {} on experts are given back, down to {}.",
                      Percent(cache.memory_threshold),
                      FormatByteSize(static_cast<uint64_t>(cache.memory_budget_bytes)),
                      Percent(cache.memory_headroom)));
    }
  }

  void Prefetch() {
    const PrefetchSpec& decode = spec_.PrefetchOf(Phase::kDecode);
    const PrefetchSpec& prefill = spec_.PrefetchOf(Phase::kPrefill);
    if (decode == prefill) {
      Say(PrefetchText(decode) + ".");
      return;
    }
    Say("While answering: " + PrefetchText(decode) + ".");
    Say("While reading a prompt: " + PrefetchText(prefill) + ".");
  }

  static std::string PrefetchText(const PrefetchSpec& prefetch) {
    if (prefetch.strategies.empty()) return "Nothing is fetched ahead";
    std::string from;
    for (const std::string& strategy : prefetch.strategies) {
      if (!from.empty()) from += " and ";
      from += TextOf(kStrategies, strategy);
    }
    std::string text = fmt::format("Experts are fetched up to {} layer{} ahead, going by {}",
                                   prefetch.lookahead, prefetch.lookahead == 1 ? "" : "s", from);
    text += fmt::format("; at most {} per layer", prefetch.budget);
    if (prefetch.budget_idle) text += " and only as the link is idle";
    if (prefetch.min_confidence > 0) {
      text += fmt::format(", none less likely than {}", Percent(prefetch.min_confidence));
    }
    constexpr std::array<std::string_view, 3> kWhere = {
        "they wait beside the cache, so that a wrong guess evicts nobody",
        "they enter the cache as first to leave", "they enter the cache as if used"};
    return text + "; " + std::string(kWhere[static_cast<size_t>(prefetch.insert)]);
  }

  void Schedule() {
    const ScheduleSpec& decode = spec_.ScheduleOf(Phase::kDecode);
    const ScheduleSpec& prefill = spec_.ScheduleOf(Phase::kPrefill);
    if (decode.mode == prefill.mode) {
      Say("A missing expert is " + ModeText(decode) + ".");
    } else {
      Say("While answering, a missing expert is " + ModeText(decode) + ".");
      Say("While reading a prompt, a missing expert is " + ModeText(prefill) + ".");
    }
    Say(fmt::format("A step of {} tokens or more counts as reading a prompt.",
                    prefill.batch_threshold));
    if (decode.lossy || prefill.lossy) {
      Say("LOSSY: this policy may change what the model says.");
    }
  }

  static std::string ModeText(const ScheduleSpec& schedule) {
    switch (schedule.mode) {
      case Mode::kFetch:
        return "fetched into fast memory and computed there";
      case Mode::kInPlace:
        return "computed where it lies";
      case Mode::kHybrid:
        return fmt::format("fetched, or computed where it lies if fetching takes more than {} ms",
                           schedule.offload_threshold_ms);
      case Mode::kCost:
        return "fetched or computed where it lies, whichever is estimated to cost less";
      case Mode::kGreedy:
        return "given to whichever side can finish it first";
      case Mode::kLayerwise:
        return "streamed through fast memory with the rest of its layer";
    }
    return {};
  }

  void Adapt() {
    for (const AdaptRule& rule : spec_.adapt) {
      std::string line =
          fmt::format("When {} for {}: ", PrintCondition(rule.when), SpanText(rule.hold));
      for (size_t i = 0; i < rule.actions.size(); ++i) {
        line += (i > 0 ? "; " : "") + PrintAction(rule.actions[i]);
      }
      Say(line + fmt::format("; then not again for {}.", SpanText(rule.cooldown)));
    }
  }

  void Numbers() {
    if (!options_.shape) {
      Say("With --model it is checked against that model, and numbers are given for it.");
      return;
    }
    const TargetModel& shape = *options_.shape;
    const int64_t per_token = int64_t{shape.layers} * shape.top_k;
    const double bytes = static_cast<double>(per_token) * static_cast<double>(shape.expert_bytes);
    std::string line = fmt::format(
        "A token uses {} of {} experts, {} at {} each", per_token, shape.all_experts(),
        FormatByteSize(static_cast<uint64_t>(bytes)), FormatByteSize(shape.expert_bytes));
    if (machine_.read_bytes_per_second > 0) {
      const double seconds = bytes / machine_.read_bytes_per_second;
      line += fmt::format(
          "; if every one were missing, reading them would take {:.3g} ms at {}/s, "
          "and each percent of misses costs {:.2g} ms per token",
          seconds * 1e3, FormatByteSize(static_cast<uint64_t>(machine_.read_bytes_per_second)),
          seconds * 10);
    }
    Say(line + ".");
  }

  PolicySpec spec_;
  const CompileOptions& options_;
  const MachineFacts& machine_;
  std::string text_;
};

}  // namespace

std::string ExplainPolicy(const CompiledPolicy& policy, const CompileOptions& options,
                          const MachineFacts& machine) {
  return Explainer(policy, options, machine).Run();
}

}  // namespace sluice

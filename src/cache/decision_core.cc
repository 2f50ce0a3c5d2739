// The door of the decision core, and how it is made. Its calls are in decision_call.cc, what
// happens between them in decision_step.cc.
#include "cache/decision_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "cache/decision_core_impl.h"
#include "cache/prefetch.h"

namespace sluice {
namespace {

// Tokens after which a choice counts half in Popularity: long enough to tell layers apart, short
// enough to follow a change of subject.
constexpr double kPopularityHalfLife = 500;

bool InRange(int32_t value, int32_t first, int32_t last) {
  return value >= first && (last < 0 || value <= last);
}

}  // namespace

namespace {

// All fields, so that sums and differences cannot forget one.
constexpr uint64_t DecisionCounts::*kCounters[] = {&DecisionCounts::calls,
                                                   &DecisionCounts::accesses,
                                                   &DecisionCounts::hits,
                                                   &DecisionCounts::demand_misses,
                                                   &DecisionCounts::insertions,
                                                   &DecisionCounts::evictions,
                                                   &DecisionCounts::in_place,
                                                   &DecisionCounts::prefetches,
                                                   &DecisionCounts::prefetches_used,
                                                   &DecisionCounts::prefetches_wasted};
static_assert(sizeof(DecisionCounts) ==
              sizeof(kCounters) / sizeof(kCounters[0]) * sizeof(uint64_t));

}  // namespace

DecisionCounts& DecisionCounts::operator+=(const DecisionCounts& other) {
  for (const auto counter : kCounters) this->*counter += other.*counter;
  return *this;
}

DecisionCounts operator-(const DecisionCounts& now, const DecisionCounts& before) {
  DecisionCounts difference;
  for (const auto counter : kCounters) difference.*counter = now.*counter - before.*counter;
  return difference;
}

DecisionCore::Impl::Impl(const PolicySpec& spec, const Setup& setup, SlotLayout layout)
    : shape_(setup.shape),
      top_k_(setup.top_k),
      expert_bytes_(spec.cache.expert_bytes > 0 ? static_cast<uint64_t>(spec.cache.expert_bytes)
                                                : setup.expert_bytes),
      times_(setup.times),
      slots_(layout.total()),
      spec_(spec),
      residency_(setup.shape, std::move(layout.capacities), layout.staging),
      planner_(spec_, {.shape = setup.shape,
                       .top_k = setup.top_k,
                       .expert_bytes = setup.expert_bytes,
                       .link = setup.link,
                       .table = setup.table}),
      monitor_(std::max<int64_t>(1, spec.monitor.window)),
      adapter_(spec_.adapt),
      flags_(shape_.size()),
      in_call_(shape_.size()),
      due_(shape_.size()),
      demand_of_(static_cast<size_t>(shape_.experts), -1) {
  for (auto& by_layer : counts_) by_layer.resize(static_cast<size_t>(shape_.layers));
  ReadRules();
  const bool divides = spec_.per_layer.has_value();
  const auto asks_popularity = [](const AdaptRule& rule) {
    return std::ranges::any_of(rule.actions, [](const AdaptAction& action) {
      return action.kind == AdaptAction::Kind::kResetProfile ||
             (action.kind == AdaptAction::Kind::kSet && action.tunable == Tunable::kAdmission);
    });
  };
  if (divides || wants_entropy_ || spec_.cache.admission == Admission::kFrequency ||
      std::ranges::any_of(spec_.adapt, asks_popularity)) {
    popularity_.emplace(shape_, kPopularityHalfLife);
  }
  if (divides && spec_.per_layer->allocation == Allocation::kMarginal) depths_.emplace(shape_);
  if (spec_.cache.ttl > 0) last_access_.resize(shape_.size());
  if (wants_repeats_) last_step_.resize(shape_.size());
  candidates_.reserve(shape_.size());
  bool all_fit = true;
  for (size_t d = 0; d < residency_.domains(); ++d) {
    const auto experts =
        residency_.domains() == 1 ? static_cast<int32_t>(shape_.size()) : shape_.experts;
    all_fit = all_fit && residency_.capacity(d) >= experts;
  }
  never_evicts_ =
      all_fit && spec_.adapt.empty() && spec_.cache.ttl == 0 && spec_.cache.memory_threshold == 0;
}

// What the rules of `adapt` have to be told.
void DecisionCore::Impl::ReadRules() {
  for (const AdaptRule& rule : spec_.adapt) {
    for (const auto& atoms : rule.when) {
      for (const ConditionAtom& atom : atoms) {
        wants_readings_ = wants_readings_ || ReadsClock(atom.metric);
        wants_entropy_ = wants_entropy_ || atom.metric == Metric::kEntropy;
        wants_repeats_ = wants_repeats_ || atom.metric == Metric::kReuse;
      }
    }
    for (const Span& span : {rule.hold, rule.cooldown}) {
      wants_readings_ = wants_readings_ || span.unit == SpanUnit::kMilliseconds ||
                        span.unit == SpanUnit::kSeconds;
    }
  }
}

Status DecisionCore::Impl::CreateRules(const Future* future) {
  const auto predicts = [](const Eviction& eviction) {
    return eviction.primary == "predicted" || eviction.second == "predicted";
  };
  bool any_predicts = predicts(spec_.cache.eviction);
  for (const AdaptRule& rule : spec_.adapt) {
    for (const AdaptAction& action : rule.actions) {
      any_predicts = any_predicts || predicts(action.eviction);
    }
  }
  if (any_predicts && planner_.any()) likelihood_.resize(shape_.size());
  const auto add = [&](const Eviction& eviction) -> Status {
    if (FindRule(eviction) < rules_.size()) return {};
    if (eviction.primary == "belady" && future == nullptr) {
      return InvalidArgumentError(
          "eviction = belady looks into the future: it works in a replay only");
    }
    std::unique_ptr<EvictionRule> rule = NewEvictionRule(eviction, {.shape = shape_,
                                                                    .top_k = top_k_,
                                                                    .slots = residency_.capacity(0),
                                                                    .cache = &spec_.cache,
                                                                    .future = future,
                                                                    .likelihood = likelihood_});
    if (rule == nullptr) {
      return InvalidArgumentError(fmt::format("there is no eviction '{}{}{}'", eviction.primary,
                                              eviction.second.empty() ? "" : " | ",
                                              eviction.second));
    }
    rules_.push_back({.eviction = eviction, .rule = std::move(rule)});
    return {};
  };
  SLUICE_TRY(add(spec_.cache.eviction));
  for (const AdaptRule& rule : spec_.adapt) {
    for (const AdaptAction& action : rule.actions) {
      if (action.kind == AdaptAction::Kind::kSet && action.tunable == Tunable::kEviction) {
        SLUICE_TRY(add(action.eviction));
      }
    }
  }
  return {};
}

size_t DecisionCore::Impl::FindRule(const Eviction& eviction) const {
  return static_cast<size_t>(std::ranges::find(rules_, eviction, &Rule::eviction) - rules_.begin());
}

void DecisionCore::Impl::MarkPins() {
  for (const PinRange& pin : spec_.cache.pins) {
    for (ExpertKey key = 0; key < static_cast<ExpertKey>(shape_.size()); ++key) {
      const ExpertId id = IdOf(shape_, key);
      if (InRange(id.layer, pin.layer_first, pin.layer_last) &&
          InRange(id.expert, pin.expert_first, pin.expert_last)) {
        Set(key, kPinned);
      }
    }
  }
}

Status DecisionCore::Impl::Initialise(std::span<const double> popularity) {
  MarkPins();
  std::vector<ExpertKey> wanted;
  for (ExpertKey key = 0; key < static_cast<ExpertKey>(shape_.size()); ++key) {
    if (Has(key, kPinned)) wanted.push_back(key);
  }
  for (const ExpertKey key : wanted) {
    if (!residency_.HasRoom(residency_.DomainOf(key))) {
      return InvalidArgumentError(
          fmt::format("more experts of layer {} are pinned than the {} slots there hold: pin fewer "
                      "or raise capacity",
                      key / shape_.experts, residency_.capacity(residency_.DomainOf(key))));
    }
    NoteInserted(key, Insertion::kInitial);
  }
  if (spec_.cache.init != Init::kEmpty) {
    std::vector<ExpertKey> order(shape_.size());
    std::iota(order.begin(), order.end(), 0);
    if (spec_.cache.init == Init::kProfile) {
      if (popularity.size() != shape_.size()) {
        return InvalidArgumentError(
            "init = profile needs a profile of this model's layers and experts");
      }
      std::ranges::stable_sort(order, [&](ExpertKey a, ExpertKey b) {
        return popularity[static_cast<size_t>(a)] > popularity[static_cast<size_t>(b)];
      });
    }
    for (const ExpertKey key : order) {
      if (residency_.Absent(key) && residency_.HasRoom(residency_.DomainOf(key))) {
        wanted.push_back(key);
        NoteInserted(key, Insertion::kInitial);
      }
    }
  }
  for (const ExpertKey key : wanted) {
    initial_.push_back({.id = IdOf(shape_, key), .slot = residency_.slot(key), .probability = 1});
  }
  return {};
}

Result<std::unique_ptr<DecisionCore>> DecisionCore::Create(const PolicySpec& spec,
                                                           const Setup& setup) {
  SLUICE_CHECK(setup.shape.size() >= 1 && setup.top_k >= 1 && setup.slots >= 1);
  SlotLayout layout = LayOutSlots(spec, setup.shape, setup.top_k, setup.expert_bytes, setup.slots);
  if (layout.total() > setup.slots) {
    return ResourceExhaustedError(fmt::format(
        "policy {} wants {} slots ({} of them to stage experts), and memory holds {}: lower its "
        "capacity, write capacity = auto, or raise the budget",
        spec.name, layout.total(), layout.staging, setup.slots));
  }
  for (const PrefetchSpec& prefetch : spec.prefetch) {
    for (const std::string& name : prefetch.strategies) {
      const std::vector<std::string_view> known = PredictorNames();
      if (std::ranges::find(known, name) == known.end()) {
        return InvalidArgumentError(fmt::format("there is no prefetch strategy '{}'", name));
      }
    }
  }
  SLUICE_TRY(CheckPredictorTable(setup.table, setup.shape).Annotate("prefetch table"));
  auto impl = std::make_unique<Impl>(spec, setup, std::move(layout));
  SLUICE_TRY(impl->CreateRules(setup.future));
  SLUICE_TRY(impl->Initialise(setup.popularity));
  return std::unique_ptr<DecisionCore>(new DecisionCore(std::move(impl)));
}

int64_t DecisionCore::SlotsWanted(const PolicySpec& spec, CacheShape shape, int32_t top_k,
                                  uint64_t expert_bytes, int64_t available) {
  return LayOutSlots(spec, shape, top_k, expert_bytes, available).total();
}

uint64_t DecisionCore::Footprint(const PolicySpec& spec, CacheShape shape) {
  const uint64_t keys = shape.size();
  const uint64_t pairs = keys * static_cast<uint64_t>(shape.experts);  // of one layer after another
  constexpr uint64_t kRememberedTokens = 1500;
  uint64_t bytes = 256 * keys;
  const auto add = [&](std::string_view name) {
    bytes += 64 * keys;
    if (name == "learned") bytes += 12 * pairs + 1024 * keys;
    if (name == "affinity" || name == "klotski") bytes += 4 * pairs;
    if (name == "learned" || name == "memory" || name == "similar" || name == "pattern") {
      bytes += kRememberedTokens * keys / 2;
    }
    if (name == "pattern") bytes += kRememberedTokens * keys;
  };
  const auto add_eviction = [&](const Eviction& eviction) {
    add(eviction.primary);
    add(eviction.second);
  };
  add_eviction(spec.cache.eviction);
  for (const PrefetchSpec& prefetch : spec.prefetch)
    std::ranges::for_each(prefetch.strategies, add);
  for (const AdaptRule& rule : spec.adapt) {
    for (const AdaptAction& action : rule.actions) {
      if (action.tunable == Tunable::kEviction) add_eviction(action.eviction);
      std::ranges::for_each(action.names, add);
    }
  }
  return bytes;
}

DecisionCore::DecisionCore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DecisionCore::~DecisionCore() = default;

void DecisionCore::BeginStep(int32_t tokens, const ClockReadings* readings) {
  impl_->BeginStep(tokens, readings);
}
const Dispatch& DecisionCore::Begin(const LayerRouting& routing) { return impl_->Begin(routing); }
std::span<const Demand> DecisionCore::demands() const { return impl_->demands_; }
std::span<const Prefetch> DecisionCore::initial() const { return impl_->initial_; }
void DecisionCore::Forget(ExpertId id) { impl_->Forget(id); }
bool DecisionCore::Resident(ExpertId id) const {
  return !impl_->residency_.Absent(KeyOf(impl_->shape_, id));
}
DecisionCore::GateWanted DecisionCore::gate_wanted(int32_t layer) const {
  return impl_->gate_wanted(layer);
}
bool DecisionCore::wants_readings() const { return impl_->wants_readings_; }
int32_t DecisionCore::max_inflight() const {
  return impl_->spec_.PrefetchOf(Phase::kDecode).max_inflight;
}
int64_t DecisionCore::slots() const { return impl_->slots_; }
int64_t DecisionCore::staging_slots() const { return impl_->residency_.staging(); }
int32_t DecisionCore::capacity(int32_t layer) const {
  return impl_->residency_.capacity(
      impl_->residency_.DomainOf(KeyOf(impl_->shape_, {.layer = layer, .expert = 0})));
}
const DecisionCounts& DecisionCore::counts(Phase phase, int32_t layer) const {
  return impl_->counts_[static_cast<size_t>(phase)][static_cast<size_t>(layer)];
}
DecisionCounts DecisionCore::totals() const {
  DecisionCounts totals;
  for (const auto& by_layer : impl_->counts_) {
    for (const DecisionCounts& counts : by_layer) totals += counts;
  }
  return totals;
}
std::span<const AdaptEvent> DecisionCore::events() const { return impl_->events_; }
uint64_t DecisionCore::adapt_firings() const { return impl_->adapt_firings_; }
const PolicySpec& DecisionCore::spec() const { return impl_->spec_; }

}  // namespace sluice

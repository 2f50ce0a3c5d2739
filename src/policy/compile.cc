// From tree to policies: each policy is what it extends, then its own blocks for both phases, then
// those for one phase, then its rules of adapt, checked as a whole at the end.
#include "policy/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "policy/adapt.h"
#include "policy/bind.h"
#include "policy/names.h"
#include "policy/parser.h"
#include "policy/rules.h"

namespace sluice {
namespace {

// Bounds that no policy needs and that keep any input cheap.
constexpr size_t kMostPolicies = 1000;
constexpr size_t kDeepestExtends = 16;

// Rules about one value, which hold whatever else could not be read.
constexpr std::array<std::string_view, 6> kAlone = {"E301", "E303", "E314", "E315", "E316", "E406"};

// A guard that waits for all parameters to be known.
struct PendingGuard {
  const ParameterNode* node = nullptr;
  const Parameter* parameter = nullptr;
  std::optional<Phase> phase;
};

class PolicyCompiler {
 public:
  PolicyCompiler(const std::vector<const PolicyNode*>& chain, const CompileOptions& options,
                 bool legacy, Diagnostics* diagnostics)
      : chain_(chain), options_(options), diagnostics_(diagnostics) {
    policy_.legacy = legacy;
    policy_.name = chain.back()->name.place;
    policy_.spec.name = chain.back()->name.text;
    if (!legacy) return;
    // What MoE-PolicyLang assumed where nothing was written.
    policy_.spec.cache.eviction.primary = "lru";
    policy_.spec.cache.decay_every = {.count = 100, .unit = SpanUnit::kAccesses};
  }

  CompiledPolicy Run() {
    const size_t errors_before = diagnostics_->errors();
    for (const PolicyNode* node : chain_) Apply(*node);
    Required();
    BatchThreshold();
    TierOrder();
    const auto report = [this](std::string_view code, const std::string& key, std::string message,
                               std::string remedy) {
      // Where a value could not be read, what follows from its absence would only confuse.
      const bool alone = std::ranges::find(kAlone, code) != kAlone.end();
      if (!alone && broken_blocks_.contains(key.substr(0, key.find('.')))) return;
      diagnostics_->Add(code, PlaceOf(key), std::move(message), std::move(remedy));
    };
    CheckPolicy(policy_, options_, report);
    Adapt(diagnostics_->errors() == errors_before);
    policy_.valid = diagnostics_->errors() == errors_before;
    if (policy_.valid) FindDoubts(policy_, options_, report);
    return std::move(policy_);
  }

 private:
  Place PlaceOf(const std::string& key) const {
    const auto origin = policy_.origins.find(key);
    if (origin != policy_.origins.end()) return origin->second.place;
    // The block that the parameter would stand in, or the policy.
    for (auto node = chain_.rbegin(); node != chain_.rend(); ++node) {
      for (const BlockNode& block : (*node)->blocks) {
        if (key.starts_with(block.kind.text + ".")) return block.kind.place;
      }
    }
    return policy_.name;
  }

  void Apply(const PolicyNode& node) {
    Duplicates(node);
    for (const bool of_phase : {false, true}) {
      for (const BlockNode& block : node.blocks) {
        if (block.phase.has_value() == of_phase) Apply(node, block);
      }
    }
  }

  void Duplicates(const PolicyNode& node) {
    std::set<std::string> seen;
    for (const BlockNode& block : node.blocks) {
      const std::string name = block.kind.text + " " + block.label.text;
      if (seen.insert(name).second) continue;
      diagnostics_->Add(
          "E204", block.kind.place,
          fmt::format("a second {} block in policy {}", block.kind.text, node.name.text),
          "put its parameters into the first one");
    }
  }

  void Apply(const PolicyNode& node, const BlockNode& block) {
    const std::optional<BlockKind> kind = FindBlock(block.kind.text);
    if (!kind) return;  // adapt comes last
    if (*kind == BlockKind::kCache) has_cache_ = true;
    TierSpec* tier = nullptr;
    if (*kind == BlockKind::kTier) {
      tier = FindTier(block);
      if (tier == nullptr) return;
    }
    if (*kind == BlockKind::kPerLayer && !policy_.spec.per_layer) {
      policy_.spec.per_layer.emplace();
      if (policy_.legacy) policy_.spec.per_layer->allocation = Allocation::kEntropy;
    }
    std::set<std::string> seen;
    for (const ParameterNode& parameter : block.parameters) {
      if (diagnostics_->full()) return;
      if (!seen.insert(parameter.name.text).second) {
        diagnostics_->Add("E203", parameter.name.place,
                          fmt::format("{} is given twice", parameter.name.text),
                          "keep one of the two");
        continue;
      }
      Apply(node, block, *kind, tier, parameter);
    }
  }

  TierSpec* FindTier(const BlockNode& block) {
    if (std::ranges::find(TierNames(), block.label.text) == TierNames().end()) {
      diagnostics_->Add("E207", block.label.place,
                        fmt::format("unknown tier '{}'", block.label.text),
                        SuggestName(block.label.text, TierNames()));
      return nullptr;
    }
    for (TierSpec& tier : policy_.spec.tiers) {
      if (tier.name == block.label.text) return &tier;
    }
    policy_.spec.tiers.push_back({.name = block.label.text});
    tier_places_.push_back(block.label.place);
    return &policy_.spec.tiers.back();
  }

  void Apply(const PolicyNode& node, const BlockNode& block, BlockKind kind, TierSpec* tier,
             const ParameterNode& written) {
    const Parameter* parameter = FindParameter(kind, written.name.text);
    if (parameter == nullptr) {
      broken_blocks_.emplace(block.kind.text);
      UnknownParameter(kind, written.name);
      return;
    }
    const BindSettings settings{.legacy = policy_.legacy};
    for (const Phase phase : {Phase::kDecode, Phase::kPrefill}) {
      const bool both = !HasPhases(kind);
      if (both && phase == Phase::kPrefill) break;
      if (!both && block.phase && *block.phase != phase) continue;
      PolicySpec& spec = policy_.spec;
      const PolicyParts parts{.cache = &spec.cache,
                              .prefetch = &spec.prefetch[static_cast<size_t>(phase)],
                              .schedule = &spec.schedule[static_cast<size_t>(phase)],
                              .monitor = &spec.monitor,
                              .per_layer = spec.per_layer ? &*spec.per_layer : nullptr,
                              .tier = tier};
      if (!BindValue(*parameter, written.value, parts, settings, diagnostics_)) {
        broken_blocks_.emplace(block.kind.text);
        return;
      }
      const std::string key =
          ParameterKey(kind, parameter->name, both ? std::nullopt : std::optional(phase),
                       tier != nullptr ? std::string_view(tier->name) : "");
      policy_.origins[key] = {
          .policy = node.name.text, .place = written.place, .value = written.value.place};
    }
    std::erase_if(guards_, [&](const PendingGuard& guard) {
      const bool same_phase = !guard.phase || !block.phase || guard.phase == block.phase;
      return guard.parameter == parameter && same_phase;
    });
    if (written.guard) guards_.push_back({&written, parameter, block.phase});
  }

  void UnknownParameter(BlockKind kind, const Word& name) {
    const std::vector<std::string_view> known = ParameterNames(kind);
    std::string remedy = SuggestName(name.text, known);
    for (int i = 0; i < kBlockKinds; ++i) {
      const auto other = static_cast<BlockKind>(i);
      if (other != BlockKind::kTier && FindParameter(other, name.text) != nullptr) {
        remedy = fmt::format("{} belongs into the block {}", name.text, BlockName(other));
      }
    }
    diagnostics_->Add("E207", name.place,
                      fmt::format("unknown parameter '{}' in {}", name.text, BlockName(kind)),
                      std::move(remedy));
  }

  void Required() {
    if (!has_cache_) {
      diagnostics_->Add("E205", policy_.name,
                        fmt::format("policy {} has no cache block", policy_.spec.name),
                        "add: cache { capacity = auto }");
    } else if (!policy_.origins.contains("cache.capacity") && !broken_blocks_.contains("cache")) {
      diagnostics_->Add("E206", PlaceOf("cache.capacity"), "the cache has no capacity",
                        "add: capacity = auto");
    }
  }
  // Where prefill begins is one number.
  void BatchThreshold() {
    auto& decode = policy_.spec.schedule[0].batch_threshold;
    auto& prefill = policy_.spec.schedule[1].batch_threshold;
    const auto in_decode = policy_.origins.find("schedule.decode.batch_threshold");
    const auto in_prefill = policy_.origins.find("schedule.prefill.batch_threshold");
    const bool both = in_decode != policy_.origins.end() && in_prefill != policy_.origins.end();
    if (both && decode != prefill && in_decode->second.policy == in_prefill->second.policy) {
      diagnostics_->Add("E505", in_prefill->second.place,
                        "decode and prefill have different values of batch_threshold",
                        "it is where one ends and the other begins: write it once");
    }
    if (in_prefill != policy_.origins.end()) {
      decode = prefill;
    } else {
      prefill = decode;
    }
  }

  void TierOrder() {
    for (size_t i = 1; i < policy_.spec.tiers.size(); ++i) {
      const auto rank = [&](size_t tier) {
        return std::ranges::find(TierNames(), policy_.spec.tiers[tier].name) - TierNames().begin();
      };
      if (rank(i) > rank(i - 1)) continue;
      diagnostics_->Add("E606", tier_places_[i],
                        fmt::format("tier {} comes after tier {}", policy_.spec.tiers[i].name,
                                    policy_.spec.tiers[i - 1].name),
                        "write tiers from the fastest to the slowest: vram, ram, disk");
    }
  }

  void Adapt(bool base_valid) {
    const AdaptContext context{.options = &options_,
                               .legacy = policy_.legacy,
                               .base_valid = base_valid,
                               .diagnostics = diagnostics_};
    const CompiledPolicy base = policy_;
    std::vector<Place> places;
    const auto add = [&](std::optional<AdaptRule> rule, const Place& place) {
      if (!rule) return;
      policy_.spec.adapt.push_back(std::move(*rule));
      places.push_back(place);
    };
    size_t rules = guards_.size();
    for (const PendingGuard& guard : guards_) {
      add(CompileGuard(*guard.node, *guard.parameter, guard.phase, base, context),
          guard.node->place);
    }
    for (const PolicyNode* node : chain_) {
      for (const BlockNode& block : node->blocks) {
        if (block.kind.text != "adapt") continue;
        rules += block.rules.size();
        if (rules > kMostRules) {
          diagnostics_->Add("E103", block.kind.place,
                            fmt::format("more than {} rules", kMostRules));
          return;
        }
        for (const AdaptNode& rule : block.rules) add(CompileRule(rule, base, context), rule.place);
      }
    }
    FindOscillation(policy_.spec.adapt, places, diagnostics_);
  }

  const std::vector<const PolicyNode*>& chain_;
  const CompileOptions& options_;
  Diagnostics* diagnostics_;
  CompiledPolicy policy_;
  std::vector<PendingGuard> guards_;
  std::vector<Place> tier_places_;
  std::set<std::string> broken_blocks_;  // with a parameter that was refused
  bool has_cache_ = false;
};

class FileCompiler {
 public:
  FileCompiler(CompiledFile* file, const CompileOptions& options)
      : file_(file), options_(options) {}

  void Run() {
    Diagnostics& diagnostics = file_->diagnostics;
    const FileNode& tree = file_->tree;
    bool legacy = false;
    if (tree.version) {
      legacy = tree.version->number <= kLegacyVersion;
      if (tree.version->number > kLanguageVersion || tree.version->number <= 0) {
        diagnostics.Add(
            "E102", tree.version->place,
            fmt::format("version {} of the language; this program knows {:.1f}", tree.version->text,
                        kLanguageVersion),
            fmt::format("write version {:.1f}, or use a newer sluice", kLanguageVersion));
      }
    }
    if (tree.policies.size() > kMostPolicies) {
      diagnostics.Add("E103", tree.policies[kMostPolicies].name.place,
                      fmt::format("more than {} policies in a file", kMostPolicies));
      return;
    }
    for (size_t i = 0; i < tree.policies.size() && !diagnostics.full(); ++i) {
      if (tree.policies[i].name.text.empty()) continue;
      if (!Chain(i)) continue;
      file_->policies.push_back(PolicyCompiler(chain_, options_, legacy, &diagnostics).Run());
    }
  }

 private:
  // The policy and what it extends, the oldest first.
  bool Chain(size_t index) {
    const std::vector<PolicyNode>& policies = file_->tree.policies;
    Diagnostics& diagnostics = file_->diagnostics;
    const PolicyNode& node = policies[index];
    if (by_name_.contains(node.name.text)) {
      diagnostics.Add("E208", node.name.place,
                      fmt::format("there is a policy {} already", node.name.text),
                      "give one of them another name");
      return false;
    }
    std::vector<const PolicyNode*> chain;
    if (node.extends && !node.extends->text.empty()) {
      const auto base = by_name_.find(node.extends->text);
      if (base == by_name_.end()) {
        UnknownBase(*node.extends);
        return false;
      }
      chain = base->second;
    }
    chain.push_back(&node);
    if (chain.size() > kDeepestExtends) {
      diagnostics.Add("E103", node.name.place,
                      fmt::format("more than {} policies extend each other", kDeepestExtends));
      return false;
    }
    chain_ = chain;
    by_name_.emplace(node.name.text, std::move(chain));
    return true;
  }

  void UnknownBase(const Word& base) {
    const std::vector<PolicyNode>& policies = file_->tree.policies;
    const bool later = std::ranges::any_of(
        policies, [&](const PolicyNode& node) { return node.name.text == base.text; });
    std::vector<std::string_view> names;
    for (const auto& [name, chain] : by_name_) names.push_back(name);
    std::string remedy;
    if (later) {
      remedy = "move it before the policy that extends it";
    } else if (!names.empty()) {
      remedy = SuggestName(base.text, names);
    } else {
      remedy = "a policy can extend another one of the same file";
    }
    file_->diagnostics.Add("E208", base.place,
                           later ? fmt::format("policy {} is not known yet here", base.text)
                                 : fmt::format("unknown policy '{}'", base.text),
                           std::move(remedy));
  }

  CompiledFile* file_;
  const CompileOptions& options_;
  std::vector<const PolicyNode*> chain_;
  std::map<std::string, std::vector<const PolicyNode*>> by_name_;
};

}  // namespace

const CompiledPolicy* CompiledFile::Find(std::string_view name) const {
  for (const CompiledPolicy& policy : policies) {
    if (policy.spec.name == name) return &policy;
  }
  return nullptr;
}

std::string ParameterKey(BlockKind block, std::string_view name, std::optional<Phase> phase,
                         std::string_view tier) {
  std::string key(BlockName(block));
  if (phase) key += *phase == Phase::kDecode ? ".decode" : ".prefill";
  if (!tier.empty()) key.append(".").append(tier);
  return key.append(".").append(name);
}

CompiledFile CompileFile(std::string_view source, std::string file_name,
                         const CompileOptions& options) {
  CompiledFile file{.diagnostics = Diagnostics(std::move(file_name), source)};
  file.tree = ParsePolicyFile(source, &file.diagnostics);
  FileCompiler(&file, options).Run();
  file.diagnostics.SortByPlace();
  return file;
}

Result<PolicySpec> CompilePolicy(std::string_view source, std::string file_name,
                                 const CompileOptions& options, std::string_view name) {
  const CompiledFile file = CompileFile(source, std::move(file_name), options);
  SLUICE_TRY(file.diagnostics.ToStatus());
  if (!name.empty()) {
    if (const CompiledPolicy* policy = file.Find(name)) return policy->spec;
  } else if (file.policies.size() == 1) {
    return file.policies[0].spec;
  }
  std::vector<std::string_view> names;
  for (const CompiledPolicy& policy : file.policies) names.push_back(policy.spec.name);
  const std::string& path = file.diagnostics.file_name();
  if (!name.empty()) {
    return InvalidArgumentError(
        fmt::format("{} has no policy '{}': {}", path, name, SuggestName(name, names)));
  }
  return InvalidArgumentError(
      fmt::format("{} has several policies: say which, as {}:{} (it has {})", path, path,
                  names.front(), fmt::join(names, ", ")));
}

}  // namespace sluice

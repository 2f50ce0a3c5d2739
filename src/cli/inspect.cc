// sluice inspect: what is inside a model, and what it needs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "engine/policy_target.h"
#include "model/embedded_model.h"
#include "model/model.h"
#include "plan/memory_plan.h"
#include "policy/prepare.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

struct RoleSum {
  const char* name;
  uint64_t bytes = 0;
  std::set<std::string> formats;

  void Add(const TensorExtent& extent) {
    bytes += extent.bytes;
    formats.insert(Spec(extent.format).name);
  }
  std::string FormatList() const {
    std::string list;
    for (const std::string& format : formats) list += (list.empty() ? "" : ", ") + format;
    return list;
  }
};

// Of every role that the model has, and of the output, which may be tied.
std::vector<RoleSum> SumRoles(const Model& model) {
  std::map<TensorRole, RoleSum> sums = {{TensorRole::kEmbedding, {"embedding"}},
                                        {TensorRole::kAttention, {"attention"}},
                                        {TensorRole::kNorms, {"norms"}},
                                        {TensorRole::kFeedForward, {"feed-forward"}},
                                        {TensorRole::kSharedExperts, {"shared experts"}},
                                        {TensorRole::kRouters, {"routers"}},
                                        {TensorRole::kExperts, {"experts"}},
                                        {TensorRole::kOutput, {"output"}}};
  for (const auto& [role, extent] : model.dense.Matrices()) sums.at(role).Add(*extent);
  for (const auto& [role, extent] : model.dense.Vectors()) sums.at(role).Add(*extent);
  for (const ExpertExtent& expert : model.experts.extents()) {
    for (const TensorExtent* extent : {&expert.gate, &expert.up, &expert.down}) {
      sums.at(TensorRole::kExperts).Add(*extent);
    }
  }
  std::vector<RoleSum> list;
  for (auto& [role, sum] : sums) {
    if (sum.bytes > 0 || role == TensorRole::kOutput) list.push_back(std::move(sum));
  }
  return list;
}

class InspectCommand final : public Command {
 public:
  explicit InspectCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("inspect", "what is inside a model, and what it needs");
    app->add_option("model,-m,--model", path_, "GGUF file or directory (default: rill)");
    app->add_option("-c,--ctx-size", context_, "tokens of context to plan for (0: as run does)");
    app->add_flag("--json", json_, "print JSON");
    app->footer("Example: sluice inspect qwen3-30b-a3b-q4_k_m.gguf");
  }

  int Run() override {
    Result<Model> model = path_.empty() ? OpenEmbeddedModel() : OpenModel(path_);
    if (!model.ok()) return Report(model.status());
    Result<std::array<MemoryPlan, 2>> plans = Plans(*model);
    if (!plans.ok()) return Report(plans.status());
    json_ ? PrintJson(*model, *plans) : PrintText(*model, *plans);
    return kExitOk;
  }

 private:
  // The least that works, and everything in RAM.
  Result<std::array<MemoryPlan, 2>> Plans(const Model& model) {
    constexpr int64_t kDefaultContext = 4096;
    constexpr uint64_t kPlenty = uint64_t{1} << 60;
    if (context_ < 0 || context_ > model.spec.context) {
      return InvalidArgumentError(
          fmt::format("a context of {} tokens; the model was made for at most {}", context_,
                      model.spec.context));
    }
    if (context_ == 0) context_ = std::min(model.spec.context, kDefaultContext);
    // As run does, but for a margin: how much of its code a process has in memory varies.
    constexpr uint64_t kMargin = 1U << 20;
    ThreadPool pool(AvailableCores());
    SLUICE_TRY_ASSIGN(auto device, CreateDevice("auto", &pool));
    PreparedPolicy policy;
    if (model.spec.has_experts()) {
      SLUICE_TRY_ASSIGN(policy, PreparePolicy(EngineOptions().policy, {.shape = TargetOf(model)}));
    }
    MemoryRequest request{.budget_bytes = kPlenty,
                          .process_bytes = ResidentBytes() + kMargin,
                          .kv_tokens = context_,
                          .prefill_chunk = 16,
                          .threads = pool.size(),
                          .policy = &policy.spec};
    SLUICE_TRY_ASSIGN(const MemoryPlan least, PlanMemory(model, *device, request));
    request.prefill_chunk = 512;
    SLUICE_TRY_ASSIGN(const MemoryPlan everything, PlanMemory(model, *device, request));
    return std::array{least, everything};
  }

  void PrintText(const Model& model, const std::array<MemoryPlan, 2>& plans) const {
    const ModelSpec& spec = model.spec;
    fmt::print("{}{}{}\n", model.checkpoint.path, spec.name.empty() ? "" : ": ", spec.name);
    fmt::print("  {:<14}{} ({})\n", "architecture", spec.architecture,
               model.checkpoint.kind == CheckpointKind::kGguf ? "GGUF" : "Hugging Face");
    fmt::print("  {:<14}{} layers, hidden {}, vocabulary {}, context {}\n", "shape", spec.layers,
               spec.hidden, spec.vocab, spec.context);
    PrintAttention(spec.attention);
    PrintFfn(model);
    fmt::print("\n  {:<14}{:>12}  {}\n", "tensors", "bytes", "formats");
    for (const RoleSum& kind : SumRoles(model)) {
      if (kind.bytes == 0) {
        fmt::print("  {:<14}{:>12}\n", kind.name, "tied");
      } else {
        fmt::print("  {:<14}{:>12}  {}\n", kind.name, FormatByteSize(kind.bytes),
                   kind.FormatList());
      }
    }
    fmt::print("\n  memory at a context of {} tokens{:>14}{:>18}\n", context_, "at least",
               "all in RAM");
    const auto line = [&](const char* what, uint64_t least, uint64_t all) {
      fmt::print("  {:<34}{:>14}{:>18}\n", what, FormatByteSize(least), FormatByteSize(all));
    };
    const MemoryPlan& least = plans[0];
    const MemoryPlan& all = plans[1];
    line("program and tokenizer", least.process_bytes, all.process_bytes);
    if (spec.has_experts()) {
      line("policy's memory", least.policy_bytes, all.policy_bytes);
    }
    line("dense weights", least.dense_bytes, all.dense_bytes);
    line("KV cache (f16)", least.kv_bytes, all.kv_bytes);
    line("activations and scratch", least.scratch_bytes, all.scratch_bytes);
    if (spec.has_experts()) {
      line("expert slots", least.slot_bytes, static_cast<uint64_t>(all.all_slots) * all.slot_bytes);
    }
    line("in all (--ram-budget)", least.minimum_bytes(), all.everything_bytes());
    if (!spec.has_experts()) return;
    const auto used = static_cast<double>(model.experts.total_bytes());
    const double room = static_cast<double>(all.all_slots) * static_cast<double>(all.slot_bytes);
    fmt::print("  slots are as large as the largest expert: {:.1f} % of them is padding\n",
               100 * (1 - used / room));
  }

  static void PrintAttention(const Attention& a) {
    fmt::print("  {:<14}{} heads of {}, ", "attention", a.heads, a.head_dim);
    if (a.latent) {
      fmt::print("a latent vector of {} and a key of {} cached", a.latent->kv_rank, a.rope.dims());
    } else {
      fmt::print("{} for keys and values", a.kv_heads);
    }
    fmt::print(", RoPE base {}", a.rope.theta);
    if (a.rope.scaling != "none") fmt::print(" ({})", a.rope.scaling);
    const auto windowed = std::ranges::count_if(a.windows, [](int64_t w) { return w > 0; });
    if (windowed > 0) {
      fmt::print(", {} layers see {} tokens", windowed, *std::ranges::max_element(a.windows));
    }
    fmt::print("\n");
  }

  static void PrintFfn(const Model& model) {
    const ModelSpec& spec = model.spec;
    if (spec.dense_layers > 0) {
      fmt::print("  {:<14}{} layers, inner width {}\n", "feed-forward", spec.dense_layers,
                 spec.dense_ff);
    }
    if (!spec.has_experts()) {
      fmt::print("  {:<14}none: everything stays in RAM\n", "experts");
      return;
    }
    fmt::print("  {:<14}{} per layer, {} per token, inner width {}, {} to {} each\n", "experts",
               spec.moe.experts, spec.moe.top_k, spec.moe.ff, FormatByteSize(SmallestExpert(model)),
               FormatByteSize(model.experts.largest_bytes()));
    if (spec.moe.shared_ff > 0) {
      fmt::print("  {:<14}inner width {} for every token\n", "shared", spec.moe.shared_ff);
    }
  }

  static uint64_t SmallestExpert(const Model& model) {
    uint64_t smallest = UINT64_MAX;
    for (const ExpertExtent& e : model.experts.extents()) smallest = std::min(smallest, e.bytes());
    return smallest;
  }

  void PrintJson(const Model& model, const std::array<MemoryPlan, 2>& plans) const {
    const ModelSpec& spec = model.spec;
    Json tensors;
    for (const RoleSum& kind : SumRoles(model)) {
      tensors[kind.name] = {{"bytes", kind.bytes}, {"formats", kind.formats}};
    }
    const auto plan = [](const MemoryPlan& p, uint64_t total) {
      return Json{{"process", p.process_bytes}, {"policy", p.policy_bytes},
                  {"dense", p.dense_bytes},     {"kv", p.kv_bytes},
                  {"scratch", p.scratch_bytes}, {"slot_bytes", p.slot_bytes},
                  {"all_slots", p.all_slots},   {"total", total}};
    };
    const Json json = {
        {"model", model.checkpoint.path},
        {"name", spec.name},
        {"architecture", spec.architecture},
        {"kind", model.checkpoint.kind == CheckpointKind::kGguf ? "gguf" : "hugging_face"},
        {"layers", spec.layers},
        {"hidden", spec.hidden},
        {"vocabulary", spec.vocab},
        {"context", spec.context},
        {"heads", spec.attention.heads},
        {"kv_heads", spec.attention.kv_heads},
        {"head_dim", spec.attention.head_dim},
        {"dense_layers", spec.dense_layers},
        {"dense_ff", spec.dense_ff},
        {"experts", spec.moe.experts},
        {"top_k", spec.moe.top_k},
        {"expert_ff", spec.moe.ff},
        {"shared_ff", spec.moe.shared_ff},
        {"tensors", tensors},
        {"planned_context", context_},
        {"memory",
         {{"minimum", plan(plans[0], plans[0].minimum_bytes())},
          {"everything", plan(plans[1], plans[1].everything_bytes())}}}};
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  }

  std::string path_;
  int64_t context_ = 0;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> AddInspectCommand(CLI::App* program) {
  return std::make_unique<InspectCommand>(program);
}

}  // namespace sluice

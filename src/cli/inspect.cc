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
#include "model/embedded_model.h"
#include "model/model.h"
#include "plan/memory_plan.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

struct KindSum {
  std::string name;
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

std::vector<KindSum> SumKinds(const Model& model) {
  KindSum embedding{.name = "embedding"};
  KindSum attention{.name = "attention"};
  KindSum norms{.name = "norms"};
  KindSum routers{.name = "routers"};
  KindSum experts{.name = "experts"};
  KindSum output{.name = "output"};
  embedding.Add(model.dense.embedding);
  norms.Add(model.dense.output_norm);
  if (model.dense.output) output.Add(*model.dense.output);
  for (const LayerTensors& layer : model.dense.layers) {
    for (const TensorExtent* extent : {&layer.q, &layer.k, &layer.v, &layer.o})
      attention.Add(*extent);
    norms.Add(layer.attention_norm);
    norms.Add(layer.ffn_norm);
    if (layer.q_norm) norms.Add(*layer.q_norm);
    if (layer.k_norm) norms.Add(*layer.k_norm);
    routers.Add(layer.router);
  }
  for (const ExpertExtent& expert : model.experts.extents()) {
    for (const TensorExtent* extent : {&expert.gate, &expert.up, &expert.down})
      experts.Add(*extent);
  }
  return {embedding, attention, norms, routers, experts, output};
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
    // What an engine's own process has beyond this one's: threads and their stacks.
    constexpr uint64_t kEngineBytes = 1U << 20;
    ThreadPool pool(1);
    SLUICE_TRY_ASSIGN(auto device, CreateDevice("auto", &pool));
    MemoryRequest request{.budget_bytes = kPlenty,
                          .process_bytes = ResidentBytes() + kEngineBytes,
                          .kv_tokens = context_,
                          .prefill_chunk = 16};
    SLUICE_TRY_ASSIGN(const MemoryPlan least, PlanMemory(model, *device, request));
    request.prefill_chunk = 512;
    SLUICE_TRY_ASSIGN(const MemoryPlan everything, PlanMemory(model, *device, request));
    return std::array{least, everything};
  }

  void PrintText(const Model& model, const std::array<MemoryPlan, 2>& plans) const {
    const ModelSpec& spec = model.spec;
    const Gqa& a = spec.attention;
    fmt::print("{}{}{}\n", model.checkpoint.path, spec.name.empty() ? "" : ": ", spec.name);
    fmt::print("  {:<14}{} ({})\n", "architecture", spec.architecture,
               model.checkpoint.kind == CheckpointKind::kGguf ? "GGUF" : "Hugging Face");
    fmt::print("  {:<14}{} layers, hidden {}, vocabulary {}, context {}\n", "shape", spec.layers,
               spec.hidden, spec.vocab, spec.context);
    fmt::print("  {:<14}{} heads of {}, {} for keys and values, RoPE base {}\n", "attention",
               a.heads, a.head_dim, a.kv_heads, a.rope_theta);
    fmt::print("  {:<14}{} per layer, {} per token, inner width {}, {} to {} each\n", "experts",
               spec.moe.experts, spec.moe.top_k, spec.moe.ff, FormatByteSize(SmallestExpert(model)),
               FormatByteSize(model.experts.largest_bytes()));
    fmt::print("\n  {:<14}{:>12}  {}\n", "tensors", "bytes", "formats");
    for (const KindSum& kind : SumKinds(model)) {
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
    line("dense weights", least.dense_bytes, all.dense_bytes);
    line("KV cache (f16)", least.kv_bytes, all.kv_bytes);
    line("activations and scratch", least.scratch_bytes, all.scratch_bytes);
    line("expert slots", least.slot_bytes, static_cast<uint64_t>(all.all_slots) * all.slot_bytes);
    line("in all (--ram-budget)", least.minimum_bytes(), all.everything_bytes());
    const auto used = static_cast<double>(model.experts.total_bytes());
    const double room = static_cast<double>(all.all_slots) * static_cast<double>(all.slot_bytes);
    fmt::print("  slots are as large as the largest expert: {:.1f} % of them is padding\n",
               100 * (1 - used / room));
  }

  static uint64_t SmallestExpert(const Model& model) {
    uint64_t smallest = UINT64_MAX;
    for (const ExpertExtent& e : model.experts.extents()) smallest = std::min(smallest, e.bytes());
    return smallest;
  }

  void PrintJson(const Model& model, const std::array<MemoryPlan, 2>& plans) const {
    const ModelSpec& spec = model.spec;
    Json tensors;
    for (const KindSum& kind : SumKinds(model)) {
      tensors[kind.name] = {{"bytes", kind.bytes}, {"formats", kind.formats}};
    }
    const auto plan = [](const MemoryPlan& p, uint64_t total) {
      return Json{{"process", p.process_bytes},
                  {"dense", p.dense_bytes},
                  {"kv", p.kv_bytes},
                  {"scratch", p.scratch_bytes},
                  {"slot_bytes", p.slot_bytes},
                  {"all_slots", p.all_slots},
                  {"total", total}};
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
        {"experts", spec.moe.experts},
        {"top_k", spec.moe.top_k},
        {"expert_ff", spec.moe.ff},
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

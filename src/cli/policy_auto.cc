// sluice policy auto: a policy made for this model and this machine.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/policy_actions.h"
#include "device/device.h"
#include "engine/policy_target.h"
#include "machine/machine_profile.h"
#include "model/embedded_model.h"
#include "model/model.h"
#include "plan/auto_policy.h"
#include "plan/memory_plan.h"
#include "plan/probe.h"
#include "policy/prepare.h"
#include "store/expert_store.h"

namespace sluice {
namespace {

class AutoAction final : public PolicyAction {
 public:
  explicit AutoAction(CLI::App* app) {
    app->add_option("-m,--model", model_,
                    "GGUF file or Hugging Face directory (default: rill, the embedded model)");
    app->add_option("--ram-budget", budget_,
                    "memory of the whole process, as for run: 6GiB, 50%, or auto (what is free)")
        ->capture_default_str();
    app->add_option("-c,--ctx-size", context_, "tokens of a sequence")->capture_default_str();
    probe_ = app->add_option("--probe-seconds", probe_seconds_,
                             "measure the disk for this long (default: what `sluice profile` kept, "
                             "if it read the disk of this model, else 0.5)")
                 ->check(CLI::Range(0.05, 60.0));
    app->footer("Example: sluice policy auto -m model.gguf --ram-budget 8GiB > mine.moe");
  }

  int Run() override {
    const Status status = Make();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status Make() {
    SLUICE_TRY_ASSIGN(const Model model, model_.empty() ? OpenEmbeddedModel() : OpenModel(model_));
    if (!model.spec.has_experts()) {
      return InvalidArgumentError(model.checkpoint.path +
                                  " has no experts, so there is nothing for a policy to decide");
    }
    ThreadPool pool(AvailableCores());
    SLUICE_TRY_ASSIGN(const PreparedPolicy usual,
                      PreparePolicy(EngineOptions().policy, {.shape = TargetOf(model)}));
    SLUICE_TRY_ASSIGN(const std::unique_ptr<Device> device, CreateDevice("auto", &pool));
    SLUICE_TRY_ASSIGN(const uint64_t budget, ParseBudget(budget_, ReadMemoryState()));
    const MemoryRequest request{.budget_bytes = budget,
                                .process_bytes = ResidentBytes(),
                                .kv_tokens = std::min(context_, model.spec.context),
                                .threads = pool.size(),
                                .policy = &usual.spec};
    SLUICE_TRY_ASSIGN(const MemoryPlan plan, PlanMemory(model, *device, request));
    SLUICE_TRY_ASSIGN(const MachineSpeed speed, Speed(model));
    fmt::print("{}", MakeAutoPolicy({.model = model.checkpoint.path,
                                     .layers = model.spec.moe_layers(),
                                     .experts = model.spec.moe.experts,
                                     .top_k = model.spec.moe.top_k,
                                     .expert_bytes = plan.slot_bytes,
                                     .dense_layer_bytes = plan.dense_bytes /
                                                          static_cast<uint64_t>(model.spec.layers),
                                     .budget_bytes = budget,
                                     .slots = plan.slots,
                                     .speed = speed}));
    return {};
  }

  // From the machine's profile, if there is one that read the disk of this model.
  Result<MachineSpeed> Speed(const Model& model) const {
    const Result<std::string> path = ProfilePath();
    if (path.ok() && probe_->empty()) {
      const Result<MachineProfile> profile = LoadProfile(*path);
      if (profile.ok() && profile->disk_sustained > 0 &&
          profile->disk_device == DeviceOf(model.checkpoint.path)) {
        return MachineSpeed{.read_bytes_per_second = profile->disk_sustained,
                            .memory_bytes_per_second = profile->memory_huge_one.median};
      }
    }
    if (ShowsProgress()) DrawProgress("measuring the disk", 0.5);
    Result<MachineSpeed> speed = ProbeMachine(model, probe_seconds_);
    if (ShowsProgress()) ClearProgress();
    return speed;
  }

  CLI::Option* probe_ = nullptr;  // owned by the program
  std::string model_;
  std::string budget_ = "auto";
  int64_t context_ = 4096;
  double probe_seconds_ = 0.5;
};

}  // namespace

std::unique_ptr<PolicyAction> NewAutoAction(CLI::App* app) {
  return std::make_unique<AutoAction>(app);
}

}  // namespace sluice

// sluice convert: a model as a GGUF file in other formats.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/byte_size.h"
#include "base/memory.h"
#include "base/stopwatch.h"
#include "base/thread_pool.h"
#include "base/write_file.h"
#include "checkpoint/packed_matrix.h"
#include "cli/command.h"
#include "convert/conversion.h"
#include "model/embedded_model.h"
#include "plan/memory_plan.h"

namespace sluice {
namespace {

const char* NameOf(TensorRole role) {
  switch (role) {
    case TensorRole::kEmbedding:
      return "embedding";
    case TensorRole::kAttention:
      return "attention";
    case TensorRole::kNorms:
      return "norms";
    case TensorRole::kFeedForward:
      return "feed-forward";
    case TensorRole::kSharedExperts:
      return "shared experts";
    case TensorRole::kRouters:
      return "routers";
    case TensorRole::kExperts:
      return "experts";
    case TensorRole::kOutput:
      return "output";
  }
  return "";
}

// What becomes of the tensors of one role.
struct RoleSummary {
  int64_t tensors = 0;
  uint64_t from_bytes = 0;
  uint64_t to_bytes = 0;
  std::set<std::string> from;
  std::set<std::string> to;
};

std::map<TensorRole, RoleSummary> Summarise(const Conversion& conversion) {
  std::map<TensorRole, RoleSummary> summaries;
  for (const TargetTensor& tensor : conversion.tensors()) {
    RoleSummary& summary = summaries[RoleOfName(tensor.name)];
    ++summary.tensors;
    summary.to_bytes += tensor.bytes();
    summary.to.insert(Spec(tensor.format).name);
    for (const TensorExtent& part : tensor.parts) {
      const PackedMatrix* packed = part.packed.matrix;
      summary.from_bytes +=
          packed == nullptr
              ? static_cast<uint64_t>(part.rows * Spec(part.format).row_bytes(part.cols))
              : packed->codes.bytes / static_cast<uint64_t>(packed->rows) *
                    static_cast<uint64_t>(part.rows);
      summary.from.insert(packed == nullptr ? Spec(part.format).name : NameOf(packed->packing));
    }
  }
  return summaries;
}

// Nothing where the system does not say.
std::optional<uint64_t> FreeDiskBytes(const std::string& path) {
  std::error_code failed;
  const auto folder = std::filesystem::absolute(path, failed).parent_path();
  const auto space = std::filesystem::space(folder, failed);
  if (failed) return std::nullopt;
  return static_cast<uint64_t>(space.available);
}

// What the model is read from, and what lies beside it in its directory for others to read.
std::vector<std::string> FilesOf(const Checkpoint& checkpoint) {
  std::vector<std::string> files;
  for (const auto& file : checkpoint.tensors.files()) files.push_back(file->name());
  if (checkpoint.kind != CheckpointKind::kHuggingFace) return files;
  const std::set<std::string> kinds = {".json", ".jinja", ".model", ".safetensors", ".txt"};
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint.path, failed)) {
    if (kinds.contains(entry.path().extension().string())) files.push_back(entry.path().string());
  }
  return files;
}

class ConvertCommand final : public Command {
 public:
  explicit ConvertCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand(
        "convert", "write a model as a GGUF file, in the formats of a file type");
    app->add_option("source", source_,
                    "GGUF file or Hugging Face directory (default: rill, the embedded model)");
    app->add_option("-o,--output", output_, "the GGUF file to write");
    app->add_option("--type", type_,
                    fmt::format("formats of the weights: {}", fmt::join(FileTypeNames(), ", ")))
        ->capture_default_str();
    app->add_option("--ram-budget", ram_budget_,
                    "memory of the whole process: 2GiB, 50% of the machine, or auto (what is free)")
        ->capture_default_str();
    app->add_option("-t,--threads", threads_, "threads that quantize (0: one per core)")
        ->check(CLI::NonNegativeNumber);
    app->add_option("--name", options_.name, "the model's name in the file (default: as it is)");
    app->add_option("--pre", options_.pre_tokenizer,
                    "GGUF's name of how the tokenizer splits text (default: found out)");
    app->add_flag("--dry-run", dry_run_, "only say what would be written, and what it takes");
    app->add_flag("--json", json_, "say it as JSON");
    app->footer(
        "Example: sluice convert Qwen3-30B-A3B -o qwen3-30b-a3b.gguf --type q4_k_m\n"
        "Interrupted, the same command goes on where it was.");
  }

  int Run() override {
    const Status status = Convert();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status Convert() {
    std::ranges::transform(type_, type_.begin(), [](unsigned char c) { return std::tolower(c); });
    options_.file = FindFileType(type_);
    if (options_.file == nullptr) {
      return InvalidArgumentError(fmt::format("there is no type '{}'; there are {}", type_,
                                              fmt::join(FileTypeNames(), ", ")));
    }
    if (output_.empty() && !dry_run_) {
      return InvalidArgumentError("nothing to write: give a file with -o, or only plan: --dry-run");
    }
    SLUICE_TRY_ASSIGN(const uint64_t budget, ParseBudget(ram_budget_, ReadMemoryState()));
    SLUICE_TRY(CheckFolder());
    SLUICE_TRY_ASSIGN(Model model, source_.empty() ? OpenEmbeddedModel()
                                                   : OpenModel(source_, PackedMatrices::kAllowed));
    SLUICE_TRY_ASSIGN(const Conversion conversion, Conversion::Plan(std::move(model), options_));
    SLUICE_TRY(CheckOutput(conversion));
    if (!json_) PrintPlan(conversion);
    if (conversion.source().tokenizer == nullptr) {
      fmt::print(stderr, "{}: has no tokenizer; the file will have none, either\n",
                 conversion.source().checkpoint.path);
    }
    SLUICE_TRY(conversion.CheckBudget(budget));
    SLUICE_TRY(CheckRoom(conversion));
    double seconds = 0;
    if (!dry_run_) {
      const SteadyClock::time_point begin = SteadyClock::now();
      SLUICE_TRY(Write(conversion, budget));
      seconds = SecondsSince(begin);
      if (!json_) {
        fmt::print("{}: written in {:.1f} s\n", output_, seconds);
      }
    }
    if (json_) PrintJson(conversion, seconds);
    return {};
  }

  // Before anything takes long.
  Status CheckFolder() const {
    if (output_.empty()) return {};
    std::error_code failed;
    const auto folder = std::filesystem::absolute(output_, failed).parent_path();
    if (!std::filesystem::is_directory(folder, failed)) {
      return IoError(
          fmt::format("{}: cannot write: there is no folder {}", output_, folder.string()));
    }
    return CheckReplaceable(output_);
  }

  // The writer reserves the room; this says so before, and without writing.
  Status CheckRoom(const Conversion& conversion) const {
    if (output_.empty()) return {};
    struct stat status = {};
    const bool begun = stat((output_ + ".partial").c_str(), &status) == 0;
    const uint64_t reserved = begun ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
    const std::optional<uint64_t> free = FreeDiskBytes(output_);
    if (!free || conversion.target_bytes() <= *free + reserved) return {};
    return IoError(fmt::format("{}: no room for the whole file: it takes {}, and {} are free",
                               output_, FormatByteSize(conversion.target_bytes()),
                               FormatByteSize(*free + reserved)));
  }

  // The source is read until the end: nothing of it can be what is written.
  Status CheckOutput(const Conversion& conversion) const {
    if (output_.empty()) return {};
    for (const std::string& file : FilesOf(conversion.source().checkpoint)) {
      for (const std::string& written : {output_, output_ + ".partial"}) {
        std::error_code ignored;
        if (std::filesystem::equivalent(file, written, ignored)) {
          return InvalidArgumentError(written +
                                      ": is a file of the source; give another name with -o");
        }
      }
    }
    return {};
  }

  Status Write(const Conversion& conversion, uint64_t budget) const {
    ThreadPool pool(threads_ > 0 ? threads_ : AvailableCores());
    SteadyClock::time_point drawn;
    const CatchInterrupt guard;
    Status written = conversion.Write(
        output_,
        {.ram_budget = budget,
         .progress =
             [&](uint64_t done, uint64_t total) {
               if (ShowsProgress() && SteadyClock::now() - drawn > std::chrono::milliseconds(100)) {
                 drawn = SteadyClock::now();
                 DrawProgress("converting", static_cast<double>(done) / static_cast<double>(total));
               }
               return !CatchInterrupt::interrupted();
             },
         .notice = [](const std::string& line) { fmt::print(stderr, "{}\n", line); }},
        &pool);
    if (ShowsProgress()) ClearProgress();
    return written;
  }

  void PrintPlan(const Conversion& conversion) const {
    fmt::print("{} -> {}: {}\n\n", conversion.source().checkpoint.path,
               output_.empty() ? "nothing" : output_, options_.file->name);
    fmt::print("  {:<14}  {:>7}  {:>11}  {:>11}  formats\n", "tensors", "", "from", "to");
    uint64_t from_bytes = 0;
    for (const auto& [role, summary] : Summarise(conversion)) {
      fmt::print("  {:<14}  {:>7}  {:>11}  {:>11}  {} -> {}\n", NameOf(role), summary.tensors,
                 FormatByteSize(summary.from_bytes), FormatByteSize(summary.to_bytes),
                 fmt::join(summary.from, ", "), fmt::join(summary.to, ", "));
      from_bytes += summary.from_bytes;
    }
    fmt::print("  {:<14}  {:>7}  {:>11}  {:>11}\n\n", "in all", conversion.tensors().size(),
               FormatByteSize(from_bytes), FormatByteSize(conversion.target_bytes()));
    fmt::print("  --ram-budget of at least {}MiB, {} of it for the largest piece",
               conversion.least_ram_budget() / (1 << 20) + 1,
               FormatByteSize(conversion.least_buffer_bytes()));
    const std::optional<uint64_t> free = output_.empty() ? std::nullopt : FreeDiskBytes(output_);
    if (free) fmt::print("; free on the disk: {}", FormatByteSize(*free));
    fmt::print("\n");
    std::fflush(stdout);  // before what goes to stderr
  }

  void PrintJson(const Conversion& conversion, double seconds) const {
    nlohmann::json roles = nlohmann::json::object();
    for (const auto& [role, summary] : Summarise(conversion)) {
      roles[NameOf(role)] = {{"tensors", summary.tensors},
                             {"from_bytes", summary.from_bytes},
                             {"to_bytes", summary.to_bytes},
                             {"from", summary.from},
                             {"to", summary.to}};
    }
    const nlohmann::json json = {{"source", conversion.source().checkpoint.path},
                                 {"output", output_},
                                 {"type", options_.file->name},
                                 {"tensors", roles},
                                 {"bytes", conversion.target_bytes()},
                                 {"buffer_bytes", conversion.least_buffer_bytes()},
                                 {"least_ram_budget", conversion.least_ram_budget()},
                                 {"tokenizer", conversion.source().tokenizer != nullptr},
                                 {"written", !dry_run_},
                                 {"seconds", seconds},
                                 {"peak_rss", PeakResidentBytes()}};
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  std::string source_;
  std::string output_;
  std::string type_ = "q4_k_m";
  std::string ram_budget_ = "auto";
  int threads_ = 0;
  bool dry_run_ = false;
  bool json_ = false;
  ConversionOptions options_;
};

}  // namespace

std::unique_ptr<Command> AddConvertCommand(CLI::App* program) {
  return std::make_unique<ConvertCommand>(program);
}

}  // namespace sluice

// Thousands of damaged model files, loaded and run: an answer or a message, never a crash, a hang,
// memory without bound, or logits that are not finite without a word.
//
//   model_mutants CHECKPOINTS [--cases N] [--first N] [--keep]
//
// CHECKPOINTS is what tests/golden/make_checkpoints.py wrote; its small models of every family and
// both kinds of files are damaged in turn. Case n is the same damage for ever, so a finding is
// repeated by --first n --cases 1; with --keep the damaged files stay. Cases run in a child
// process, which is started anew behind a case that kills it. Meant for the sanitizer build, where
// allocations are bounded, too.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "mutants/mutator.h"
#include "mutants/trial.h"

// Of a file of 8 MiB at most. Little of what was freed is kept, so that memory tells.
extern "C" const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "max_allocation_size_mb=256:quarantine_size_mb=4:malloc_context_size=12";
}

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxModelBytes = uint64_t{8} << 20;
constexpr int64_t kMaxModels = 256;
// Far more than any case needs, in a sanitizer build on a busy machine.
constexpr time_t kProcessorSeconds = 20;
constexpr time_t kSeconds = 300;

struct Options {
  std::string checkpoints;
  uint64_t cases = 300;
  uint64_t first = 0;
  bool keep = false;
};

// What parent and child share.
struct Progress {
  std::atomic<uint64_t> next;  // the case that runs, or comes
  std::atomic<uint64_t> findings;
  std::atomic<uint64_t> verdicts[kMaxModels][kVerdicts];
};

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

ModelFiles ReadModel(const fs::path& path) {
  ModelFiles model{.name = path.filename().string()};
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::directory_iterator(path)) {
      model.files[entry.path().filename().string()] = ReadFile(entry.path());
    }
  } else {
    model.files["model.gguf"] = ReadFile(path);
    model.gguf = MapGguf(model.files["model.gguf"]);
  }
  return model;
}

uint64_t BytesOf(const fs::path& path) {
  if (!fs::is_directory(path)) return fs::file_size(path);
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path)) bytes += entry.file_size();
  return bytes;
}

// In the order of their names, so that case n is the same everywhere.
std::vector<ModelFiles> ReadModels(const fs::path& checkpoints) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const bool model = entry.is_directory() || entry.path().extension() == ".gguf";
    if (model && BytesOf(entry.path()) <= kMaxModelBytes) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  paths.resize(std::min<size_t>(paths.size(), kMaxModels));
  std::vector<ModelFiles> models;
  for (const fs::path& path : paths) models.push_back(ReadModel(path));
  return models;
}

// In memory where there is such a file system: 20,000 files of a megabyte.
fs::path Folder() {
  const fs::path base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
  fs::path folder = base / fmt::format("sluice-mutants.{}", getpid());
  fs::create_directories(folder);
  return folder;
}

// A case that takes too long ends the process: by processor time, so that a busy machine does not,
// and by the clock where it waits for something.
void StartTimers() {
  const itimerval busy{.it_interval = {}, .it_value = {.tv_sec = kProcessorSeconds, .tv_usec = 0}};
  const itimerval idle{.it_interval = {}, .it_value = {.tv_sec = kSeconds, .tv_usec = 0}};
  setitimer(ITIMER_VIRTUAL, &busy, nullptr);
  setitimer(ITIMER_REAL, &idle, nullptr);
}

std::string Describe(const ModelFiles& model, uint64_t number, const std::string& damage) {
  return fmt::format("case {}: {}: {}", number, model.name, damage);
}

class Runner {
 public:
  Runner(const Options& options, const std::vector<ModelFiles>& models, Progress* progress)
      : options_(options), models_(models), progress_(*progress), folder_(Folder()) {}
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() {
    if (!options_.keep) fs::remove_all(folder_);
  }

  void RunAll() {
    const uint64_t end = options_.first + options_.cases;
    progress_.next = options_.first;
    while (progress_.next < end) {
      const pid_t child = fork();
      if (child == 0) {
        while (progress_.next < end) RunOne();
        std::exit(0);  // leaks are told here
      }
      int status = 0;
      waitpid(child, &status, 0);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      ++progress_.findings;
      ReportDeath(status);
      ++progress_.next;
    }
  }

  const fs::path& folder() const { return folder_; }

 private:
  const ModelFiles& ModelOf(uint64_t number) const { return models_[number % models_.size()]; }

  void RunOne() {
    const uint64_t number = progress_.next;
    const ModelFiles& model = ModelOf(number);
    std::string damage;
    const auto files = Mutator(number).Damage(model, &damage);
    for (const auto& [name, content] : files) {
      std::ofstream(folder_ / name, std::ios::binary | std::ios::trunc) << content;
    }
    StartTimers();
    const Trial trial = TryModel(model.gguf ? folder_ / "model.gguf" : folder_);
    for (const auto& [name, content] : files) {
      if (!options_.keep) fs::remove(folder_ / name);
    }
    if (options_.keep) {
      fmt::print("{}\n  {}\n", Describe(model, number, damage), trial.message);
    }
    ++progress_.verdicts[number % models_.size()][static_cast<int>(trial.verdict)];
    if (!trial.finding.empty()) {
      ++progress_.findings;
      fmt::print("{}\n  FINDING: {}\n", Describe(model, number, damage), trial.finding);
    }
    std::fflush(stdout);
    ++progress_.next;
  }

  void ReportDeath(int status) const {
    const uint64_t number = progress_.next;
    std::string damage;
    (void)Mutator(number).Damage(ModelOf(number), &damage);
    std::string how = fmt::format("the process ended with code {}", WEXITSTATUS(status));
    if (WIFSIGNALED(status)) {
      const int signal = WTERMSIG(status);
      how = signal == SIGVTALRM || signal == SIGALRM ? "it takes too long"
                                                     : fmt::format("signal {}", signal);
    }
    fmt::print("{}\n  FINDING: {}\n", Describe(ModelOf(number), number, damage), how);
    std::fflush(stdout);
  }

  const Options& options_;
  const std::vector<ModelFiles>& models_;
  Progress& progress_;
  const fs::path folder_;
};

void PrintTable(const std::vector<ModelFiles>& models, const Progress& progress) {
  fmt::print("| model | refused | request failed | not finite, reported | answered |\n");
  fmt::print("| --- | --- | --- | --- | --- |\n");
  uint64_t totals[kVerdicts] = {};
  const auto line = [](const std::string& name, const auto& counts) {
    fmt::print("| {} | {} | {} | {} | {} |\n", name, static_cast<uint64_t>(counts[0]),
               static_cast<uint64_t>(counts[1]), static_cast<uint64_t>(counts[2]),
               static_cast<uint64_t>(counts[3]));
  };
  for (size_t m = 0; m < models.size(); ++m) {
    line(models[m].name, progress.verdicts[m]);
    for (int v = 0; v < kVerdicts; ++v) totals[v] += progress.verdicts[m][v];
  }
  line("all", totals);
}

bool ParseNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseOptions(int count, char** arguments, Options* options) {
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--keep") {
      options->keep = true;
    } else if (argument == "--cases" || argument == "--first") {
      uint64_t* number = argument == "--cases" ? &options->cases : &options->first;
      if (++i == count || !ParseNumber(arguments[i], number)) return false;
    } else {
      options->checkpoints = argument;
    }
  }
  return fs::is_directory(options->checkpoints);
}

int Main(int count, char** arguments) {
  Options options;
  if (!ParseOptions(count, arguments, &options)) {
    fmt::print(stderr, "model_mutants CHECKPOINTS [--cases N] [--first N] [--keep]\n");
    return 2;
  }
  const std::vector<ModelFiles> models = ReadModels(options.checkpoints);
  void* shared =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (models.empty() || shared == MAP_FAILED) {
    fmt::print(stderr, "model_mutants: nothing to damage in {}\n", options.checkpoints);
    return 2;
  }
  auto* progress = static_cast<Progress*>(shared);  // zero pages
  Runner runner(options, models, progress);
  runner.RunAll();
  PrintTable(models, *progress);
  if (options.keep) fmt::print("files are in {}\n", runner.folder().string());
  fmt::print("{} damaged files, {} findings\n", options.cases,
             static_cast<uint64_t>(progress->findings));
  return progress->findings == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice

int main(int count, char** arguments) { return sluice::Main(count, arguments); }

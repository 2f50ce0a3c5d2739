// sluice profile: what this machine can do, measured, shown and kept for other commands.
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "machine/compute_speed.h"
#include "machine/disk_speed.h"
#include "machine/machine_profile.h"

namespace sluice {
namespace {

constexpr double kShortSeconds = 0.5;  // of every figure but the sustained ones
constexpr uint64_t kBufferBytes = 2ULL << 30;
constexpr uint64_t kTemporaryBytes = 2ULL << 30;
constexpr uint64_t kRequests[] = {256ULL << 10, 1ULL << 20, 4ULL << 20};
constexpr int kDepths[] = {1, 4, 16};

// A file in the current folder, of bytes that no disk can leave out. It has no name, so nothing is
// left of it however the program ends.
Result<std::unique_ptr<File>> TemporaryFile() {
  const auto failure = [](int error) {
    return IoError(
        fmt::format("the current folder takes no file of {} to measure its disk with: {}; name a "
                    "file with --file, or write --no-disk",
                    FormatByteSize(kTemporaryBytes), std::generic_category().message(error)));
  };
  const int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return failure(errno);
  std::FILE* out = fdopen(fd, "wb");
  if (out == nullptr) return failure(errno);
  std::vector<uint64_t> words((4U << 20) / sizeof(uint64_t));
  uint64_t next = 1;
  bool written = true;
  for (uint64_t done = 0; done < kTemporaryBytes && written; done += 4U << 20) {
    for (uint64_t& word : words) word = next = next * 6364136223846793005U + 1442695040888963407U;
    written = std::fwrite(words.data(), sizeof(uint64_t), words.size(), out) == words.size();
    if (ShowsProgress()) {
      DrawProgress("writing a file to read",
                   static_cast<double>(done) / static_cast<double>(kTemporaryBytes));
    }
  }
  written = written && std::fflush(out) == 0 && fsync(fd) == 0;
  const int error = errno;
  Result<std::unique_ptr<File>> file =
      written ? File::Open(fmt::format("/proc/self/fd/{}", fd)) : failure(error);
  std::fclose(out);
  return file;
}

class ProfileCommand final : public Command {
 public:
  explicit ProfileCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand(
        "profile", "measure this machine: memory, disk and arithmetic, and remember it");
    app->add_option("--file", file_,
                    "file to read, best a model on the disk that counts (default: a temporary one "
                    "of 2 GiB in the current folder)");
    app->add_option("--seconds", seconds_, "how long to read for the sustained figures")
        ->check(CLI::Range(1.0, 3600.0))
        ->capture_default_str();
    app->add_flag("--no-disk", no_disk_, "measure memory and arithmetic only");
    app->add_option("-t,--threads", threads_, "threads of \"all\" (0: one per core)")
        ->check(CLI::Range(0, 1024));
    app->add_option("-o,--output", output_,
                    "keep the profile in this file (default: sluice/profile.json in the cache "
                    "folder, where other commands look)");
    app->add_flag("--json", json_, "print JSON");
    app->footer("Example: sluice profile --file model.gguf --seconds 60");
  }

  int Run() override {
    const Status status = Measure();
    if (ShowsProgress()) ClearProgress();
    if (!status.ok()) return Report(status);
    json_ ? fmt::print("{}", ProfileJson(profile_)) : PrintTable();
    return kExitOk;
  }

 private:
  Status Measure() {
    profile_.threads = threads_ > 0 ? threads_ : AvailableCores();
    profile_.cpu = CpuName();
    const std::time_t now = std::time(nullptr);
    profile_.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
    SLUICE_TRY(MeasureMemory());
    MeasureCompute();
    if (!no_disk_) SLUICE_TRY(MeasureDisk());
    if (output_.empty()) {
      SLUICE_TRY_ASSIGN(output_, ProfilePath());
    }
    return StoreProfile(profile_, output_);
  }

  void Show(const char* what, double fraction) const {
    if (ShowsProgress()) DrawProgress(what, fraction);
  }

  Status MeasureMemory() {
    const uint64_t bytes = std::min(kBufferBytes, ReadMemoryState().available_bytes / 4);
    struct Case {
      PageKind pages;
      int threads;
      Rate* rate;
    };
    const Case cases[] = {{PageKind::kHuge, 1, &profile_.memory_huge_one},
                          {PageKind::kHuge, profile_.threads, &profile_.memory_huge_all},
                          {PageKind::kSmall, 1, &profile_.memory_small_one},
                          {PageKind::kSmall, profile_.threads, &profile_.memory_small_all}};
    double done = 0;
    for (const Case& c : cases) {
      Show("memory", done++ / 4);
      SLUICE_TRY_ASSIGN(*c.rate, MeasureMemoryRead(c.pages, c.threads, bytes, kShortSeconds));
    }
    return {};
  }

  void MeasureCompute() {
    struct Case {
      DotProduct product;
      std::string* isa;
      Rate* one;
      Rate* all;
    };
    const Case cases[] = {
        {DotProduct::kInt8, &profile_.int8_isa, &profile_.int8_one, &profile_.int8_all},
        {DotProduct::kBf16, &profile_.bf16_isa, &profile_.bf16_one, &profile_.bf16_all},
        {DotProduct::kF32, &profile_.f32_isa, &profile_.f32_one, &profile_.f32_all}};
    double done = 0;
    for (const Case& c : cases) {
      Show("arithmetic", done++ / 3);
      if (InstructionSet(c.product) == nullptr) continue;
      *c.isa = InstructionSet(c.product);
      *c.one = MeasureProducts(c.product, 1, kShortSeconds);
      *c.all = MeasureProducts(c.product, profile_.threads, kShortSeconds);
    }
    profile_.clock_hz = MeasureClock(kShortSeconds);
  }

  Status MeasureDisk() {
    Result<std::unique_ptr<File>> opened = file_.empty() ? TemporaryFile() : File::Open(file_);
    if (!opened.ok()) return opened.status();
    const std::unique_ptr<File> file = *std::move(opened);
    constexpr uint64_t kLeast = 64ULL << 20;
    if (file->bytes() < kLeast) {
      return InvalidArgumentError(
          fmt::format("{}: {} are too few to measure a disk with; it takes "
                      "{}",
                      file_, FormatByteSize(file->bytes()), FormatByteSize(kLeast)));
    }
    profile_.disk_device = DeviceOf(file_.empty() ? "." : file_);
    double best = 0;
    double done = 0;
    for (const uint64_t request : kRequests) {
      for (const int depth : kDepths) {
        Show("disk", done++ / 9);
        SLUICE_TRY_ASSIGN(const DiskRate rate,
                          MeasureDirectRead(*file, request, depth, kShortSeconds, {}));
        profile_.disk.push_back(
            {.request_bytes = request, .depth = depth, .bytes_per_s = rate.bytes_per_s});
        if (rate.bytes_per_s <= best) continue;
        best = rate.bytes_per_s;
        profile_.disk_request_bytes = request;
        profile_.disk_depth = depth;
      }
    }
    profile_.disk_seconds = seconds_;
    const auto sustained = [&](const char* label) {
      return MeasureDirectRead(*file, profile_.disk_request_bytes, profile_.disk_depth, seconds_,
                               [&](double now) { Show(label, now / seconds_); });
    };
    SLUICE_TRY_ASSIGN(const DiskRate idle, sustained("disk, sustained"));
    profile_.disk_sustained = idle.bytes_per_s;
    profile_.disk_worst_second = idle.worst_second;
    std::atomic<bool> stop{false};
    std::vector<std::jthread> burners;
    burners.reserve(static_cast<size_t>(profile_.threads));
    for (int t = 0; t < profile_.threads; ++t) burners.emplace_back([&stop] { BurnUntil(stop); });
    const Result<DiskRate> busy = sustained("disk beside busy cores");
    stop = true;
    if (!busy.ok()) return busy.status();
    profile_.disk_busy = busy->bytes_per_s;
    return {};
  }

  void PrintTable() const {
    const MachineProfile& p = profile_;
    fmt::print("{}, {} threads, {:.2f} GHz, {}\n\n", p.cpu, p.threads, p.clock_hz / 1e9, p.date);
    fmt::print("{:<34}{:>12}{:>12}{:>12}{:>12}\n", "", "1 thread", "median",
               fmt::format("{} threads", p.threads), "median");
    const auto row = [](const std::string& name, const char* unit, const Rate& one,
                        const Rate& all) {
      fmt::print("{:<34}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}\n", name + ", " + unit, one.best / 1e9,
                 one.median / 1e9, all.best / 1e9, all.median / 1e9);
    };
    row("memory, huge pages", "GB/s", p.memory_huge_one, p.memory_huge_all);
    row("memory, 4 KiB pages", "GB/s", p.memory_small_one, p.memory_small_all);
    row("int8 (" + p.int8_isa + ")", "GMAC/s", p.int8_one, p.int8_all);
    if (!p.bf16_isa.empty()) row("bf16 (" + p.bf16_isa + ")", "GMAC/s", p.bf16_one, p.bf16_all);
    row("f32 (" + p.f32_isa + ")", "GMAC/s", p.f32_one, p.f32_all);
    if (!p.disk.empty()) PrintDisk();
    fmt::print("\nkept in {}\n", output_);
  }

  void PrintDisk() const {
    const MachineProfile& p = profile_;
    fmt::print("\n{:<34}", "direct reads, GB/s; under way:");
    for (const int depth : kDepths) fmt::print("{:>12}", depth);
    for (size_t i = 0; i < p.disk.size(); ++i) {
      if (i % std::size(kDepths) == 0) {
        fmt::print("\n{:<34}", "  " + FormatByteSize(p.disk[i].request_bytes));
      }
      fmt::print("{:>12.2f}", p.disk[i].bytes_per_s / 1e9);
    }
    fmt::print(
        "\n  {} x {} for {:.0f} s: {:.2f} GB/s, slowest second {:.2f}; beside busy cores {:.2f}\n",
        p.disk_depth, FormatByteSize(p.disk_request_bytes), p.disk_seconds, p.disk_sustained / 1e9,
        p.disk_worst_second / 1e9, p.disk_busy / 1e9);
  }

  std::string file_;
  double seconds_ = 10;
  bool no_disk_ = false;
  int threads_ = 0;
  std::string output_;
  bool json_ = false;
  MachineProfile profile_;
};

}  // namespace

std::unique_ptr<Command> AddProfileCommand(CLI::App* program) {
  return std::make_unique<ProfileCommand>(program);
}

}  // namespace sluice

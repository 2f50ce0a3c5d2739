// The n-th operation fails, for every n: reads, opens, large allocations; a file that is cut,
// written to or replaced in the middle. rill, as a file on disk, has to open with a message or to
// answer: every request gets the right bytes or a message that names the file, and once the fault
// is over the next one gets the right bytes. docs/robustness.md has the counts.
//
// SLUICE_FAULT_STRIDE=1 tries every n; the default leaves some out, so that it takes seconds.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "faults/fault_shim.h"
#include "model/embedded_model.h"
#include "sluice/engine.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kPrompt[] = "sort: 7 3 9 1 =";
constexpr char kOtherPrompt[] = "next: 7 12 17 22 =";

// There are a thousand reads, and few opens and allocations.
uint64_t Stride(FaultOperation operation) {
  if (operation != FaultOperation::kRead) return 1;
  const char* text = std::getenv("SLUICE_FAULT_STRIDE");  // NOLINT(concurrency-mt-unsafe)
  return text == nullptr ? 97 : std::strtoull(text, nullptr, 10);
}

struct Answer {
  Status status;
  std::string text;
  std::vector<float> logits;
  bool operator==(const Answer& other) const {
    return text == other.text && logits == other.logits;
  }
};

Answer Read(Result<TokenStream> stream) {
  Answer answer{.status = stream.status(), .text = {}, .logits = {}};
  while (answer.status.ok()) {
    const Result<std::optional<Event>> event = stream->Next();
    answer.status = event.status();
    if (!event.ok() || !event->has_value()) break;
    const FaultsSpared spare;
    answer.text += (*event)->text;
    answer.logits.insert(answer.logits.end(), (*event)->logits.begin(), (*event)->logits.end());
  }
  return answer;
}

Result<TokenStream> Submit(Engine* engine, const char* prompt) {
  return engine->Submit({.prompt = prompt, .max_tokens = 8, .logits = LogitsWanted::kAll});
}

// What a run came to: whether it opened, two requests at once, and one after the fault.
struct Outcome {
  Status opened;
  Answer first;
  Answer second;
  Answer later;
};

class FaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    WriteModel();
    // A quarter of the experts have slots, so that reads go on to the end.
    std::ofstream(policy_) << "policy few_slots { cache { capacity = 8 eviction = lru } }";
    clean_ = Run();
    ASSERT_TRUE(clean_.opened.ok()) << clean_.opened.message();
    ASSERT_TRUE(clean_.first.status.ok() && clean_.second.status.ok() && clean_.later.status.ok());
    ASSERT_EQ(clean_.first.text, " 1 3 7 9");
    ASSERT_EQ(clean_.later, clean_.first);
  }
  void TearDown() override {
    SetFault({});
    RefuseIoUring(false);
    fs::remove_all(folder_);
  }

  void WriteModel() const {
    const auto embedded = OpenEmbeddedFile().value();
    std::ofstream(path_, std::ios::binary) << *embedded->ReadAll(64U << 20);
    // An old file: clocks of file systems tick in milliseconds, and tests are fast.
    fs::last_write_time(path_, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }

  Outcome Run() const {
    Outcome outcome;
    auto engine = Engine::Open({.model = path_,
                                .ram_budget = "1GiB",
                                .threads = 2,
                                .context_tokens = 64,
                                .parallel = 2,
                                .prefill_chunk = 16,
                                .policy = policy_});
    outcome.opened = engine.status();
    if (!engine.ok()) return outcome;
    Result<TokenStream> first = Submit(engine->get(), kPrompt);
    Result<TokenStream> second = Submit(engine->get(), kOtherPrompt);
    outcome.first = Read(std::move(first));
    outcome.second = Read(std::move(second));
    outcome.later = Read(Submit(engine->get(), kPrompt));
    if (outcome.later.status.ok()) return outcome;
    // It may have been the one that was hit.
    outcome.later = Read(Submit(engine->get(), kPrompt));
    return outcome;
  }

  void ExpectToldOrRight(const Answer& answer, const Answer& right, const std::string& what) const {
    if (answer.status.ok()) {
      EXPECT_TRUE(answer == right) << what << ": a wrong answer: " << answer.text;
    } else {
      EXPECT_NE(answer.status.message().find(folder_.string()), std::string::npos)
          << what << ": a message that does not name the file: " << answer.status.message();
    }
  }

  enum class Recovery {
    kNextIsRight,  // the engine goes on
    kMayFail,      // the file or the engine is no longer what it was
  };
  void ExpectSane(const Outcome& outcome, Recovery recovery, const std::string& what) {
    if (!outcome.opened.ok()) {
      ++refused_;
      EXPECT_NE(outcome.opened.message().find(folder_.string()), std::string::npos)
          << what << ": a message that does not name the file: " << outcome.opened.message();
      return;
    }
    ExpectToldOrRight(outcome.first, clean_.first, what);
    ExpectToldOrRight(outcome.second, clean_.second, what);
    ExpectToldOrRight(outcome.later, clean_.later, what);
    if (recovery == Recovery::kNextIsRight) {
      EXPECT_TRUE(outcome.later.status.ok()) << what << ": " << outcome.later.status.message();
    }
    const bool failed =
        !outcome.first.status.ok() || !outcome.second.status.ok() || !outcome.later.status.ok();
    ++(failed ? failed_ : unharmed_);
  }

  // Fault by fault, until one comes too late to happen.
  void ForEveryOperation(FaultOperation operation, FaultKind kind, Recovery recovery,
                         const std::string& name, const std::function<void()>& call = {}) {
    refused_ = failed_ = unharmed_ = 0;
    uint64_t n = 1;
    uint64_t seen = 0;
    for (;; n += Stride(operation)) {
      SetFault({.operation = operation, .kind = kind, .nth = n, .call = call});
      const Outcome outcome = Run();
      const bool happened = FaultHappened();
      seen = OperationsSeen();
      SetFault({});
      ExpectSane(outcome, recovery, fmt::format("{} at operation {}", name, n));
      if (kind == FaultKind::kCall) WriteModel();
      if (!happened || HasFailure()) break;
    }
    fmt::print("| {} | {} | {} | {} | {} | {} |\n", name, seen, refused_ + failed_ + unharmed_,
               refused_, failed_, unharmed_);
    EXPECT_GT(n, 1U) << name << " never happened";
  }

  const fs::path folder_ = fs::temp_directory_path() / fmt::format("sluice_faults_{}", getpid());
  const std::string path_ = (folder_ / "rill.gguf").string();
  const std::string policy_ = (folder_ / "few_slots.moe").string();
  Outcome clean_;
  int refused_ = 0;
  int failed_ = 0;
  int unharmed_ = 0;
};

TEST_F(FaultsTest, ReadsFail) {
  fmt::print("| fault | operations | runs | refused to open | a request failed | no harm |\n");
  fmt::print("| --- | --- | --- | --- | --- | --- |\n");
  for (const bool threads : {false, true}) {
    RefuseIoUring(threads);
    const std::string how = threads ? " (threads)" : " (io_uring)";
    using enum FaultKind;
    const auto reads = [&](FaultKind kind, const std::string& name) {
      ForEveryOperation(FaultOperation::kRead, kind, Recovery::kNextIsRight, name + how);
    };
    reads(kError, "read error");
    reads(kShort, "short read");
    reads(kEnd, "read meets the end");
    reads(kInterrupt, "interrupted read");
  }
}

TEST_F(FaultsTest, TheFileChanges) {
  const auto change = [&](const std::string& name, Recovery recovery,
                          const std::function<void()>& call) {
    ForEveryOperation(FaultOperation::kRead, FaultKind::kCall, recovery, name, call);
  };
  change("file cut to half", Recovery::kMayFail,
         [&] { fs::resize_file(path_, fs::file_size(path_) / 2); });
  change("file emptied", Recovery::kMayFail, [&] { fs::resize_file(path_, 0); });
  change("file overwritten", Recovery::kMayFail, [&] {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(path_) / 2));
    file << std::string(64U << 10, 'x');
  });
  // Who has a file open keeps it.
  change("file replaced", Recovery::kNextIsRight, [&] {
    std::ofstream(path_ + ".new") << "another";
    fs::rename(path_ + ".new", path_);
  });
  change("file removed", Recovery::kNextIsRight, [&] { fs::remove(path_); });
}

TEST_F(FaultsTest, OpeningFails) {
  ForEveryOperation(FaultOperation::kOpen, FaultKind::kError, Recovery::kNextIsRight, "open");
}

// Every door of the engine, not only those that a request comes through.
TEST_F(FaultsTest, MemoryIsShortForText) {
  const auto opened = Engine::Open({.ram_budget = "256MiB"});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const Engine& engine = **opened;
  const std::string text(64U << 10, 'a');
  const std::vector<int32_t> ids = engine.Encode(text).value();
  const std::vector<ChatMessage> messages{{.role = "user", .content = text}};
  const std::function<Status()> doors[] = {[&] { return engine.Encode(text).status(); },
                                           [&] { return engine.Decode(ids).status(); },
                                           [&] { return engine.FormatChat(messages).status(); },
                                           [&] { return engine.EncodeChat(messages).status(); }};
  for (const std::function<Status()>& door : doors) {
    SetFault({.operation = FaultOperation::kAllocate, .nth = 1});
    const Status status = door();
    SetFault({});
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
  }
}

TEST_F(FaultsTest, MemoryIsShort) {
  ForEveryOperation(FaultOperation::kAllocate, FaultKind::kError, Recovery::kMayFail,
                    "4 KiB of memory or more");
}

}  // namespace
}  // namespace sluice

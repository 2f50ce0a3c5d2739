// The store on the embedded model's real experts: with every size of arena, both kinds of reads,
// and the reference device, whose layout is the file's own, what Next() shows must be the file's
// bytes.
#include "store/expert_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "model/embedded_model.h"

namespace sluice {
namespace {

// The model as a file of its own, which a test may damage.
class ExpertStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("sluice_store_test_" + std::to_string(getpid()) + ".gguf");
    const auto embedded = OpenEmbeddedFile().value();
    std::ofstream(path_, std::ios::binary) << *embedded->ReadAll(64U << 20);
    model_ = std::make_unique<Model>(OpenModel(path_.string()).value());
    device_ = CreateDevice("reference", &pool_).value();
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<ExpertStore> Store(int64_t slots, ReadQueue::Backend backend) {
    PolicySpec policy;
    policy.cache.eviction.primary = "lru";
    return Store(policy, slots, backend);
  }
  std::unique_ptr<ExpertStore> Store(const PolicySpec& policy, int64_t slots,
                                     ReadQueue::Backend backend) {
    core_ =
        DecisionCore::Create(
            policy,
            {.shape = {.layers = 6, .experts = 32}, .top_k = 4, .slots = slots, .expert_bytes = 1})
            .value();
    const uint64_t read = model_->experts.extents()[0].gate.bytes;
    return ExpertStore::Create(*model_, *device_, &pool_, core_.get(),
                               {.bytes_in_flight = 4 * read, .backend = backend})
        .value();
  }
  void Begin(ExpertStore* store, int32_t layer, const std::vector<ExpertGroup>& groups) {
    routed_.clear();
    for (const ExpertGroup& group : groups) routed_.push_back(group.expert);
    core_->BeginStep(1);
    store->Begin({.layer = layer, .tokens = 1, .experts = routed_}, groups);
  }

  // Distinct experts, each with one assignment.
  std::vector<ExpertGroup> Groups(int64_t count) {
    std::vector<int32_t> all(static_cast<size_t>(model_->spec.moe.experts));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    std::ranges::shuffle(all, random_);
    std::vector<ExpertGroup> groups;
    for (int64_t i = 0; i < count; ++i) {
      groups.push_back({.expert = all[static_cast<size_t>(i)], .assignments = {0}});
    }
    return groups;
  }

  void ExpectFileBytes(const WeightView& view, const TensorExtent& extent) {
    std::vector<std::byte> expected(extent.bytes);
    ASSERT_TRUE(extent.file->ReadAt(extent.offset, expected).ok());
    EXPECT_EQ(view.rows, extent.rows);
    EXPECT_EQ(view.cols, extent.cols);
    EXPECT_EQ(std::memcmp(view.bytes, expected.data(), expected.size()), 0);
  }

  // Runs one call to its end; every group must come exactly once, with the right bytes.
  Status Call(ExpertStore* store, int32_t layer, const std::vector<ExpertGroup>& groups) {
    Begin(store, layer, groups);
    std::set<size_t> seen;
    while (true) {
      SLUICE_TRY_ASSIGN(const std::span<const ReadyExpert> ready, store->Next());
      if (ready.empty()) break;
      for (const ReadyExpert& expert : ready) {
        EXPECT_TRUE(seen.insert(expert.group).second);
        const ExpertExtent& extent = model_->experts.Find({layer, groups[expert.group].expert});
        ExpectFileBytes(expert.weights.gate, extent.gate);
        ExpectFileBytes(expert.weights.up, extent.up);
        ExpectFileBytes(expert.weights.down, extent.down);
      }
    }
    EXPECT_EQ(seen.size(), groups.size());
    return {};
  }

  std::filesystem::path path_;
  std::mt19937 random_{11};
  ThreadPool pool_{2};
  std::unique_ptr<Model> model_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<DecisionCore> core_;
  std::vector<int32_t> routed_;
};

TEST_F(ExpertStoreTest, EveryArenaServesEveryCall) {
  for (const auto backend : {ReadQueue::Backend::kAuto, ReadQueue::Backend::kThreads}) {
    for (const int64_t slots : {1, 2, 5, 12, 50, 1000}) {
      auto store = Store(slots, backend);
      EXPECT_LE(core_->slots(), 192);
      for (int call = 0; call < 40; ++call) {
        const int64_t count = call % 8 == 0 ? 32 : 4;  // prefill touches all experts
        ASSERT_TRUE(Call(store.get(), call % 6, Groups(count)).ok());
      }
      const DecisionCounts counts = core_->totals();
      EXPECT_EQ(counts.accesses, counts.hits + counts.demand_misses);
      EXPECT_GE(store->stats().bytes_read,
                counts.demand_misses * model_->experts.extents()[0].bytes());
    }
  }
}

// Guesses that come true, that are overtaken by demands while they are read, and that are displaced
// before anybody asked: what is handed out is always the expert's bytes.
TEST_F(ExpertStoreTest, PrefetchesNeverShowInTheBytes) {
  for (const auto backend : {ReadQueue::Backend::kAuto, ReadQueue::Backend::kThreads}) {
    for (const PrefetchInsert insert :
         {PrefetchInsert::kStaging, PrefetchInsert::kCold, PrefetchInsert::kHot}) {
      for (const int64_t slots : {7, 20, 60, 150}) {
        PolicySpec policy;
        policy.cache.eviction.primary = "lru";
        policy.cache.init = Init::kFirst;
        policy.prefetch[0] = {.strategies = {"all"}, .insert = insert, .max_inflight = 3};
        auto store = Store(policy, slots, backend);
        for (int call = 0; call < 60; ++call) {
          const int64_t count = call % 16 == 0 ? 32 : 4;
          ASSERT_TRUE(Call(store.get(), call % 6, Groups(count)).ok());
        }
        // Too few slots for what the layers choose at once leave none for guesses to wait in.
        const bool room = insert != PrefetchInsert::kStaging || core_->staging_slots() > 0;
        EXPECT_TRUE(room || slots < 60);
        EXPECT_EQ(core_->totals().prefetches > 0, room) << slots;
      }
    }
  }
}

TEST_F(ExpertStoreTest, OnceEverythingIsThereNothingIsRead) {
  auto store = Store(192, ReadQueue::Backend::kAuto);
  for (int32_t layer = 0; layer < 6; ++layer)
    ASSERT_TRUE(Call(store.get(), layer, Groups(32)).ok());
  const uint64_t read = store->stats().bytes_read;
  for (int32_t layer = 0; layer < 6; ++layer)
    ASSERT_TRUE(Call(store.get(), layer, Groups(32)).ok());
  EXPECT_EQ(store->stats().bytes_read, read);
  EXPECT_EQ(core_->totals().hits, 192U);
}

TEST_F(ExpertStoreTest, AFailedReadEndsItsCallOnly) {
  for (const auto backend : {ReadQueue::Backend::kAuto, ReadQueue::Backend::kThreads}) {
    for (const int64_t slots : {2, 20, 192}) {
      SetUp();
      // Cut the file in the middle: some experts' bytes are gone. Its time stays, or the others
      // would not be trusted either.
      const uint64_t half = std::filesystem::file_size(path_) / 2;
      const auto time = std::filesystem::last_write_time(path_);
      auto store = Store(slots, backend);
      std::filesystem::resize_file(path_, half);
      std::filesystem::last_write_time(path_, time);
      const auto readable = [&](int32_t layer, const ExpertGroup& group) {
        const ExpertExtent& extent = model_->experts.Find({layer, group.expert});
        for (const TensorExtent* part : {&extent.gate, &extent.up, &extent.down}) {
          if (part->offset + part->bytes > half) return false;
        }
        return true;
      };
      int failed = 0;
      for (int call = 0; call < 60; ++call) {
        const int32_t layer = call % 6;
        const std::vector<ExpertGroup> groups = Groups(call % 10 == 0 ? 32 : 4);
        const bool all_readable =
            std::ranges::all_of(groups, [&](const ExpertGroup& g) { return readable(layer, g); });
        const Status status = all_readable ? Call(store.get(), layer, groups) : [&] {
          Begin(store.get(), layer, groups);
          while (true) {
            const auto ready = store->Next();
            if (!ready.ok()) return ready.status();
            if (ready->empty()) return Status();
          }
        }();
        EXPECT_EQ(status.ok(), all_readable) << status.message();
        if (!status.ok()) {
          ++failed;
          EXPECT_NE(status.message().find("shortened"), std::string::npos) << status.message();
          EXPECT_NE(status.message().find(path_.string()), std::string::npos);
        }
      }
      EXPECT_GT(failed, 0);
    }
  }
}

}  // namespace
}  // namespace sluice

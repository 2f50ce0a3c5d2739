// Engine: opens everything, owns everything, and runs the one thread that decides.
//
// Submit() puts a request into a queue and wakes the engine thread; the thread takes requests
// between steps. All bookkeeping of sequences, caches and slots belongs to that thread.
#include "sluice/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "base/memory.h"
#include "base/stopwatch.h"
#include "base/thread_pool.h"
#include "cache/decision_core.h"
#include "device/device.h"
#include "engine/channel.h"
#include "engine/chat_format.h"
#include "engine/decoder.h"
#include "engine/policy_target.h"
#include "engine/scheduler.h"
#include "model/embedded_model.h"
#include "plan/memory_plan.h"
#include "policy/prepare.h"
#include "store/dense_weights.h"
#include "store/expert_store.h"

namespace sluice {
namespace {

constexpr int64_t kDefaultContext = 4096;
constexpr size_t kMaxWaiting = 1024;
constexpr int kMaxThreads = 1024;
constexpr int kMaxTopLogprobs = 20;
// What the disk is taken to carry while one layer computes, for `budget = idle`: 1 ms at 1.2 GB/s.
constexpr double kLinkBytesPerCall = 1.2e6;

Result<KvFormat> ParseKvFormat(const std::string& name) {
  if (name == "f32") return KvFormat::kF32;
  if (name == "f16") return KvFormat::kF16;
  if (name == "bf16") return KvFormat::kBF16;
  if (name == "q8_0") return KvFormat::kQ8_0;
  return InvalidArgumentError(
      fmt::format("there is no KV cache format '{}'; there are f32, f16, bf16, q8_0", name));
}

Status CheckOptions(const EngineOptions& options) {
  const auto check = [](bool ok, const char* what, int64_t value) {
    return ok ? Status()
              : InvalidArgumentError(fmt::format("{} of {} makes no sense", what, value));
  };
  SLUICE_TRY(check(options.threads >= 0 && options.threads <= kMaxThreads, "a number of threads",
                   options.threads));
  SLUICE_TRY(check(options.context_tokens >= 0, "a context", options.context_tokens));
  SLUICE_TRY(check(options.parallel >= 1 && options.parallel <= 4096,
                   "a number of parallel sequences", options.parallel));
  return check(options.prefill_chunk >= 1 && options.prefill_chunk <= 65536, "a prefill chunk",
               options.prefill_chunk);
}

Status OutOfMemory(const std::string& model) {
  return ResourceExhaustedError(model + ": the system gives no more memory");
}

// What `call` gives. The doors are where the library's own exception, that memory is short, becomes
// a status: headers, vocabularies, prompts and activations are large, and what they were half made
// into is gone by then.
template <typename Call>
auto WithMemory(const std::string& model, const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(model);
  }
}

}  // namespace

const char* FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kEndOfText:
      return "end_of_text";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kMaxTokens:
      return "max_tokens";
    case FinishReason::kContextFull:
      return "context_full";
  }
  return "unknown";
}

class Engine::Impl {
 public:
  explicit Impl(Model model) : model_(std::move(model)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  Status Start(const EngineOptions& options);
  Result<TokenStream> Submit(Request request);
  EngineStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  const Model& model() const { return model_; }
  const ChatFormat& chat_format() const { return *chat_format_; }

 private:
  struct Submitted {
    Request request;
    std::shared_ptr<TokenStream::Channel> channel;
    SteadyClock::time_point time;
    int64_t limit;
  };

  Result<MemoryPlan> Plan(const EngineOptions& options);
  Status CreateCore(const MemoryPlan& plan);
  // All that is there for experts: core, store, trace. A dense model has none of it.
  Status StartExperts(const EngineOptions& options, const MemoryPlan& plan);
  ClockReadings ReadClocks() const;
  Result<std::vector<int32_t>> PromptIds(const Request& request) const;
  void Loop();
  bool TakeSubmitted();
  void Step();
  void BeginExpertStep();
  void PublishStats();

  // Constant after Start().
  const Model model_;
  std::optional<ChatFormat> chat_format_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<DenseWeights> weights_;
  int64_t context_tokens_ = 0;
  PreparedPolicy policy_;

  // Engine thread only.
  KvCache kv_;
  std::unique_ptr<DecisionCore> core_;
  std::unique_ptr<ExpertStore> store_;
  std::unique_ptr<TraceWriter> trace_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Scheduler> scheduler_;
  Batch batch_;
  SamplingScratch sampling_;
  uint64_t steps_ = 0;
  int64_t next_id_ = 0;
  const SteadyClock::time_point opened_ = SteadyClock::now();
  double last_step_seconds_ = 0;
  int64_t last_step_tokens_ = 0;
  double stall_before_ = 0;  // of the last step

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable wake_;
  std::deque<Submitted> submitted_;
  size_t waiting_ = 0;  // in the scheduler, when it was last asked
  bool stop_ = false;
  Status end_;  // why the engine thread has ended
  EngineStats stats_;

  std::jthread thread_;  // last: it uses everything above
};

Result<MemoryPlan> Engine::Impl::Plan(const EngineOptions& options) {
  context_tokens_ = options.context_tokens > 0 ? options.context_tokens
                                               : std::min(model_.spec.context, kDefaultContext);
  if (context_tokens_ > model_.spec.context) {
    return InvalidArgumentError(fmt::format("a context of {} tokens; {} was made for at most {}",
                                            context_tokens_, model_.checkpoint.path,
                                            model_.spec.context));
  }
  SLUICE_TRY_ASSIGN(const KvFormat kv_format, ParseKvFormat(options.kv_cache));
  const KvLayout layout = KvLayoutOf(model_.spec, kv_format);
  if (kv_format == KvFormat::kQ8_0 && (layout.key_dim % 32 != 0 || layout.value_dim % 32 != 0)) {
    return InvalidArgumentError("a q8_0 KV cache needs heads whose size is a multiple of 32");
  }
  SLUICE_TRY_ASSIGN(const uint64_t budget, ParseBudget(options.ram_budget, ReadMemoryState()));
  // Every sequence rounds up to whole pages.
  const int64_t pages = (context_tokens_ + kPageTokens - 1) / kPageTokens;
  SLUICE_TRY_ASSIGN(MemoryPlan plan,
                    PlanMemory(model_, *device_,
                               {.budget_bytes = budget,
                                .process_bytes = ResidentBytes(),
                                .kv_tokens = pages * kPageTokens * options.parallel,
                                .sequences = options.parallel,
                                .prefill_chunk = options.prefill_chunk,
                                .kv_format = kv_format,
                                .threads = pool_->size(),
                                .policy = &policy_.spec}));
  Result<KvCache> kv =
      KvCache::Create(model_.spec, kv_format, pages * kPageTokens * options.parallel);
  if (!kv.ok()) return kv.status().Annotate(model_.checkpoint.path);
  kv_ = *std::move(kv);
  return plan;
}

Status Engine::Impl::CreateCore(const MemoryPlan& plan) {
  const TargetModel shape = TargetOf(model_);
  const DecisionCore::Setup setup{.shape = {.layers = shape.layers, .experts = shape.experts},
                                  .top_k = shape.top_k,
                                  .slots = plan.slots,
                                  .expert_bytes = shape.expert_bytes,
                                  .link = {.bytes_per_call = kLinkBytesPerCall},
                                  .popularity = policy_.popularity,
                                  .table = policy_.table};
  SLUICE_TRY_ASSIGN(core_, DecisionCore::Create(policy_.spec, setup));
  return {};
}

// What the clock says to rules of the policy that ask.
ClockReadings Engine::Impl::ReadClocks() const {
  const StoreStats& store = store_->stats();
  return {.seconds = SecondsSince(opened_),
          .stall_ms = (store.stall_seconds - stall_before_) * 1e3,
          .tokens_per_second = last_step_seconds_ > 0
                                   ? static_cast<double>(last_step_tokens_) / last_step_seconds_
                                   : 0,
          .slow_mbps = store.read_seconds > 0
                           ? static_cast<double>(store.bytes_read) / store.read_seconds / 1e6
                           : 0,
          .queue_depth = static_cast<double>(store_->queue_depth()),
          .free_memory_bytes = static_cast<double>(ReadMemoryState().available_bytes)};
}

Status Engine::Impl::StartExperts(const EngineOptions& options, const MemoryPlan& plan) {
  SLUICE_TRY(CreateCore(plan));
  SLUICE_TRY_ASSIGN(store_, ExpertStore::Create(model_, *device_, pool_.get(), core_.get(), {}));
  if (options.trace_path.empty()) return {};
  SLUICE_TRY_ASSIGN(
      trace_, TraceWriter::Create(options.trace_path,
                                  {.model = model_.checkpoint.path,
                                   .architecture = model_.spec.architecture,
                                   .dtype = Spec(model_.experts.extents()[0].gate.format).name,
                                   .layers = model_.spec.moe_layers(),
                                   .experts = model_.spec.moe.experts,
                                   .top_k = model_.spec.moe.top_k,
                                   .seed = options.trace_seed,
                                   .policy = policy_.source.text,
                                   .policy_name = policy_.spec.name,
                                   .slots = core_->slots(),
                                   .staging = core_->staging_slots(),
                                   .expert_bytes = TargetOf(model_).expert_bytes,
                                   .link_bytes_per_call = kLinkBytesPerCall}));
  return {};
}

Status Engine::Impl::Start(const EngineOptions& options) {
  SLUICE_TRY(CheckOptions(options));
  SLUICE_TRY_ASSIGN(chat_format_, ChatFormat::Create(&model_, options.chat_template));
  const int threads = options.threads > 0 ? options.threads : AvailableCores();
  pool_ = std::make_unique<ThreadPool>(threads);
  SLUICE_TRY_ASSIGN(device_, CreateDevice(options.device, pool_.get()));
  const bool experts = model_.spec.has_experts();
  if (!experts && !options.trace_path.empty()) {
    return InvalidArgumentError(model_.checkpoint.path +
                                " has no experts, so there is no routing to trace");
  }
  if (experts) {
    SLUICE_TRY_ASSIGN(
        policy_, PreparePolicy(options.policy, {.shape = TargetOf(model_)},
                               {.profile = options.policy_profile, .table = options.policy_table}));
  }
  SLUICE_TRY_ASSIGN(const MemoryPlan plan, Plan(options));
  const auto progress = [&](uint64_t done, uint64_t total) {
    if (options.on_load) options.on_load({.bytes_done = done, .bytes_total = total});
  };
  if (experts) SLUICE_TRY(StartExperts(options, plan));
  // Last, since it is what takes long.
  SLUICE_TRY_ASSIGN(weights_, DenseWeights::Load(model_, *device_, progress));
  const int64_t step_tokens = std::max<int64_t>(plan.prefill_chunk, options.parallel);
  decoder_ =
      std::make_unique<Decoder>(Decoder::Parts{.spec = model_.spec,
                                               .weights = *weights_,
                                               .kv = kv_,
                                               .device = device_.get(),
                                               .core = core_.get(),
                                               .store = store_.get(),
                                               .trace = trace_.get()},
                                step_tokens, std::max<int64_t>(options.parallel, kLogitRows));
  scheduler_ = std::make_unique<Scheduler>(&kv_, options.parallel, step_tokens,
                                           QueuedLogitRows(model_.spec.vocab));
  stats_.model = model_.checkpoint.path;
  stats_.architecture = model_.spec.architecture;
  stats_.chat_template = chat_format_->origin();
  stats_.device = device_->name();
  if (experts) {
    stats_.policy = policy_.spec.name;
    stats_.policy_notes = WithoutEffect(policy_.spec);
    stats_.io = store_->backend_name();
  } else {
    stats_.policy = stats_.io = "none";
  }
  stats_.threads = threads;
  stats_.context_tokens = context_tokens_;
  stats_.prefill_chunk = plan.prefill_chunk;
  stats_.vocab = model_.spec.vocab;
  stats_.accesses_per_token = model_.spec.moe_layers() * model_.spec.moe.top_k;
  stats_.memory = {.budget = plan.budget_bytes,
                   .dense = plan.dense_bytes,
                   .kv = plan.kv_bytes,
                   .scratch = plan.scratch_bytes,
                   .slot_bytes = plan.slot_bytes,
                   .slots = experts ? core_->slots() : 0,
                   .all_slots = plan.all_slots,
                   .minimum = plan.minimum_bytes(),
                   .everything = plan.everything_bytes()};
  thread_ = std::jthread([this] { Loop(); });
  return {};
}

Result<std::vector<int32_t>> Engine::Impl::PromptIds(const Request& request) const {
  std::vector<int32_t> ids = request.prompt_ids;
  if (ids.empty()) {
    if (model_.tokenizer == nullptr) {
      return UnsupportedError(model_.checkpoint.path +
                              ": the model has no tokenizer; give the prompt as token ids");
    }
    if (model_.tokenizer->add_bos() && model_.tokenizer->bos()) {
      ids.push_back(*model_.tokenizer->bos());
    }
    const std::vector<TokenId> text =
        model_.tokenizer->Encode(request.prompt, SpecialTokens::kParse);
    ids.insert(ids.end(), text.begin(), text.end());
  }
  if (ids.empty()) return InvalidArgumentError("the prompt is empty");
  for (const std::vector<int32_t>* list : {&std::as_const(ids), &request.forced_ids}) {
    for (const int32_t id : *list) {
      if (id < 0 || id >= model_.spec.vocab) {
        return InvalidArgumentError(
            fmt::format("token id {} is outside the vocabulary of {}", id, model_.spec.vocab));
      }
    }
  }
  return ids;
}

Result<TokenStream> Engine::Impl::Submit(Request request) {
  const SteadyClock::time_point now = SteadyClock::now();
  SLUICE_TRY(CheckSamplingParams(request.sampling));
  if (request.max_tokens < -1) {
    return InvalidArgumentError(
        fmt::format("{} tokens to generate; write -1 for as many as fit", request.max_tokens));
  }
  if (request.top_logprobs < 0 || request.top_logprobs > kMaxTopLogprobs) {
    return InvalidArgumentError(fmt::format("{} alternatives per token; at most {} are given",
                                            request.top_logprobs, kMaxTopLogprobs));
  }
  std::erase(request.stop, "");
  SLUICE_TRY_ASSIGN(std::vector<int32_t> ids, PromptIds(request));
  const auto prompt_tokens = static_cast<int64_t>(ids.size());
  // Without an answer a prompt may fill the context.
  if (prompt_tokens + (request.max_tokens == 0 ? 0 : 1) > context_tokens_) {
    return ResourceExhaustedError(fmt::format(
        "the prompt has {} tokens, the context {}: no room for an answer; raise the context (-c), "
        "which {} allows up to {}",
        prompt_tokens, context_tokens_, model_.checkpoint.path, model_.spec.context));
  }
  int64_t limit = context_tokens_;
  if (request.max_tokens >= 0 && request.max_tokens < limit - prompt_tokens) {
    limit = prompt_tokens + request.max_tokens;
  }
  auto channel = std::make_shared<TokenStream::Channel>(std::move(ids));
  {
    const std::lock_guard lock(mutex_);
    SLUICE_TRY(end_);
    if (submitted_.size() + waiting_ >= kMaxWaiting) {
      return ResourceExhaustedError(fmt::format("{} requests are waiting already", kMaxWaiting));
    }
    submitted_.push_back(
        {.request = std::move(request), .channel = channel, .time = now, .limit = limit});
  }
  wake_.notify_one();
  return TokenStream(std::move(channel));
}

bool Engine::Impl::TakeSubmitted() {
  std::unique_lock lock(mutex_);
  if (scheduler_->idle()) {
    wake_.wait(lock, [this] { return stop_ || !submitted_.empty(); });
  }
  while (!submitted_.empty()) {
    // Keeps its channel until it is a sequence: if memory is short its reader learns it.
    Submitted& s = submitted_.front();
    scheduler_->Add(std::make_unique<Sequence>(next_id_++, std::move(s.request), s.channel,
                                               model_.tokenizer.get(), s.limit, s.time,
                                               &sampling_));
    submitted_.pop_front();
  }
  waiting_ = scheduler_->waiting();
  return !stop_;
}

void Engine::Impl::BeginExpertStep() {
  std::optional<ClockReadings> readings;
  if (core_->wants_readings()) readings = ReadClocks();
  const ClockReadings* clock = readings ? &*readings : nullptr;
  core_->BeginStep(static_cast<int32_t>(batch_.size()), clock);
  if (trace_ != nullptr) trace_->BeginStep(static_cast<int32_t>(batch_.size()), clock);
  stall_before_ = store_->stats().stall_seconds;
}

void Engine::Impl::Step() {
  const SteadyClock::time_point begin = SteadyClock::now();
  const std::vector<Scheduler::Wanted>& wanted = scheduler_->wanted();
  if (core_ != nullptr) BeginExpertStep();
  const auto on_logits = [&](size_t i, const Result<std::span<const float>>& logits) {
    logits.ok() ? wanted[i].sequence->OnLogits(wanted[i].position, *logits)
                : wanted[i].sequence->Fail(logits.status().Annotate(model_.checkpoint.path));
  };
  const Status status = decoder_->Step(batch_, on_logits);
  if (trace_ != nullptr && !status.ok()) trace_->DropStep();
  ++steps_;
  const double seconds = SecondsSince(begin);
  last_step_seconds_ = seconds;
  last_step_tokens_ = batch_.size();
  for (const Scheduler::Share& share : scheduler_->shares()) {
    share.sequence->Advance(share.tokens, seconds);
  }
  const bool any_finished =
      std::ranges::any_of(scheduler_->shares(),
                          [](const Scheduler::Share& share) { return share.sequence->finished(); });
  // What goes wrong with the trace is in its status(), and so in the statistics.
  if (trace_ != nullptr && any_finished) (void)trace_->Flush();
  PublishStats();
  for (const Scheduler::Share& share : scheduler_->shares()) {
    status.ok() ? share.sequence->CloseIfFinished() : share.sequence->Fail(status);
  }
}

void Engine::Impl::PublishStats() {
  if (core_ == nullptr) {
    const std::lock_guard lock(mutex_);
    stats_.steps = steps_;
    return;
  }
  const DecisionCounts cache = core_->totals();
  const StoreStats& store = store_->stats();
  const std::lock_guard lock(mutex_);
  stats_.steps = steps_;
  stats_.experts = {
      .accesses = cache.accesses,
      .hits = cache.hits,
      .misses = cache.misses(),
      .evictions = cache.evictions,
      .demand_misses = cache.demand_misses,
      .insertions = cache.insertions,
      .in_place = cache.in_place,
      .prefetches = cache.prefetches,
      .prefetches_used = cache.prefetches_used,
      .prefetches_wasted = cache.prefetches_wasted,
      .prefetches_cancelled = store.prefetches_cancelled,
      .adapt_firings = core_->adapt_firings(),
      .used = store.experts_used,
      .bytes_read = store.bytes_read,
      .hit_rate = cache.accesses == 0
                      ? 0
                      : static_cast<double>(cache.hits) / static_cast<double>(cache.accesses),
      .read_bytes_per_s =
          store.read_seconds > 0 ? static_cast<double>(store.bytes_read) / store.read_seconds : 0,
      .stall_s = store.stall_seconds};
  if (trace_ != nullptr) stats_.trace_error = trace_->status().message();
}

void Engine::Impl::Loop() {
  Status end = CancelledError("the engine was closed");
  try {
    while (TakeSubmitted()) {
      if (scheduler_->NextBatch(&batch_)) {
        Step();
      } else if (!scheduler_->idle()) {
        // Readers are behind with their logits: look again when they may have taken some.
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  } catch (const std::bad_alloc&) {
    // In the middle of a step: nobody knows what slots and pages hold.
    end = OutOfMemory(model_.checkpoint.path);
  }
  scheduler_->FailAll(end);
  const std::lock_guard lock(mutex_);
  end_ = end;
  for (Submitted& s : submitted_) s.channel->Close(end);
}

TokenStream::TokenStream(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
TokenStream::TokenStream(TokenStream&&) noexcept = default;
TokenStream& TokenStream::operator=(TokenStream&& other) noexcept {
  if (this != &other) {
    if (channel_ != nullptr) channel_->Cancel();
    channel_ = std::move(other.channel_);
  }
  return *this;
}
TokenStream::~TokenStream() {
  if (channel_ != nullptr) channel_->Cancel();
}
Result<std::optional<Event>> TokenStream::Next() { return channel_->Next(); }
void TokenStream::Cancel() { channel_->Cancel(); }
const std::vector<int32_t>& TokenStream::prompt_ids() const { return channel_->prompt_ids; }
RequestStats TokenStream::stats() const { return channel_->stats(); }

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  const std::string name = options.model.empty() ? "rill (embedded)" : options.model;
  return WithMemory(name, [&]() -> Result<std::unique_ptr<Engine>> {
    SLUICE_TRY_ASSIGN(Model model,
                      options.model.empty() ? OpenEmbeddedModel() : OpenModel(options.model));
    auto impl = std::make_unique<Impl>(std::move(model));
    SLUICE_TRY(impl->Start(options));
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
  });
}

Result<TokenStream> Engine::Submit(Request request) {
  return WithMemory(impl_->model().checkpoint.path,
                    [&] { return impl_->Submit(std::move(request)); });
}

EngineStats Engine::stats() const {
  EngineStats stats = impl_->stats();
  stats.memory.peak_rss = PeakResidentBytes();
  return stats;
}

Result<std::vector<int32_t>> Engine::Encode(std::string_view text) const {
  const Tokenizer* tokenizer = impl_->model().tokenizer.get();
  if (tokenizer == nullptr) return UnsupportedError("the model has no tokenizer");
  return WithMemory(impl_->model().checkpoint.path, [&]() -> Result<std::vector<int32_t>> {
    return tokenizer->Encode(text, SpecialTokens::kParse);
  });
}

Result<std::string> Engine::Decode(std::span<const int32_t> ids) const {
  const Tokenizer* tokenizer = impl_->model().tokenizer.get();
  if (tokenizer == nullptr) return UnsupportedError("the model has no tokenizer");
  return WithMemory(impl_->model().checkpoint.path,
                    [&]() -> Result<std::string> { return tokenizer->Decode(ids); });
}

Result<std::string> Engine::FormatChat(std::span<const ChatMessage> messages) const {
  return WithMemory(impl_->model().checkpoint.path, [&]() -> Result<std::string> {
    SLUICE_TRY_ASSIGN(jinja::RenderedText prompt, impl_->chat_format().Format(messages));
    return std::move(prompt.text);
  });
}

Result<std::vector<int32_t>> Engine::EncodeChat(std::span<const ChatMessage> messages) const {
  return WithMemory(impl_->model().checkpoint.path,
                    [&] { return impl_->chat_format().Encode(messages); });
}

}  // namespace sluice

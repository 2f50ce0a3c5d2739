// The engine through its public door, on the embedded model: what many callers at once may do.
#include "sluice/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

struct Answer {
  std::vector<int32_t> ids;
  std::string text;
  std::vector<float> logits;
  FinishReason finish = FinishReason::kNone;
  Status status;
};

Answer Read(TokenStream* stream) {
  Answer answer;
  while (true) {
    auto event = stream->Next();
    if (!event.ok()) {
      answer.status = event.status();
      return answer;
    }
    if (!event->has_value()) return answer;
    if (!(*event)->of_prompt) answer.ids.push_back((*event)->token);
    answer.text += (*event)->text;
    answer.logits.insert(answer.logits.end(), (*event)->logits.begin(), (*event)->logits.end());
    if ((*event)->finish != FinishReason::kNone) answer.finish = (*event)->finish;
  }
}

Answer Ask(Engine* engine, Request request) {
  auto stream = engine->Submit(std::move(request));
  if (!stream.ok()) {
    Answer answer;
    answer.status = stream.status();
    return answer;
  }
  return Read(&*stream);
}

std::unique_ptr<Engine> Open(EngineOptions options) {
  auto engine = Engine::Open(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return std::move(engine).value();
}

Request Prompt(std::string text, int64_t tokens) {
  return {.prompt = std::move(text),
          .max_tokens = tokens,
          .ignore_eos = true,
          .logits = LogitsWanted::kAll};
}

const char* const kPrompts[] = {"sort: 7 3 9 1 =", "a b c", "Once upon a time",
                                "12 + 30 =", "{\"k\":"};

TEST(EngineTest, ManyCallersGetWhatEachWouldGetAlone) {
  auto alone = Open({.ram_budget = "256MiB", .threads = 1});
  std::vector<Answer> expected;
  for (const char* prompt : kPrompts) expected.push_back(Ask(alone.get(), Prompt(prompt, 12)));
  auto engine = Open({.ram_budget = "256MiB", .threads = 2, .parallel = 3, .prefill_chunk = 5});
  std::vector<Answer> answers(std::size(kPrompts));
  {
    std::vector<std::jthread> callers;
    for (size_t i = 0; i < answers.size(); ++i) {
      callers.emplace_back([&, i] { answers[i] = Ask(engine.get(), Prompt(kPrompts[i], 12)); });
    }
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].ids, expected[i].ids);
    ASSERT_EQ(answers[i].logits.size(), expected[i].logits.size());
    EXPECT_EQ(std::memcmp(answers[i].logits.data(), expected[i].logits.data(),
                          expected[i].logits.size() * sizeof(float)),
              0)
        << kPrompts[i];
  }
}

TEST(EngineTest, CancellingOneLeavesTheOthers) {
  auto engine = Open({.ram_budget = "256MiB", .parallel = 2});
  auto endless = engine->Submit(Prompt("a", -1));
  auto other = engine->Submit(Prompt("sort: 2 1 =", 8));
  ASSERT_TRUE(endless.ok() && other.ok());
  ASSERT_TRUE(endless->Next().ok());
  endless->Cancel();
  EXPECT_EQ(Read(&*endless).status.code(), StatusCode::kCancelled);
  EXPECT_TRUE(Read(&*other).status.ok());
  for (int i = 0; i < 20; ++i) {  // dropped streams free their place
    auto dropped = engine->Submit(Prompt("b", -1));
    ASSERT_TRUE(dropped.ok());
  }
  EXPECT_TRUE(Ask(engine.get(), Prompt("c", 3)).status.ok());
}

TEST(EngineTest, ClosingTheEngineEndsItsStreams) {
  auto engine = Open({.ram_budget = "256MiB"});
  auto running = engine->Submit(Prompt("a", -1));
  auto waiting = engine->Submit(Prompt("b", -1));
  ASSERT_TRUE(running.ok() && waiting.ok());
  engine.reset();
  EXPECT_FALSE(Read(&*running).status.ok());
  EXPECT_FALSE(Read(&*waiting).status.ok());
}

TEST(EngineTest, EndsForEveryReason) {
  auto engine = Open({.ram_budget = "256MiB", .context_tokens = 24});
  EXPECT_EQ(Ask(engine.get(), {.prompt = "sort: 2 1 ="}).finish, FinishReason::kEndOfText);
  EXPECT_EQ(Ask(engine.get(), Prompt("a", 3)).finish, FinishReason::kMaxTokens);
  const Answer full = Ask(engine.get(), Prompt("a", -1));
  EXPECT_EQ(full.finish, FinishReason::kContextFull);
  const Answer stopped = Ask(engine.get(), {.prompt = "sort: 7 3 9 1 =", .stop = {" 9", "zzz"}});
  EXPECT_EQ(stopped.finish, FinishReason::kStopString);
  EXPECT_EQ(stopped.text, " 1 3 7");
}

TEST(EngineTest, RefusesWhatCannotBeServed) {
  auto engine = Open({.ram_budget = "256MiB", .context_tokens = 16});
  const auto code = [&](Request request) {
    return engine->Submit(std::move(request)).status().code();
  };
  EXPECT_EQ(code({.prompt = ""}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.prompt_ids = {1, -1}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.prompt_ids = {1, 1 << 30}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.prompt_ids = std::vector<int32_t>(16, 1)}), StatusCode::kResourceExhausted);
  EXPECT_EQ(code({.prompt = "a", .sampling = {.temperature = -1}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.prompt = "a", .top_logprobs = 21}), StatusCode::kInvalidArgument);
  for (const EngineOptions& options :
       {EngineOptions{.model = "/no/such/file.gguf"}, EngineOptions{.ram_budget = "1KiB"},
        EngineOptions{.threads = -1}, EngineOptions{.context_tokens = 1 << 30},
        EngineOptions{.kv_cache = "f8"}, EngineOptions{.device = "abacus"},
        EngineOptions{.policy = "psychic"}, EngineOptions{.parallel = 0}}) {
    const auto refused = Engine::Open(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_FALSE(refused.status().message().empty());
  }
}

TEST(EngineTest, LogprobsAreThoseOfTheLogits) {
  auto engine = Open({.ram_budget = "256MiB"});
  auto stream = engine->Submit({.prompt = "a b",
                                .max_tokens = 4,
                                .ignore_eos = true,
                                .top_logprobs = 5,
                                .logits = LogitsWanted::kGenerated});
  ASSERT_TRUE(stream.ok());
  while (true) {
    auto event = stream->Next();
    ASSERT_TRUE(event.ok());
    if (!event->has_value()) break;
    const Event& e = **event;
    ASSERT_EQ(e.top_logprobs.size(), 5U);
    EXPECT_EQ(e.top_logprobs[0].token, e.token);  // greedy
    EXPECT_FLOAT_EQ(e.top_logprobs[0].logprob, e.logprob);
    double total = 0;
    for (const float logit : e.logits) total += std::exp(static_cast<double>(logit));
    EXPECT_NEAR(std::exp(e.logits[static_cast<size_t>(e.token)]) / total, std::exp(e.logprob),
                1e-5);
    for (size_t i = 1; i < 5; ++i)
      EXPECT_LE(e.top_logprobs[i].logprob, e.top_logprobs[i - 1].logprob);
  }
}

TEST(EngineTest, EncodesDecodesAndFormats) {
  auto engine = Open({.ram_budget = "256MiB"});
  const auto ids = engine->Encode("sort: 1 2");
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*engine->Decode(*ids), "sort: 1 2");
  const ChatMessage messages[] = {{.role = "user", .content = "hello"}};
  EXPECT_TRUE(engine->FormatChat(messages).ok());
  EXPECT_FALSE(engine->FormatChat({}).ok());
  EXPECT_EQ(*engine->EncodeChat(messages), *engine->Encode("hello"));
  EXPECT_EQ(engine->stats().chat_template, "");
}

}  // namespace
}  // namespace sluice

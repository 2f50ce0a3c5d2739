// Published holes of other programs in what comes with a request: numbers, prompts, chat templates.
// Those of files are in checkpoint/advisories_test.cc; docs/robustness.md lists all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "engine/chat_format.h"
#include "model/embedded_model.h"
#include "sluice/engine.h"

namespace sluice {
namespace {

class RequestAdvisoriesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine_ = Engine::Open({.ram_budget = "256MiB", .context_tokens = 128}).value();
  }
  static void TearDownTestSuite() { engine_.reset(); }

  // The text, or why there is none.
  static Result<std::string> Ask(Request request) {
    SLUICE_TRY_ASSIGN(TokenStream stream, engine_->Submit(std::move(request)));
    std::string text;
    while (true) {
      SLUICE_TRY_ASSIGN(const std::optional<Event> event, stream.Next());
      if (!event) return text;
      text += event->text;
    }
  }
  void TearDown() override {
    const Result<std::string> text = Ask({.prompt = "sort: 7 3 9 1 =", .max_tokens = 8});
    ASSERT_TRUE(text.ok()) << text.status().message();
    EXPECT_EQ(*text, " 1 3 7 9");  // whoever comes next is served
  }

  inline static std::unique_ptr<Engine> engine_;
};

// A negative number in a request became an index: each has a range.
TEST_F(RequestAdvisoriesTest, Cve2026_21869_NumbersOfRequests) {
  const auto refused = [](Request request) {
    request.prompt = "x";
    EXPECT_FALSE(engine_->Submit(std::move(request)).ok());
  };
  for (const int64_t number : {int64_t{-2}, std::numeric_limits<int64_t>::min()}) {
    refused({.max_tokens = number});
  }
  constexpr int kLeast = std::numeric_limits<int>::min();
  for (const int number : {-1, kLeast, 21, std::numeric_limits<int>::max()}) {
    refused({.top_logprobs = number});
  }
  refused({.sampling = {.top_k = -1}});
  refused({.sampling = {.top_k = kLeast}});
  refused({.sampling = {.penalty_last_n = -2}});
  refused({.sampling = {.penalty_last_n = kLeast}});
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float number : {kNan, kInfinity, -kInfinity, -1.0F, 1e30F}) {
    refused({.sampling = {.temperature = number}});
    refused({.sampling = {.top_p = number}});
    refused({.sampling = {.min_p = number}});
    refused({.sampling = {.repetition_penalty = number}});
  }
  for (const float number : {kNan, kInfinity, -1e30F}) {
    refused({.sampling = {.presence_penalty = number}});
    refused({.sampling = {.frequency_penalty = number}});
  }
  EXPECT_TRUE(Ask({.prompt = "x",
                   .sampling = {.top_k = std::numeric_limits<int>::max(),
                                .penalty_last_n = std::numeric_limits<int>::max()},
                   .max_tokens = std::numeric_limits<int64_t>::max()})
                  .ok());
}

// Ids outside the vocabulary read outside the embedding, and spoilt later answers.
TEST_F(RequestAdvisoriesTest, LlamaCpp10074_TokenIdsOutsideTheVocabulary) {
  for (const int32_t id :
       {-1, 1024, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    EXPECT_FALSE(engine_->Submit({.prompt_ids = {1, id}}).ok()) << id;
    EXPECT_FALSE(engine_->Submit({.prompt_ids = {1}, .forced_ids = {id}}).ok()) << id;
    (void)engine_->Decode(std::vector<int32_t>{id});
  }
}

// A prompt of more tokens than a signed number counts was smaller than the buffer.
TEST_F(RequestAdvisoriesTest, Cve2025_52566_and_LlamaCpp27427_LongPrompts) {
  for (const size_t bytes : {size_t{50} << 10, size_t{1} << 20}) {
    for (const char* piece : {"a", " ", "1", "\n", "\xF0\x9F\x98\x80", "ab "}) {
      std::string prompt;
      while (prompt.size() < bytes) prompt += piece;
      const auto stream = engine_->Submit({.prompt = prompt});
      ASSERT_FALSE(stream.ok());
      EXPECT_EQ(stream.status().code(), StatusCode::kResourceExhausted);
    }
  }
}

// An empty prompt failed an assertion.
TEST_F(RequestAdvisoriesTest, Vllm2024_EmptyPrompts) {
  EXPECT_EQ(engine_->Submit({.prompt = ""}).status().code(), StatusCode::kInvalidArgument);
}

// Invalid UTF-8 ended in an exception that nobody caught.
TEST_F(RequestAdvisoriesTest, LlamaCpp9195_InvalidUtf8) {
  for (const char* prompt : {"\xFF\xFE", "\xC3", "a\x80z", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_TRUE(Ask({.prompt = prompt, .max_tokens = 4, .stop = {prompt}}).ok());
  }
}

// What a model's `chat_template` makes of one message, or why it refuses.
std::string Chatted(const std::string& chat_template, const std::string& content) {
  Model model = OpenEmbeddedModel().value();
  EXPECT_TRUE(model.checkpoint.metadata.Insert("tokenizer.chat_template", chat_template));
  const ChatMessage message{.role = "user", .content = content};
  const ChatFormat format = ChatFormat::Create(&model, ChatTemplateUse::kNeeded).value();
  const Result<jinja::RenderedText> prompt = format.Format({&message, 1});
  return prompt.ok() ? prompt->text : prompt.status().message();
}

// A model's chat template was run as code: it names what Python reaches from a string.
TEST_F(RequestAdvisoriesTest, Cve2024_34359_and_Cve2026_5760_TemplatesThatRun) {
  const std::string mark =
      (std::filesystem::temp_directory_path() / ("sluice_ran_" + std::to_string(getpid())))
          .string();
  const std::string touch = "'touch " + mark + "'";
  const std::pair<std::string, std::string> cases[] = {
      {"''.__class__.__base__.__subclasses__()[104]", "\"__class__\""},
      {"''.__class__.__mro__[1].__init__.__globals__['sys'].modules['os'].system(" + touch + ")",
       "\"__class__\""},
      {"cycler.__init__.__globals__.os.popen(" + touch + ").read()", "\"__init__\""},
      {"namespace.__init__.__globals__['__builtins__']", "\"__init__\""},
      {"lipsum.__globals__.__builtins__.open('" + mark + "', 'w')", "\"lipsum\""},
      {"self.__init__.__globals__", "\"self\""},
      {"messages|attr('__class__')|attr('__base__')", "\"__class__\""},
      {"'{0.__class__.__init__}'.format(messages)", "\"__class__\""},
      {"open('" + mark + "', 'w')", "\"open\""},
      {"__import__('os').system(" + touch + ")", "\"__import__\""}};
  for (const auto& [expression, named] : cases) {
    const std::string said = Chatted("<{{ " + expression + " }}>", "x");
    EXPECT_NE(said.find("line 1: "), std::string::npos) << expression << " -> " << said;
    EXPECT_NE(said.find(named), std::string::npos) << expression << " -> " << said;
  }
  EXPECT_FALSE(std::filesystem::exists(mark));
  // What the user wrote is no template.
  const std::string sum = "{{ 7 * 7 }}{% raw %}";
  EXPECT_EQ(Chatted("{{ 6 * 6 }}{% for m in messages %}<{{ m.content }}>{% endfor %}", sum),
            "36<" + sum + ">");
}

}  // namespace
}  // namespace sluice

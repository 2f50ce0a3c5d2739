// sluice tokenize, sluice detokenize: text on stdin to ids on stdout, and the other way.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "cli/command.h"
#include "model/embedded_model.h"
#include "model/model.h"
#include "model/vocabulary.h"

namespace sluice {
namespace {

// A vocabulary is enough: files without weights have tokenizers too.
Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& path) {
  if (path.empty()) {
    SLUICE_TRY_ASSIGN(Model model, OpenEmbeddedModel());
    return std::move(model.tokenizer);
  }
  SLUICE_TRY_ASSIGN(const Checkpoint checkpoint, OpenCheckpoint(path));
  SLUICE_TRY_ASSIGN(Vocabulary vocabulary, VocabularyOf(checkpoint));
  return Tokenizer::Create(std::move(vocabulary));
}

std::string ReadStdin() {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

class TokenizeCommand final : public Command {
 public:
  explicit TokenizeCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("tokenize", "text on stdin to token ids on one line");
    app->add_option("-m,--model", model_, "model or vocabulary (default: rill)");
    app->add_flag("--special", special_,
                  "recognise control tokens, and add BOS and EOS as the model wants them");
    app->footer("Example: sluice tokenize -m model.gguf < text");
  }

  int Run() override {
    const Result<std::unique_ptr<Tokenizer>> opened = OpenTokenizer(model_);
    if (!opened.ok()) return Report(opened.status());
    const Tokenizer& tokenizer = **opened;
    std::vector<TokenId> ids;
    if (special_ && tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
    const std::vector<TokenId> text =
        tokenizer.Encode(ReadStdin(), special_ ? SpecialTokens::kParse : SpecialTokens::kPlain);
    ids.insert(ids.end(), text.begin(), text.end());
    if (special_ && tokenizer.add_eos() && tokenizer.eos()) ids.push_back(*tokenizer.eos());
    fmt::print("{}\n", fmt::join(ids, " "));
    return kExitOk;
  }

 private:
  std::string model_;
  bool special_ = false;
};

class DetokenizeCommand final : public Command {
 public:
  explicit DetokenizeCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand("detokenize", "token ids on stdin to text");
    app->add_option("-m,--model", model_, "model or vocabulary (default: rill)");
    app->add_flag("--special", special_, "show control tokens");
    app->footer("Example: echo 9707 1879 | sluice detokenize -m model.gguf");
  }

  int Run() override {
    const Result<std::unique_ptr<Tokenizer>> opened = OpenTokenizer(model_);
    if (!opened.ok()) return Report(opened.status());
    std::vector<TokenId> ids;
    std::string word;
    while (std::cin >> word) {
      TokenId id = -1;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
      if (error != std::errc() || end != word.data() + word.size() || id < 0 ||
          static_cast<size_t>(id) >= (*opened)->size()) {
        return Report(InvalidArgumentError(
            fmt::format("'{}' is no token id of this model, whose ids are 0 to {}", word,
                        (*opened)->size() - 1)));
      }
      ids.push_back(id);
    }
    const std::string text =
        (*opened)->Decode(ids, special_ ? ControlTokens::kShow : ControlTokens::kHide);
    std::cout.write(text.data(), static_cast<std::streamsize>(text.size()));
    return std::cout.flush() ? kExitOk : kExitFailed;
  }

 private:
  std::string model_;
  bool special_ = false;
};

}  // namespace

std::unique_ptr<Command> AddTokenizeCommand(CLI::App* program) {
  return std::make_unique<TokenizeCommand>(program);
}
std::unique_ptr<Command> AddDetokenizeCommand(CLI::App* program) {
  return std::make_unique<DetokenizeCommand>(program);
}

}  // namespace sluice

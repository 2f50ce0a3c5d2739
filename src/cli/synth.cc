// sluice synth: a benchmark model of a real shape, and token sequences to run it on.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_size.h"
#include "base/write_file.h"
#include "cli/command.h"
#include "synth/model_keys.h"
#include "synth/synth_model.h"
#include "synth/topic_text.h"

namespace sluice {
namespace {

std::string ShapeNames() {
  std::vector<std::string_view> names;
  for (const ModelShape& shape : AllModelShapes()) names.emplace_back(shape.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

class SynthCommand final : public Command {
 public:
  explicit SynthCommand(CLI::App* program) {
    CLI::App* app = program->add_subcommand(
        "synth", "write a benchmark model: true shapes, random weights, realistic routing");
    app->add_option("--shape", shape_, "the model whose shape it has: " + ShapeNames())
        ->capture_default_str();
    app->add_option("--type", type_,
                    fmt::format("formats of the weights: {}", fmt::join(FileTypeNames(), ", ")))
        ->capture_default_str();
    app->add_option("-o,--output", output_, "the GGUF file to write");
    app->add_option("--layers", layers_, "fewer layers than the real model (0: as many)");
    app->add_option("--experts", experts_, "fewer experts per layer (0: as many)");
    app->add_option("--vocab", vocab_, "fewer tokens (0: as many)");
    app->add_option("--skew", options_.habits.skew,
                    "share of the routing that all tokens have in common: popular experts")
        ->capture_default_str();
    app->add_option("--locality", options_.habits.locality,
                    "share of the routing that the tokens of a topic have in common")
        ->capture_default_str();
    app->add_option("--topics", options_.habits.topics, "topics; token t belongs to t % topics")
        ->capture_default_str();
    app->add_option("--seed", options_.seed, "same flags and seed, same file")
        ->capture_default_str();
    app->add_option("--tokens", tokens_file_,
                    "also write token sequences to this file, one per line, for bench --tokens");
    app->add_option("--sequences", sequences_, "how many")->capture_default_str();
    app->add_option("--length", length_, "tokens of each")->capture_default_str();
    app->add_option("--stay", stay_, "probability that a token has the topic of the one before")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app->footer(
        "Example: sluice synth --shape qwen3-30b-a3b --layers 12 --type q4_k_m -o bench.gguf");
  }

  int Run() override {
    const Status status = Make();
    return status.ok() ? kExitOk : Report(status);
  }

 private:
  Status Make() {
    SLUICE_TRY(ReadFlags());
    if (!output_.empty()) {
      SLUICE_TRY(WriteModel());
      if (options_.shape.experts > 0) PrintRouting();
    }
    return tokens_file_.empty() ? Status() : WriteTokens();
  }

  Status ReadFlags() {
    const ModelShape* shape = FindModelShape(shape_);
    if (shape == nullptr) {
      return InvalidArgumentError(
          fmt::format("there is no shape '{}'; there are {}", shape_, ShapeNames()));
    }
    options_.file = FindFileType(type_);
    if (options_.file == nullptr) {
      return InvalidArgumentError(fmt::format("there is no type '{}'; there are {}", type_,
                                              fmt::join(FileTypeNames(), ", ")));
    }
    if (output_.empty() && tokens_file_.empty()) {
      return InvalidArgumentError("nothing to write: give a file with -o, or with --tokens");
    }
    options_.shape = *shape;
    const auto fewer = [](int64_t wanted, const char* what, int64_t* count) {
      if (wanted < 0 || wanted > *count) {
        return InvalidArgumentError(
            fmt::format("{} {}: the real model has {}", wanted, what, *count));
      }
      if (wanted > 0) *count = wanted;
      return Status();
    };
    SLUICE_TRY(fewer(layers_, "layers", &options_.shape.layers));
    SLUICE_TRY(fewer(experts_, "experts", &options_.shape.experts));
    SLUICE_TRY(fewer(vocab_, "tokens", &options_.shape.vocab));
    constexpr int64_t kMostIds = int64_t{1} << 26;
    if (sequences_ < 1 || length_ < 1 || length_ > kMostIds / sequences_) {
      return InvalidArgumentError(
          fmt::format("--sequences {} of --length {}: both must be positive, and at most {} tokens "
                      "are written",
                      sequences_, length_, kMostIds));
    }
    return CheckSynthOptions(options_);
  }

  Status WriteModel() {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    Clock::time_point drawn;
    uint64_t bytes = 0;
    const CatchInterrupt guard;
    const Status written = WriteSynthModel(options_, output_, [&](uint64_t done, uint64_t total) {
      bytes = done;
      if (ShowsProgress() && Clock::now() - drawn > std::chrono::milliseconds(100)) {
        drawn = Clock::now();
        DrawProgress("writing", static_cast<double>(done) / static_cast<double>(total));
      }
      return !CatchInterrupt::interrupted();
    });
    if (ShowsProgress()) ClearProgress();
    SLUICE_TRY(written);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    fmt::print("{}: {}, {} layers, {}: {} in {:.1f} s ({:.2f} GB/s)\n", output_, shape_,
               options_.shape.layers, type_, FormatByteSize(bytes), seconds,
               static_cast<double>(bytes) / seconds / 1e9);
    return {};
  }

  void PrintRouting() const {
    constexpr int64_t kTokens = 1000;
    const RoutingReport report = ReportRouting(options_, kTokens);
    fmt::print(
        "routing on {} tokens of text, by embeddings alone:\n"
        "  choices that the most popular tenth of the experts gets   {:5.1f} %  (chance {:.1f} %)\n"
        "  experts that the token before had chosen too              {:5.1f} %  (chance {:.1f} %)\n"
        "  hits of least recently used with a quarter of them        {:5.1f} %\n",
        kTokens, 100 * report.top_tenth, 100 * report.chance_tenth, 100 * report.repeated,
        100 * report.chance_repeated, 100 * report.quarter_hits);
  }

  Status WriteTokens() const {
    std::string text;
    for (int64_t i = 0; i < sequences_; ++i) {
      const std::vector<int32_t> ids = TopicText({.first = kFirstWord,
                                                  .end = options_.shape.vocab - kControlTokens,
                                                  .topics = options_.habits.topics,
                                                  .stay = stay_,
                                                  .seed = options_.seed},
                                                 i, length_);
      text += fmt::format("{}\n", fmt::join(ids, " "));
    }
    SLUICE_TRY(WriteWholeFile(tokens_file_, text));
    fmt::print("{}: {} sequences of {} tokens\n", tokens_file_, sequences_, length_);
    return {};
  }

  std::string shape_ = "qwen3-30b-a3b";
  std::string type_ = "q4_k_m";
  std::string output_;
  int64_t layers_ = 0;
  int64_t experts_ = 0;
  int64_t vocab_ = 0;
  std::string tokens_file_;
  int64_t sequences_ = 8;
  int64_t length_ = 1024;
  double stay_ = 0.98;
  SynthOptions options_;
};

}  // namespace

std::unique_ptr<Command> AddSynthCommand(CLI::App* program) {
  return std::make_unique<SynthCommand>(program);
}

}  // namespace sluice

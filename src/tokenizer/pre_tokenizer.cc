// The steps and behaviours of tokenizer.json's "Split", and GGUF's names for common sequences.
#include "tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "tokenizer/unicode.h"

namespace sluice {
namespace {

struct Part {
  TextSpan span;
  bool matched = false;
};

// `text` as matches and what is between them, the two swapped if `invert`.
void PartsOf(std::string_view text, const std::vector<TextSpan>& matches, bool invert,
             std::vector<Part>* parts) {
  parts->clear();
  size_t done = 0;
  for (const TextSpan& match : matches) {
    if (match.begin > done) parts->push_back({{.begin = done, .end = match.begin}, invert});
    parts->push_back({match, !invert});
    done = match.end;
  }
  if (done < text.size()) parts->push_back({{.begin = done, .end = text.size()}, invert});
}

// Joins each match to the part before it, unless that is a match, too.
void MergeWithPrevious(const std::vector<Part>& parts, std::vector<TextSpan>* out) {
  bool after_match = false;
  for (const Part& part : parts) {
    if (part.matched && !after_match && !out->empty()) {
      out->back().end = part.span.end;
    } else {
      out->push_back(part.span);
    }
    after_match = part.matched;
  }
}

void MergeWithNext(const std::vector<Part>& parts, std::vector<TextSpan>* out) {
  bool before_match = false;
  for (size_t i = parts.size(); i > 0; --i) {
    const Part& part = parts[i - 1];
    if (part.matched && !before_match && !out->empty()) {
      out->back().begin = part.span.begin;
    } else {
      out->push_back(part.span);
    }
    before_match = part.matched;
  }
  std::reverse(out->begin(), out->end());
}

void Arrange(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<TextSpan>* out) {
  out->clear();
  if (behavior == SplitBehavior::kMergedWithPrevious) return MergeWithPrevious(parts, out);
  if (behavior == SplitBehavior::kMergedWithNext) return MergeWithNext(parts, out);
  bool last_matched = false;
  for (const Part& part : parts) {
    if (behavior == SplitBehavior::kRemoved && part.matched) continue;
    if (behavior == SplitBehavior::kContiguous && !out->empty() && part.matched == last_matched) {
      out->back().end = part.span.end;
    } else {
      out->push_back(part.span);
    }
    last_matched = part.matched;
  }
}

// DeepSeek LLM's letters with case, as its tokenizer lists them: some of those of the Unicode
// of its day. Escapes are characters that an editor might normalise into others.
constexpr std::string_view kDeepseekLetters =
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-"
    "ՖႠ-"
    "ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗ"
    "ὙὛὝὟ-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBEῂ-ῄῆ-ῌῐ-\u1FD3ῖ-\u1FDBῠ"
    "-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹℼ-ℿⅅ"
    "-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-"
    "ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
constexpr std::string_view kDeepseekPunctuation = "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+";
constexpr std::string_view kDeepseekCjk = "[一-龥ࠀ-一가-\uD7FF]+";

std::vector<SplitStep> Isolated(const std::vector<std::string_view>& patterns) {
  std::vector<SplitStep> steps;
  steps.reserve(patterns.size());
  for (const std::string_view pattern : patterns)
    steps.push_back({.pattern = std::string(pattern)});
  return steps;
}

// Whether a word that is a piece as a whole becomes it, whatever the merges would make of it.
enum class WholeWords { kMerge, kFirst };

struct NamedSequence {
  std::vector<std::string_view> names;  // the first is the one that new files get
  std::vector<std::string_view> patterns;
  WholeWords whole_words = WholeWords::kMerge;
};

// Where llama.cpp approximates the pattern of a tokenizer.json, this is the pattern itself. What
// merges whole words comes before what does not.
const std::vector<NamedSequence>& NamedSequences() {
  static const std::vector<NamedSequence> sequences{
      {{"gpt-2", "gpt2", "olmo", "mpt", "jais", "trillion", "granite-docling", "phi-2", "gigachat",
        "a.x-4.0", "mellum", "exaone4"},
       {kGpt2Pattern}},
      {{"qwen2", "stablelm2", "hunyuan", "deepseek-r1-qwen", "megrez", "solar-open", "grok-2",
        "kormo"},
       {kQwen2Pattern}},
      {{"qwen35"}, {kQwen35Pattern}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {kLlama3Pattern},
       WholeWords::kFirst},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kLlama3Pattern}},
      {{"gpt-4o", "llama4", "kanana2", "minimax-m2"}, {kGpt4oPattern}},
      {{"tekken"}, {kTekkenPattern}, WholeWords::kFirst},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
        "mellum2", "granite"},
       {R"(\p{N})", kGpt2Pattern}},
      {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, "[0-9][0-9][0-9]"}},
      {{"deepseek-llm"},
       {R"([\r\n])", kDeepseekLetters, kDeepseekPunctuation, kLineEndPattern, kDeepseekCjk,
        R"(\p{N}+)"}},
      {{"deepseek-coder"}, {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, R"(\p{N})"}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
       {R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+", kDeepseekV3Pattern}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {kBloomPattern}},
      {{"viking"}, {kBloomPattern, R"(\p{N})"}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"}, {kBailingPattern}},
      {{"seed-coder"}, {kSeedCoderPattern}},
      // What GGUF readers take for byte-level files that name nothing.
      {{"default"}, {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
  };
  return sequences;
}

const NamedSequence* FindSequence(std::string_view name) {
  for (const NamedSequence& sequence : NamedSequences()) {
    if (std::ranges::find(sequence.names, name) != sequence.names.end()) return &sequence;
  }
  return nullptr;
}

// Where the sequences differ: digits, contractions, line ends, spaces, marks, scripts, case.
// clang-format would cut these characters anew each time.
// clang-format off
constexpr std::string_view kProbe =
    "Hello world's I'LL we've 1234567 x12 3.14  two   three\t\tfour\n\n five\r\n  six \n seven!? "
    "...\n\n(eight) #tag @you $100 a_b-c/d camelCase HTTPServer naïve Ünïcöde е́ж Привет "
    "你好，世界！こんにちは カタカナ 한국어 ١٢٣ ½ Ⅷ ² 🙂🙂 \u00A0\u3000x—y ‘q’ «r» "
    "\u0301a  ";
// clang-format on

bool SplitsAlike(const std::vector<SplitStep>& a, const std::vector<SplitStep>& b) {
  const auto first = PreTokenizer::Create(a);
  const auto second = PreTokenizer::Create(b);
  return first.ok() && second.ok() && first->Split(kProbe) == second->Split(kProbe);
}

bool SamePatterns(const std::vector<SplitStep>& a, const std::vector<SplitStep>& b) {
  return std::ranges::equal(a, b, [](const SplitStep& x, const SplitStep& y) {
    return x.pattern == y.pattern && x.behavior == y.behavior && x.invert == y.invert;
  });
}

}  // namespace

std::optional<std::string_view> NameOfPreTokenizer(const Vocabulary& vocabulary) {
  for (const auto alike : {SamePatterns, SplitsAlike}) {
    for (const NamedSequence& sequence : NamedSequences()) {
      const bool first = sequence.whole_words == WholeWords::kFirst;
      if (first && !vocabulary.rules.ignore_merges) continue;
      if (alike(Isolated(sequence.patterns), vocabulary.steps)) return sequence.names.front();
    }
  }
  return std::nullopt;
}

std::vector<std::string_view> PreTokenizerNames() {
  std::vector<std::string_view> names;
  for (const NamedSequence& sequence : NamedSequences()) {
    names.insert(names.end(), sequence.names.begin(), sequence.names.end());
  }
  return names;
}

Status ApplyNamedPreTokenizer(std::string_view name, Vocabulary* vocabulary) {
  const NamedSequence* sequence = FindSequence(name);
  if (sequence == nullptr) {
    return UnsupportedError(fmt::format("pre-tokenizer {} is not known; known are {}",
                                        QuoteForMessage(name),
                                        fmt::join(PreTokenizerNames(), ", ")));
  }
  vocabulary->steps = Isolated(sequence->patterns);
  if (sequence->whole_words == WholeWords::kFirst) vocabulary->rules.ignore_merges = true;
  return {};
}

Result<PreTokenizer> PreTokenizer::Create(const std::vector<SplitStep>& steps) {
  if (steps.size() > kMaxSplitSteps) {
    return UnsupportedError(
        fmt::format("{} split steps; at most {} are run", steps.size(), kMaxSplitSteps));
  }
  PreTokenizer pre_tokenizer;
  for (const SplitStep& step : steps) {
    SLUICE_TRY_ASSIGN(std::unique_ptr<Splitter> splitter, MakeSplitter(step.pattern));
    pre_tokenizer.steps_.push_back(
        {.splitter = std::move(splitter), .behavior = step.behavior, .invert = step.invert});
  }
  return pre_tokenizer;
}

std::vector<TextSpan> PreTokenizer::Split(std::string_view text) const {
  std::vector<TextSpan> pieces;
  if (text.empty()) return pieces;
  pieces.push_back({.begin = 0, .end = text.size()});
  std::vector<TextSpan> matches;
  std::vector<Part> parts;
  std::vector<TextSpan> cut;
  std::vector<TextSpan> next;
  for (const Step& step : steps_) {
    next.clear();
    next.reserve(pieces.size());
    for (const TextSpan& piece : pieces) {
      const std::string_view within = text.substr(piece.begin, piece.end - piece.begin);
      matches.clear();
      step.splitter->FindMatches(within, &matches);
      PartsOf(within, matches, step.invert, &parts);
      Arrange(parts, step.behavior, &cut);
      for (const TextSpan& span : cut) {
        next.push_back({.begin = piece.begin + span.begin, .end = piece.begin + span.end});
      }
    }
    pieces.swap(next);
  }
  return pieces;
}

}  // namespace sluice

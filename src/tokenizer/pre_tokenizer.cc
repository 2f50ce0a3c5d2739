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

constexpr std::array<std::string_view, 6> kGpt2Names{"gpt-2", "gpt2", "olmo",
                                                     "mpt",   "jais", "trillion"};
constexpr std::array<std::string_view, 4> kQwen2Names{"qwen2", "stablelm2", "hunyuan",
                                                      "deepseek-r1-qwen"};
constexpr std::array<std::string_view, 7> kLlama3Names{
    "llama3", "llama-v3", "llama-bpe", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4"};
constexpr std::array<std::string_view, 8> kStarcoderNames{
    "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "granite"};

template <size_t kCount>
bool IsAmong(std::string_view name, const std::array<std::string_view, kCount>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<SplitStep> StepsOf(std::string_view name) {
  if (IsAmong(name, kGpt2Names)) return Isolated({kGpt2Pattern});
  if (IsAmong(name, kQwen2Names)) return Isolated({kQwen2Pattern});
  if (IsAmong(name, kLlama3Names)) return Isolated({kLlama3Pattern});
  if (IsAmong(name, kStarcoderNames)) return Isolated({R"(\p{N})", kGpt2Pattern});
  if (name == "gpt-4o") return Isolated({kGpt4oPattern});
  if (name == "deepseek-llm") {
    return Isolated({R"([\r\n])", kDeepseekLetters, kDeepseekPunctuation, kLineEndPattern,
                     kDeepseekCjk, R"(\p{N}+)"});
  }
  if (name == "deepseek-coder") {
    return Isolated({R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, R"(\p{N})"});
  }
  if (name == "deepseek-v3") {
    return Isolated(
        {R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+",
         R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
         R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"});
  }
  if (name == "default") {  // what GGUF readers take for byte-level files that name nothing
    return Isolated({R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"});
  }
  return {};
}

// One name of each sequence; what merges whole words comes before what does not.
constexpr std::array<std::string_view, 9> kDistinctNames{
    "gpt-2",     "qwen2",        "llama-bpe",      "dbrx",       "gpt-4o",
    "starcoder", "deepseek-llm", "deepseek-coder", "deepseek-v3"};

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
    for (const std::string_view name : kDistinctNames) {
      Vocabulary named;
      if (!ApplyNamedPreTokenizer(name, &named).ok()) continue;
      const bool same_merges =
          named.rules.ignore_merges == vocabulary.rules.ignore_merges || name != "llama-bpe";
      if (same_merges && alike(named.steps, vocabulary.steps)) return name;
    }
  }
  return std::nullopt;
}

Status ApplyNamedPreTokenizer(std::string_view name, Vocabulary* vocabulary) {
  std::vector<SplitStep> steps = StepsOf(name);
  if (steps.empty()) {
    return UnsupportedError(
        fmt::format("pre-tokenizer {} is not known; known are gpt-2, olmo, qwen2, llama-bpe, dbrx, "
                    "gpt-4o, starcoder, deepseek-llm, deepseek-coder, deepseek-v3 and default",
                    QuoteForMessage(name)));
  }
  vocabulary->steps = std::move(steps);
  if (name == "llama3" || name == "llama-v3" || name == "llama-bpe") {
    vocabulary->rules.ignore_merges = true;
  }
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

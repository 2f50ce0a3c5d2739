// Every step is one walk over the text. The witnesses are the packages `tokenizers` and
// `sentencepiece` (witness_test.cc).
#include "tokenizer/normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace sluice {
namespace {

NormalForm FormOf(NormalizeKind kind) {
  switch (kind) {
    case NormalizeKind::kNfd:
      return NormalForm::kNfd;
    case NormalizeKind::kNfkc:
      return NormalForm::kNfkc;
    case NormalizeKind::kNfkd:
      return NormalForm::kNfkd;
    default:
      return NormalForm::kNfc;
  }
}

// The rule "nmt" of SentencePiece, as the package `tokenizers` has it.
std::optional<char32_t> Nmt(char32_t code) {
  const bool control = (code >= 0x01 && code <= 0x08) || code == 0x0B ||
                       (code >= 0x0E && code <= 0x1F) || code == 0x7F || code == 0x8F ||
                       code == 0x9F;
  if (control) return std::nullopt;
  const bool space = code == 0x09 || code == 0x0A || code == 0x0C || code == 0x0D ||
                     code == 0x1680 || (code >= 0x200B && code <= 0x200F) || code == 0x2028 ||
                     code == 0x2029 || code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
  return space ? U' ' : code;
}

std::string ApplyNmt(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text, i);
    const std::optional<char32_t> kept = Nmt(c.code);
    if (!c.valid || kept == c.code) {
      out += text.substr(i, c.bytes);
    } else if (kept) {
      AppendUtf8(*kept, &out);
    }
    i += c.bytes;
  }
  return out;
}

std::string ReplaceText(std::string_view text, const std::string& from, const std::string& to) {
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
    out.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
  }
  return out.append(text.substr(done));
}

std::string ReplaceMatches(std::string_view text, const Splitter& splitter, const std::string& to) {
  std::vector<TextSpan> matches;
  splitter.FindMatches(text, &matches);
  std::string out;
  size_t done = 0;
  for (const TextSpan& match : matches) {
    out.append(text.substr(done, match.begin - done)).append(to);
    done = match.end;
  }
  return out.append(text.substr(done));
}

std::string_view StripLeft(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = DecodeUtf8(text, 0);
    if (!IsClass(c.code, kSpace)) break;
    text.remove_prefix(c.bytes);
  }
  return text;
}

std::string_view StripRight(std::string_view text) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && text.size() - begin < 4 &&
           (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80)
      --begin;
    const Utf8Char c = DecodeUtf8(text, begin);
    if (begin + c.bytes != text.size() || !IsClass(c.code, kSpace)) break;
    text = text.substr(0, begin);
  }
  return text;
}

std::string MergeSpaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out.push_back(c);
  }
  // At the end the mark of a space is one, too.
  while (out.ends_with(' ') || out.ends_with(kSpaceMark)) {
    out.resize(out.size() - (out.ends_with(' ') ? 1 : kSpaceMark.size()));
  }
  return out;
}

std::string ApplyCharsmap(std::string_view text, const Charsmap& charsmap) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Charsmap::Match match = charsmap.Longest(text.substr(i));
    const size_t bytes = match.bytes > 0 ? match.bytes : DecodeUtf8(text, i).bytes;
    out += match.bytes > 0 ? match.replacement : text.substr(i, bytes);
    i += bytes;
  }
  return out;
}

// The end of the grapheme (extended cluster) at `begin`.
size_t GraphemeEnd(std::string_view text, size_t begin) {
  Utf8Char c = DecodeUtf8(text, begin);
  size_t end = begin + c.bytes;
  utf8proc_int32_t state = 0;
  while (end < text.size()) {
    const Utf8Char next = DecodeUtf8(text, end);
    if (!c.valid || !next.valid ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      break;
    }
    end += next.bytes;
    c = next;
  }
  return end;
}

// What `tokenizers` does with the same table: a short grapheme is looked up as a whole, but then it
// is the shortest entry at its start that replaces all of it; else each of its characters by
// itself.
std::string ApplyCharsmapByGrapheme(std::string_view text, const Charsmap& charsmap) {
  constexpr size_t kLongGrapheme = 6;  // bytes
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t end = GraphemeEnd(text, i);
    if (end - i < kLongGrapheme) {
      const Charsmap::Match whole = charsmap.Shortest(text.substr(i, end - i));
      if (whole.bytes > 0) {
        out += whole.replacement;
        i = end;
      }
    }
    while (i < end) {
      const std::string_view one = text.substr(i, DecodeUtf8(text, i).bytes);
      const Charsmap::Match match = charsmap.Shortest(one);
      out += match.bytes > 0 ? match.replacement : one;
      i += one.size();
    }
  }
  return out;
}

}  // namespace

Result<Normalizer> Normalizer::Create(const std::vector<NormalizeStep>& steps) {
  constexpr double kComposedGrowth = 3;     // bytes, the most for any character: Unicode annex 15
  constexpr double kCompatibleGrowth = 11;  // U+FDFA
  if (steps.size() > kMaxNormalizeSteps) {
    return UnsupportedError(
        fmt::format("normalizer: {} steps; at most {} are run", steps.size(), kMaxNormalizeSteps));
  }
  Normalizer normalizer;
  double growth = 1;
  for (const NormalizeStep& rule : steps) {
    Step step{.rule = rule, .splitter = nullptr, .charsmap = std::nullopt};
    double own = 1;
    switch (rule.kind) {
      case NormalizeKind::kNfc:
      case NormalizeKind::kNfd:
        own = kComposedGrowth;
        break;
      case NormalizeKind::kNfkc:
      case NormalizeKind::kNfkd:
        own = kCompatibleGrowth;
        break;
      case NormalizeKind::kReplaceText:
        if (rule.from.empty()) return CorruptError("normalizer: replaces an empty text");
        if (rule.from.size() > kMaxReplacedBytes) {
          return UnsupportedError(
              fmt::format("normalizer: replaces a text of {} bytes; at most {} can be",
                          rule.from.size(), kMaxReplacedBytes));
        }
        own = static_cast<double>(rule.to.size()) / static_cast<double>(rule.from.size());
        break;
      case NormalizeKind::kReplacePattern: {
        SLUICE_TRY_ASSIGN(step.splitter, MakeSplitter(rule.from));
        if (step.splitter->may_match_nothing()) {
          return UnsupportedError(
              "normalizer: replaces a pattern that may match nothing: it would add text "
              "everywhere");
        }
        own = static_cast<double>(rule.to.size());
        break;
      }
      case NormalizeKind::kCharsmap:
      case NormalizeKind::kCharsmapByGrapheme: {
        SLUICE_TRY_ASSIGN(step.charsmap, Charsmap::Create(rule.from));
        step.rule.from.clear();
        own = static_cast<double>(step.charsmap->longest_replacement());
        break;
      }
      default:
        break;
    }
    growth *= std::max(own, 1.0);
    normalizer.steps_.push_back(std::move(step));
  }
  if (growth > kMaxGrowth) {
    return UnsupportedError(
        fmt::format("normalizer: could make text {:.0f} times as long; at most {:.0f} is allowed",
                    growth, kMaxGrowth));
  }
  return normalizer;
}

std::string Normalizer::Apply(std::string_view text) const {
  std::string normal(text);
  for (const Step& step : steps_) {
    switch (step.rule.kind) {
      case NormalizeKind::kNfc:
      case NormalizeKind::kNfd:
      case NormalizeKind::kNfkc:
      case NormalizeKind::kNfkd:
        if (MayNeedNormalizing(normal, FormOf(step.rule.kind))) {
          normal = NormalizeUnicode(normal, FormOf(step.rule.kind));
        }
        break;
      case NormalizeKind::kNmt:
        normal = ApplyNmt(normal);
        break;
      case NormalizeKind::kReplaceText:
        normal = ReplaceText(normal, step.rule.from, step.rule.to);
        break;
      case NormalizeKind::kReplacePattern:
        normal = ReplaceMatches(normal, *step.splitter, step.rule.to);
        break;
      case NormalizeKind::kStripLeft:
        normal = std::string(StripLeft(normal));
        break;
      case NormalizeKind::kStripRight:
        normal = std::string(StripRight(normal));
        break;
      case NormalizeKind::kMergeSpaces:
        normal = MergeSpaces(normal);
        break;
      case NormalizeKind::kCharsmap:
        normal = ApplyCharsmap(normal, *step.charsmap);
        break;
      case NormalizeKind::kCharsmapByGrapheme:
        normal = ApplyCharsmapByGrapheme(normal, *step.charsmap);
        break;
    }
  }
  return normal;
}

}  // namespace sluice

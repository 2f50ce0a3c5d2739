// Vocabulary: what a model file says of its tokenizer, as values, before anything is checked.
//
// Two readers fill it, the GGUF one and ParseTokenizerJson(); Tokenizer::Create() checks it. Text
// is kept as the file spells it: a byte-level piece in GPT-2's printable alphabet ("Ġthe"), a
// SentencePiece one with U+2581 for a space ("▁the"), a byte token as "<0x0A>".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/status.h"

namespace sluice {

using TokenId = int32_t;

// The values are those of GGUF's tokenizer.ggml.token_type.
enum class TokenKind {
  kNormal = 1,
  kUnknown = 2,      // stands for text that the vocabulary cannot spell
  kControl = 3,      // marks structure and never shows; text becomes it only when asked to
  kUserDefined = 4,  // always found whole in text, and shows
  kUnused = 5,       // a padding row of the embedding
  kByte = 6,         // "<0xNN>": one byte that no other piece spells
};

enum class BpeKind {
  kByteLevel,      // pieces are byte strings; any text can be spelt
  kSentencePiece,  // pieces are characters; a byte token per byte of what they cannot spell
};

// What happens to the pieces of text that a split pattern matched, as tokenizer.json names it.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

// What stands for a space in the pieces of SentencePiece vocabularies: U+2581.
inline constexpr std::string_view kSpaceMark = "\u2581";

// One step of a pre-tokenizer: cuts each piece of text that the step before it left.
struct SplitStep {
  std::string pattern;  // a regular expression
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what is between the matches counts as matched
};

// The space (U+2581) that goes before a text, so that a first word is spelt like any other.
enum class SpacePrefix {
  kNever,
  kEveryText,         // before every stretch of text between special tokens
  kEveryUnlessSpace,  // the same, where it does not start with a space already
  kFirstUnlessSpace,  // only at the very start
};

// What happens to a stretch of text around the merging.
struct TextRules {
  bool nfc = false;            // compose characters first (GGUF files do not say: false)
  bool mark_spaces = false;    // kSentencePiece: spaces are spelt U+2581
  bool byte_fallback = false;  // kSentencePiece: byte tokens spell what no piece does
  bool fuse_unknown = false;   // a row of unknown characters is one unknown token
  bool ignore_merges = false;  // a piece that is the whole word wins over the merges
  SpacePrefix prefix = SpacePrefix::kNever;
};

// How a token of the list of added tokens is found in text; others are found as they are.
struct AddedToken {
  TokenId id = 0;
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // swallows the whitespace before it
  bool rstrip = false;       // and after it
  bool normalized = false;   // is looked for after normalisation
};

struct Merge {
  std::string left;
  std::string right;
};

struct SpecialIds {
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> eot;  // end of a turn, where it is another token than eos
  std::optional<TokenId> unk;
  std::optional<TokenId> pad;
};

struct Vocabulary {
  BpeKind bpe = BpeKind::kByteLevel;
  std::vector<std::string> pieces;  // by id
  std::vector<TokenKind> kinds;     // by id; empty: all kNormal
  std::vector<float> scores;        // by id; what orders the merges where `merges` is empty
  std::vector<Merge> merges;        // first to last
  std::vector<SplitStep> steps;
  TextRules rules;
  std::vector<AddedToken> added;
  SpecialIds special;
  std::vector<TokenId> end_of_generation;  // besides eos and eot
  bool add_bos = false;                    // whether a prompt starts with bos
  bool add_eos = false;
};

// Above these a file is refused; the largest vocabularies known are a tenth of it.
inline constexpr size_t kMaxPieces = size_t{1} << 22;
inline constexpr size_t kMaxMerges = size_t{1} << 23;
inline constexpr size_t kMaxPieceBytes = size_t{1} << 14;
inline constexpr size_t kMaxSplitSteps = 64;

// "left right" as GGUF and tokenizer.json write it: the first space that is not the first byte.
Result<Merge> ParseMerge(std::string_view text);

// Sets `steps` and what else the name implies in `rules`. Names are those of
// tokenizer.ggml.pre: "gpt-2", "olmo", "qwen2", "deepseek-llm", "llama-bpe", "gpt-4o", ...
Status ApplyNamedPreTokenizer(std::string_view name, Vocabulary* vocabulary);
// Every name that ApplyNamedPreTokenizer() knows.
std::vector<std::string_view> PreTokenizerNames();
// The name under which ApplyNamedPreTokenizer() would give what `vocabulary` has, by the patterns
// or else by what they make of a text of difficult places; nullopt where there is none.
std::optional<std::string_view> NameOfPreTokenizer(const Vocabulary& vocabulary);

}  // namespace sluice

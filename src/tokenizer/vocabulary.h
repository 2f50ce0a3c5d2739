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

// What pieces are rows of.
enum class PieceUnit {
  kByte,       // any text can be spelt
  kCharacter,  // as SentencePiece has it; byte tokens may spell what no piece does
};

// How a word is cut into pieces.
enum class Segmentation {
  kMerges,   // byte pair encoding: neighbours merge, in the order of `merges` or else by score
  kUnigram,  // the row of pieces with the highest sum of scores; kCharacter only
};

// What happens to the pieces of text that a split pattern matched, as tokenizer.json names it.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

// How much lower than the lowest piece of a unigram model SentencePiece scores an unknown
// character.
inline constexpr double kUnknownPenalty = 10;

// What stands for a space in the pieces of SentencePiece vocabularies: U+2581.
inline constexpr std::string_view kSpaceMark = "\u2581";

// One step of a pre-tokenizer: cuts each piece of text that the step before it left.
struct SplitStep {
  std::string pattern;  // a regular expression
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what is between the matches counts as matched
};

// One step of normalisation.
enum class NormalizeKind {
  kNfc,
  kNfd,
  kNfkc,
  kNfkd,
  kNmt,                 // control characters go, other whitespace becomes spaces
  kReplaceText,         // each `from`, leftmost first, becomes `to`
  kReplacePattern,      // the same; `from` is a regular expression, `to` is not
  kStripLeft,           // whitespace at the start goes
  kStripRight,          // and at the end
  kMergeSpaces,         // one space of each row of them stays, none at the start and the end
  kCharsmap,            // `from` is SentencePiece's table: see charsmap.h
  kCharsmapByGrapheme,  // the same table, as the package `tokenizers` applies it
};

struct NormalizeStep {
  NormalizeKind kind = NormalizeKind::kNfc;
  std::string from;
  std::string to;
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
  std::vector<NormalizeStep> normalize;  // done first (byte-level GGUF files do not say: none)
  bool mark_spaces = false;              // kCharacter: spaces are spelt U+2581
  bool byte_fallback = false;            // kCharacter: byte tokens spell what no piece does
  bool fuse_unknown = false;             // a row of unknown characters is one unknown token
  bool ignore_merges = false;            // a piece that is the whole word wins over the merges
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
  PieceUnit unit = PieceUnit::kByte;
  Segmentation segmentation = Segmentation::kMerges;
  std::vector<std::string> pieces;  // by id
  std::vector<TokenKind> kinds;     // by id; empty: all kNormal
  std::vector<double> scores;       // by id; orders the merges where `merges` is empty
  double unknown_score = 0;         // kUnigram: of a character that no piece spells
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
inline constexpr size_t kMaxUnigramBytes = 512;  // of a piece; bounds the work for each character
inline constexpr size_t kMaxSplitSteps = 64;
inline constexpr size_t kMaxNormalizeSteps = 64;
inline constexpr size_t kMaxUnigramBytesInAll = size_t{16} << 20;  // ten times the largest known
inline constexpr double kMaxScore = 1e30;                          // sums over any text stay finite
inline constexpr size_t kMaxReplacedBytes = 512;  // of a text that normalisation looks for
// How many times as long normalisation may make a text; the largest known could, a hundred times.
inline constexpr double kMaxGrowth = 256;

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

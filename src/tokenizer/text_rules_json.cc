// Reads "normalizer" and "pre_tokenizer". Every pre-tokenizer becomes a split by some pattern.
#include "tokenizer/text_rules_json.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/splitter.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

// The elements of a "Sequence" under `list_name`, or the single element; sequences within sequences
// are not what any file holds.
std::vector<const Json*> ElementsOf(const Json& stage, const char* list_name) {
  std::vector<const Json*> elements;
  if (stage.is_null()) return elements;
  if (StringField(stage, "type") != "Sequence") return {&stage};
  const Json& list = Field(stage, list_name);
  for (const Json& element : list) elements.push_back(&element);
  return elements;
}

Status Unknown(const char* what, const Json& stage) {
  return UnsupportedError(fmt::format("tokenizer.json: {} {} is not supported", what,
                                      QuoteForMessage(StringField(stage, "type"))));
}

std::string EscapedPattern(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80 && !IsClass(byte, kLetter | kNumber)) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

Result<SplitBehavior> BehaviorOf(const Json& stage, const char* otherwise) {
  static constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors{{
      {"Isolated", SplitBehavior::kIsolated},
      {"Removed", SplitBehavior::kRemoved},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  std::string name = StringField(stage, "behavior");
  if (name.empty()) name = otherwise;
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  return UnsupportedError("tokenizer.json: split behavior " + QuoteForMessage(name) +
                          " is not known");
}

Status ReadSplit(const Json& stage, Vocabulary* vocabulary) {
  const Json& pattern = Field(stage, "pattern");
  std::string regex = StringField(pattern, "Regex");
  if (regex.empty()) regex = EscapedPattern(StringField(pattern, "String"));
  if (regex.empty()) return CorruptError("tokenizer.json: a Split without a pattern");
  SLUICE_TRY_ASSIGN(const SplitBehavior behavior, BehaviorOf(stage, "Isolated"));
  vocabulary->steps.push_back({.pattern = std::move(regex),
                               .behavior = behavior,
                               .invert = BoolField(stage, "invert", false)});
  return {};
}

Status ReadByteLevel(const Json& stage, Vocabulary* vocabulary) {
  vocabulary->unit = PieceUnit::kByte;
  if (BoolField(stage, "add_prefix_space", true)) {
    if (!vocabulary->steps.empty()) {
      return UnsupportedError("tokenizer.json: ByteLevel adds a space to every split");
    }
    vocabulary->rules.prefix = SpacePrefix::kEveryUnlessSpace;
  }
  if (BoolField(stage, "use_regex", true)) {
    vocabulary->steps.push_back({.pattern = std::string(kGpt2Pattern)});
  }
  return {};
}

// White_Space. PCRE2's "\s" has U+180E as well.
constexpr char kWhitespace[] =
    "[\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]";

// T5's way: text is cut at whitespace, which goes, then Metaspace puts a mark before each word that
// has none. The same as normalisation: rows of whitespace become one space, or nothing at the ends
// and before a mark.
Status MergeWhitespace(Vocabulary* vocabulary) {
  const bool by_whitespace =
      vocabulary->steps.size() == 1 && vocabulary->steps[0].pattern == kWhitespace &&
      vocabulary->steps[0].behavior == SplitBehavior::kRemoved && !vocabulary->steps[0].invert;
  if (!by_whitespace || vocabulary->rules.prefix != SpacePrefix::kEveryUnlessSpace) {
    return UnsupportedError("tokenizer.json: Metaspace after another split");
  }
  vocabulary->steps.clear();
  const std::vector<NormalizeStep> steps{
      {.kind = NormalizeKind::kStripLeft, .from = {}, .to = {}},
      {.kind = NormalizeKind::kStripRight, .from = {}, .to = {}},
      {.kind = NormalizeKind::kReplacePattern, .from = std::string(kWhitespace) + "+", .to = " "},
      {.kind = NormalizeKind::kReplaceText,
       .from = " " + std::string(kSpaceMark),
       .to = std::string(kSpaceMark)}};
  std::vector<NormalizeStep>& all = vocabulary->rules.normalize;
  all.insert(all.end(), steps.begin(), steps.end());
  return {};
}

Status ReadMetaspace(const Json& stage, Vocabulary* vocabulary) {
  if (StringField(stage, "replacement") != kSpaceMark) {
    return UnsupportedError("tokenizer.json: Metaspace with another mark than U+2581");
  }
  if (vocabulary->rules.prefix != SpacePrefix::kNever) {
    return UnsupportedError("tokenizer.json: Metaspace beside a normalizer that prepends U+2581");
  }
  vocabulary->rules.mark_spaces = true;
  std::string scheme = StringField(stage, "prepend_scheme");
  if (scheme.empty()) scheme = BoolField(stage, "add_prefix_space", true) ? "always" : "never";
  if (scheme == "always") {
    vocabulary->rules.prefix = SpacePrefix::kEveryUnlessSpace;
  } else if (scheme == "first") {
    vocabulary->rules.prefix = SpacePrefix::kFirstUnlessSpace;
  } else if (scheme != "never") {
    return UnsupportedError("tokenizer.json: Metaspace prepend_scheme " + QuoteForMessage(scheme) +
                            " is not known");
  }
  const bool split = BoolField(stage, "split", true);
  if (!vocabulary->steps.empty()) {
    // Words that were cut apart may not be joined again.
    if (!split) return UnsupportedError("tokenizer.json: Metaspace after another split");
    SLUICE_TRY(MergeWhitespace(vocabulary));
  }
  if (split) {
    vocabulary->steps.push_back(
        {.pattern = "[\u2581]", .behavior = SplitBehavior::kMergedWithNext});
  }
  return {};
}

Status ReadStage(const Json& stage, Vocabulary* vocabulary) {
  const std::string type = StringField(stage, "type");
  const auto add = [&](const char* pattern, SplitBehavior behavior, bool invert) -> Status {
    vocabulary->steps.push_back({.pattern = pattern, .behavior = behavior, .invert = invert});
    return {};
  };
  if (type == "Split") return ReadSplit(stage, vocabulary);
  if (type == "ByteLevel") return ReadByteLevel(stage, vocabulary);
  if (type == "Metaspace") return ReadMetaspace(stage, vocabulary);
  if (type == "Digits") {
    const bool each = BoolField(stage, "individual_digits", false);
    return add(each ? R"(\p{N})" : R"(\p{N}+)", SplitBehavior::kIsolated, false);
  }
  if (type == "Punctuation") {
    SLUICE_TRY_ASSIGN(const SplitBehavior behavior, BehaviorOf(stage, "Isolated"));
    return add(R"([!-/:-@\[-`{-~\p{P}])", behavior, false);
  }
  if (type == "Whitespace") return add(R"(\w+|[^\w\s]+)", SplitBehavior::kRemoved, true);
  if (type == "WhitespaceSplit") return add(kWhitespace, SplitBehavior::kRemoved, false);
  return Unknown("pre-tokenizer", stage);
}

bool MarksSpaces(const Json& stage) {
  return StringField(Field(stage, "pattern"), "String") == " " &&
         StringField(stage, "content") == kSpaceMark;
}

Status ReadReplace(const Json& stage, std::vector<NormalizeStep>* steps) {
  const std::string text = StringField(Field(stage, "pattern"), "String");
  const std::string regex = StringField(Field(stage, "pattern"), "Regex");
  if (text.empty() && regex.empty()) {
    return CorruptError("tokenizer.json: normalizer Replace without a pattern");
  }
  steps->push_back(
      {.kind = regex.empty() ? NormalizeKind::kReplaceText : NormalizeKind::kReplacePattern,
       .from = regex.empty() ? text : regex,
       .to = StringField(stage, "content")});
  return {};
}

Status ReadCharsmap(const Json& stage, std::vector<NormalizeStep>* steps) {
  const std::string spelt = StringField(stage, "precompiled_charsmap");
  Result<std::string> bytes = DecodeBase64(spelt);
  if (!bytes.ok()) return bytes.status().Annotate("tokenizer.json: precompiled_charsmap");
  steps->push_back(
      {.kind = NormalizeKind::kCharsmapByGrapheme, .from = *std::move(bytes), .to = {}});
  return {};
}

// A step that neither marks spaces nor puts one before the text.
Status ReadNormalizeStep(const Json& stage, std::vector<NormalizeStep>* steps) {
  static constexpr std::array<std::pair<std::string_view, NormalizeKind>, 5> kPlainSteps{{
      {"NFC", NormalizeKind::kNfc},
      {"NFD", NormalizeKind::kNfd},
      {"NFKC", NormalizeKind::kNfkc},
      {"NFKD", NormalizeKind::kNfkd},
      {"Nmt", NormalizeKind::kNmt},
  }};
  const std::string type = StringField(stage, "type");
  for (const auto& [name, kind] : kPlainSteps) {
    if (type != name) continue;
    steps->push_back({.kind = kind, .from = {}, .to = {}});
    return {};
  }
  if (type == "Replace") return ReadReplace(stage, steps);
  if (type == "Precompiled") return ReadCharsmap(stage, steps);
  if (type != "Strip") return Unknown("normalizer", stage);
  if (BoolField(stage, "strip_left", true)) {
    steps->push_back({.kind = NormalizeKind::kStripLeft, .from = {}, .to = {}});
  }
  if (BoolField(stage, "strip_right", true)) {
    steps->push_back({.kind = NormalizeKind::kStripRight, .from = {}, .to = {}});
  }
  return {};
}

}  // namespace

const Json& Field(const Json& object, const char* name) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

bool BoolField(const Json& object, const char* name, bool otherwise) {
  const Json& field = Field(object, name);
  const auto* value = field.get_ptr<const Json::boolean_t*>();
  return value == nullptr ? otherwise : *value;
}

std::string StringField(const Json& object, const char* name) {
  const Json& field = Field(object, name);
  const auto* value = field.get_ptr<const Json::string_t*>();
  return value == nullptr ? std::string() : *value;
}

Status ReadNormalizer(const Json& normalizer, Vocabulary* vocabulary) {
  TextRules& rules = vocabulary->rules;
  for (const Json* stage : ElementsOf(normalizer, "normalizers")) {
    const std::string type = StringField(*stage, "type");
    if (type == "Prepend" && StringField(*stage, "prepend") == kSpaceMark) {
      rules.prefix = SpacePrefix::kEveryText;
    } else if (type == "Replace" && MarksSpaces(*stage)) {
      rules.mark_spaces = true;
    } else if (type != "NFC" && (rules.mark_spaces || rules.prefix != SpacePrefix::kNever)) {
      // Here spaces are marked last; canonical forms alone never touch the marks.
      return Unknown("after the marking of spaces, normalizer", *stage);
    } else {
      SLUICE_TRY(ReadNormalizeStep(*stage, &rules.normalize));
    }
  }
  if (rules.prefix == SpacePrefix::kEveryText && !rules.mark_spaces) {
    return UnsupportedError("tokenizer.json: a normalizer prepends U+2581 but keeps spaces");
  }
  return {};
}

Status ReadPreTokenizer(const Json& pre_tokenizer, Vocabulary* vocabulary) {
  vocabulary->unit = PieceUnit::kCharacter;
  for (const Json* stage : ElementsOf(pre_tokenizer, "pretokenizers")) {
    if (vocabulary->unit == PieceUnit::kByte) return Unknown("after ByteLevel, a", *stage);
    SLUICE_TRY(ReadStage(*stage, vocabulary));
  }
  if (vocabulary->unit == PieceUnit::kByte && vocabulary->rules.mark_spaces) {
    return UnsupportedError("tokenizer.json: ByteLevel with spaces spelt U+2581");
  }
  return {};
}

}  // namespace sluice

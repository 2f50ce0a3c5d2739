#include "cache/prefetch/predictor_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <tuple>

#include "cache/prefetch.h"

namespace sluice {
namespace {

// A given probability weighs as much as this many tokens seen.
constexpr int32_t kGivenTokens = 64;
// Layers that a weight may look back.
constexpr int32_t kFarthest = 8;

// The words of a line, at most as many as the longest kind of line has, and one that is too many.
struct Words {
  explicit Words(std::string_view line) {
    constexpr std::string_view kBlank = " \t\r";
    size_t at = line.find_first_not_of(kBlank);
    while (at != std::string_view::npos && count < words.size()) {
      const size_t end = std::min(line.find_first_of(kBlank, at), line.size());
      words[count++] = line.substr(at, end - at);
      at = line.find_first_not_of(kBlank, end);
    }
  }
  std::array<std::string_view, 7> words;
  size_t count = 0;
};

Status ReadIndex(std::string_view word, const char* what, int32_t first, int32_t limit,
                 int32_t* index) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *index);
  if (error == std::errc() && end == word.data() + word.size() && *index >= first &&
      *index < limit) {
    return {};
  }
  return CorruptError(fmt::format("'{}' is no {} in {}..{}", word, what, first, limit - 1));
}

Status ReadNumber(std::string_view word, const char* what, float least, float most, float* number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *number);
  if (error == std::errc() && end == word.data() + word.size() && *number >= least &&
      *number <= most) {
    return {};
  }
  return CorruptError(fmt::format("'{}' is no {} in {}..{}", word, what, least, most));
}

Status CheckHeader(std::string_view line, CacheShape shape) {
  const Words words(line);
  if (words.count != 4 || words.words[0] != "sluice-table" || words.words[1] != "1") {
    return CorruptError("line 1 should be 'sluice-table 1 LAYERS EXPERTS'");
  }
  int32_t layers = 0;
  int32_t experts = 0;
  constexpr int32_t kMost = 1 << 20;
  SLUICE_TRY(ReadIndex(words.words[2], "number of layers", 1, kMost, &layers));
  SLUICE_TRY(ReadIndex(words.words[3], "number of experts", 1, kMost, &experts));
  if (layers == shape.layers && experts == shape.experts) return {};
  return InvalidArgumentError(
      fmt::format("the table is for {} layers of {} experts, the model has {} of {}", layers,
                  experts, shape.layers, shape.experts));
}

}  // namespace

Status PredictorTable::ParseLine(std::string_view line, CacheShape shape) {
  const Words words(line);
  const auto& w = words.words;
  if (words.count == 0 || w[0].starts_with('#')) return {};
  constexpr float kMostLogOdds = 100;
  if (w[0] == "follow" && words.count == 5) {
    Follow follow;
    SLUICE_TRY(ReadIndex(w[1], "layer", 0, shape.layers, &follow.layer));
    SLUICE_TRY(ReadIndex(w[2], "expert", 0, shape.experts, &follow.from));
    SLUICE_TRY(ReadIndex(w[3], "expert", 0, shape.experts, &follow.to));
    SLUICE_TRY(ReadNumber(w[4], "probability", 0, 1, &follow.probability));
    follows_.push_back(follow);
    return {};
  }
  if (w[0] == "bias" && words.count == 4) {
    Bias bias;
    SLUICE_TRY(ReadIndex(w[1], "layer", 0, shape.layers, &bias.layer));
    SLUICE_TRY(ReadIndex(w[2], "expert", 0, shape.experts, &bias.expert));
    SLUICE_TRY(ReadNumber(w[3], "log-odds", -kMostLogOdds, kMostLogOdds, &bias.log_odds));
    biases_.push_back(bias);
    return {};
  }
  if (w[0] == "weight" && words.count == 6) {
    Weight weight;
    SLUICE_TRY(ReadIndex(w[1], "layer", 0, shape.layers, &weight.layer));
    SLUICE_TRY(ReadIndex(w[2], "number of layers back", 1, kFarthest + 1, &weight.back));
    SLUICE_TRY(ReadIndex(w[3], "expert", 0, shape.experts, &weight.from));
    SLUICE_TRY(ReadIndex(w[4], "expert", 0, shape.experts, &weight.to));
    SLUICE_TRY(ReadNumber(w[5], "log-odds", -kMostLogOdds, kMostLogOdds, &weight.log_odds));
    weights_.push_back(weight);
    return {};
  }
  return CorruptError(
      "expected 'follow LAYER FROM TO PROBABILITY', 'bias LAYER EXPERT LOG_ODDS' or 'weight LAYER "
      "BACK FROM TO LOG_ODDS'");
}

Result<PredictorTable> PredictorTable::Parse(std::string_view text, CacheShape shape) {
  PredictorTable table;
  int64_t line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    const Status status =
        line_number == 1 ? CheckHeader(line, shape) : table.ParseLine(line, shape);
    if (!status.ok()) return status.Annotate(fmt::format("line {}", line_number));
  }
  std::ranges::stable_sort(table.weights_, {}, [](const Weight& weight) {
    return std::tuple(weight.layer, weight.back, weight.from);
  });
  return table;
}

PredictorTable PredictorTable::Read(std::string_view text, CacheShape shape) {
  Result<PredictorTable> table = Parse(text, shape);
  return table.ok() ? *std::move(table) : PredictorTable();
}

void PredictorTable::Fill(TransitionTable* table) const {
  for (const Follow& follow : follows_) {
    table->Set(follow.layer, follow.from, follow.to, follow.probability, kGivenTokens);
  }
}

Status CheckPredictorTable(std::string_view table, CacheShape shape) {
  const Result<PredictorTable> parsed = PredictorTable::Parse(table, shape);
  return parsed.ok() ? Status() : parsed.status();
}

}  // namespace sluice

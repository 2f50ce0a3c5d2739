#include "tokenizer/unigram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/testing_text.h"
#include "tokenizer/unicode.h"

namespace sluice {
namespace {

constexpr double kUnknownScore = -20;

struct Model {
  std::vector<std::string> pieces;
  std::vector<double> scores;

  std::unordered_map<std::string_view, TokenId> Ids() const {
    std::unordered_map<std::string_view, TokenId> ids;
    for (size_t i = 0; i < pieces.size(); ++i) ids.emplace(pieces[i], static_cast<TokenId>(i));
    return ids;
  }
};

std::vector<Symbol> Cut(const Model& model, std::string_view word) {
  const auto ids = model.Ids();
  std::vector<Symbol> symbols;
  UnigramPieces(ids, model.scores, kUnknownScore).Cut(word, &symbols);
  return symbols;
}

// The pieces as text, "?" before those that are unknown.
std::vector<std::string> CutText(const Model& model, std::string_view word) {
  std::vector<std::string> texts;
  for (const Symbol& symbol : Cut(model, word)) {
    texts.push_back((symbol.id == kNoToken ? "?" : "") +
                    std::string(word.substr(symbol.begin, symbol.bytes)));
  }
  return texts;
}

// The highest sum of all rows of pieces and unknown characters that spell `word`: by trying them.
double HighestSum(const Model& model, std::string_view word) {
  if (word.empty()) return 0;
  double highest = kUnknownScore + HighestSum(model, word.substr(DecodeUtf8(word, 0).bytes));
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    if (!word.starts_with(model.pieces[i])) continue;
    highest =
        std::max(highest, model.scores[i] + HighestSum(model, word.substr(model.pieces[i].size())));
  }
  return highest;
}

double SumOf(const Model& model, std::string_view word, const std::vector<Symbol>& symbols) {
  double sum = 0;
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNoToken) {
      sum += model.scores[static_cast<size_t>(symbol.id)];
      continue;
    }
    for (size_t i = 0; i < symbol.bytes; sum += kUnknownScore) {
      i += DecodeUtf8(word, symbol.begin + i).bytes;
    }
  }
  return sum;
}

TEST(UnigramPiecesTest, TakesTheHighestSum) {
  const Model model{{"a", "b", "ab", "abc", "c", "\u00E9"}, {-1, -1, -3, -2.5, -1, -4}};
  EXPECT_EQ(CutText(model, "ab"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(CutText(model, "abc"), (std::vector<std::string>{"abc"}));
  EXPECT_EQ(CutText(model, "xyab\u00E9z"),
            (std::vector<std::string>{"?xy", "a", "b", "\u00E9", "?z"}));
  EXPECT_EQ(CutText(model, "a\xFF\xC3z"), (std::vector<std::string>{"a", "?\xFF\xC3z"}));
  EXPECT_TRUE(CutText(model, "").empty());
}

TEST(UnigramPiecesTest, OfEqualSumsTheLongestLastPieceWins) {
  const Model model{{"a", "aa", "aaa"}, {-1, -2, -3}};
  EXPECT_EQ(CutText(model, "aaa"), (std::vector<std::string>{"aaa"}));
  EXPECT_EQ(CutText(model, "aaaa"), (std::vector<std::string>{"a", "aaa"}));
}

TEST(UnigramPiecesTest, AllRowsTriedGiveNoHigherSum) {
  const std::vector<std::string> characters{"a", "b", "\u2581", "\u00E9", "\U00010400"};
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    Model model;
    for (int i = 0; i < 12; ++i) {
      std::string piece;
      for (size_t length = 1 + random() % 4; length > 0; --length) {
        piece += characters[random() % characters.size()];
      }
      if (std::ranges::find(model.pieces, piece) != model.pieces.end()) continue;
      model.pieces.push_back(piece);
      model.scores.push_back(-static_cast<double>(random() % 8));  // ties on purpose
    }
    std::string word;
    for (size_t length = random() % 9; length > 0; --length) {
      word += random() % 12 == 0 ? "\xFF" : characters[random() % characters.size()];
    }
    const std::vector<Symbol> symbols = Cut(model, word);
    EXPECT_EQ(SumOf(model, word, symbols), HighestSum(model, word)) << word;
    uint32_t end = 0;
    for (const Symbol& symbol : symbols) {
      EXPECT_EQ(symbol.begin, end);
      end += symbol.bytes;
    }
    EXPECT_EQ(end, word.size());
  }
}

TEST(UnigramPiecesTest, AMegabyteOfOneLetterEnds) {
  Model model;
  for (size_t length = 1; length <= 64; ++length) {
    model.pieces.emplace_back(length, 'a');
    model.scores.push_back(-1 - 0.01 * static_cast<double>(length));
  }
  const std::string text(1'000'000, 'a');
  EXPECT_EQ(Cut(model, text).size(), text.size() / 64);
  EXPECT_EQ(Cut(model, std::string(1'000'000, 'b')).size(), 1U);  // one row of unknown ones
}

}  // namespace
}  // namespace sluice

// The heap against the definition: look for the best pair, merge it, look again.
#include "tokenizer/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice {
namespace {

std::vector<Symbol> Characters(std::string_view word,
                               const std::unordered_map<std::string_view, TokenId>& ids) {
  std::vector<Symbol> symbols;
  for (uint32_t i = 0; i < word.size(); ++i) {
    const auto found = ids.find(word.substr(i, 1));
    symbols.push_back(
        {.begin = i, .bytes = 1, .id = found == ids.end() ? kNoToken : found->second});
  }
  return symbols;
}

void MergeByDefinition(const MergeRules& rules, std::string_view word,
                       std::vector<Symbol>* symbols) {
  while (true) {
    uint32_t best_rank = std::numeric_limits<uint32_t>::max();
    size_t best = 0;
    TokenId id = kNoToken;
    for (size_t i = 0; i + 1 < symbols->size(); ++i) {
      const auto merged = rules.Find(word, (*symbols)[i], (*symbols)[i + 1]);
      if (merged && merged->rank < best_rank) {
        best_rank = merged->rank;
        best = i;
        id = merged->id;
      }
    }
    if (id == kNoToken) return;
    (*symbols)[best].bytes += (*symbols)[best + 1].bytes;
    (*symbols)[best].id = id;
    symbols->erase(symbols->begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

std::vector<TokenId> IdsOf(const std::vector<Symbol>& symbols) {
  std::vector<TokenId> ids;
  ids.reserve(symbols.size());
  for (const Symbol& symbol : symbols) ids.push_back(symbol.id);
  return ids;
}

// Pieces over {a, b, c} of up to four characters, some of them, and each merge that makes one.
struct RandomVocabulary {
  explicit RandomVocabulary(std::mt19937& random) {
    pieces = {"a", "b"};  // "c" is spelt by no piece
    while (pieces.size() < 25) {
      std::string piece;
      for (size_t length = 2 + random() % 3; length > 0; --length) {
        piece.push_back(static_cast<char>('a' + random() % 3));
      }
      if (std::find(pieces.begin(), pieces.end(), piece) == pieces.end()) pieces.push_back(piece);
    }
    for (size_t i = 0; i < pieces.size(); ++i) {
      ids.emplace(pieces[i], static_cast<TokenId>(i));
      scores.push_back(static_cast<double>(random() % 6));  // ties on purpose
    }
    std::vector<Merge> merges;
    for (const std::string& piece : pieces) {
      for (size_t cut = 1; cut < piece.size(); ++cut) {
        merges.push_back({.left = piece.substr(0, cut), .right = piece.substr(cut)});
      }
    }
    std::shuffle(merges.begin(), merges.end(), random);
    ranked = std::make_unique<RankedMerges>(merges.size());
    for (const Merge& merge : merges) {
      const auto left = ids.find(merge.left);
      const auto right = ids.find(merge.right);
      if (left == ids.end() || right == ids.end()) continue;
      ranked->Add(left->second, right->second, ids.at(merge.left + merge.right));
    }
    scored = std::make_unique<ScoredPieces>(ids, scores);
  }

  std::vector<std::string> pieces;
  std::vector<double> scores;
  std::unordered_map<std::string_view, TokenId> ids;
  std::unique_ptr<RankedMerges> ranked;
  std::unique_ptr<ScoredPieces> scored;
};

TEST(MergerTest, MergesAsDefined) {
  std::mt19937 random(11);
  for (int i = 0; i < 200; ++i) {
    RandomVocabulary vocabulary(random);
    for (const MergeRules* rules : {static_cast<MergeRules*>(vocabulary.ranked.get()),
                                    static_cast<MergeRules*>(vocabulary.scored.get())}) {
      Merger merger(*rules);
      for (int k = 0; k < 20; ++k) {
        std::string word;
        for (size_t length = random() % 40; length > 0; --length) {
          word.push_back(static_cast<char>('a' + random() % 3));
        }
        std::vector<Symbol> quick = Characters(word, vocabulary.ids);
        std::vector<Symbol> slow = quick;
        merger.Merge(word, &quick);
        MergeByDefinition(*rules, word, &slow);
        ASSERT_EQ(IdsOf(quick), IdsOf(slow)) << word;
      }
    }
  }
}

TEST(MergerTest, UnspeltCharactersMayMergeWhereTheirTextIsAPiece) {
  const std::unordered_map<std::string_view, TokenId> ids{{"ab", 0}, {"a", 1}};
  const ScoredPieces rules(ids, {0.0, 0.0});
  std::vector<Symbol> symbols = Characters("bab", ids);
  Merger(rules).Merge("bab", &symbols);
  EXPECT_EQ(IdsOf(symbols), (std::vector<TokenId>{kNoToken, 0}));
}

TEST(RankedMergesTest, TheFirstOfEqualPairsCounts) {
  RankedMerges merges(2);
  merges.Add(1, 2, 3);
  merges.Add(1, 2, 4);
  const auto merged = merges.Find("", {.id = 1}, {.id = 2});
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(merged->id, 3);
  EXPECT_FALSE(merges.Find("", {.id = 2}, {.id = 1}).has_value());
  EXPECT_FALSE(RankedMerges(0).Find("", {.id = 0}, {.id = 0}).has_value());
}

}  // namespace
}  // namespace sluice

// As SentencePiece and the package `tokenizers` do it, ties included: candidates are tried from
// left to right, shortest first, and only a higher sum replaces one. Tested against both
// (witness_test.cc) and against trying every row (unigram_test.cc).
#include "tokenizer/unigram.h"

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace sluice {

UnigramPieces::UnigramPieces(const std::unordered_map<std::string_view, TokenId>& pieces,
                             std::vector<double> scores, double unknown_score)
    : scores_(std::move(scores)), unknown_score_(unknown_score) {
  std::vector<std::pair<std::string_view, TokenId>> sorted(pieces.begin(), pieces.end());
  std::sort(sorted.begin(), sorted.end());
  // Breadth first: node k is of the pieces [begin, end), which share their first `depth` bytes.
  struct Range {
    uint32_t begin;
    uint32_t end;
    uint32_t depth;
  };
  std::vector<Range> ranges{{.begin = 0, .end = static_cast<uint32_t>(sorted.size()), .depth = 0}};
  nodes_.emplace_back();
  for (size_t k = 0; k < nodes_.size(); ++k) {
    auto [begin, range_end, depth] = ranges[k];
    if (begin < range_end && sorted[begin].first.size() == depth) {
      nodes_[k].id = sorted[begin++].second;
    }
    nodes_[k].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < range_end) {
      const char byte = sorted[begin].first[depth];
      uint32_t end = begin;
      while (end < range_end && sorted[end].first[depth] == byte) ++end;
      nodes_.push_back({.byte = static_cast<uint8_t>(byte)});
      ranges.push_back({.begin = begin, .end = end, .depth = depth + 1});
      ++nodes_[k].children;
      begin = end;
    }
  }
}

uint32_t UnigramPieces::Child(uint32_t node, uint8_t byte) const {
  const auto first = nodes_.begin() + nodes_[node].first_child;
  const auto last = first + nodes_[node].children;
  const auto found = std::lower_bound(
      first, last, byte, [](const Node& child, uint8_t wanted) { return child.byte < wanted; });
  if (found == last || found->byte != byte) return 0;
  return static_cast<uint32_t>(found - nodes_.begin());
}

void UnigramPieces::Best::Offer(double sum, size_t from, TokenId piece) {
  if (sum <= score) return;
  *this = {.score = sum, .begin = static_cast<uint32_t>(from), .id = piece};
}

void UnigramPieces::Cut(std::string_view word, std::vector<Symbol>* symbols) const {
  std::vector<Best> best(word.size() + 1);  // by end
  best[0].score = 0;
  for (size_t begin = 0; begin < word.size();) {
    const double before = best[begin].score;
    const size_t next = begin + DecodeUtf8(word, begin).bytes;
    bool spells_character = false;
    uint32_t node = 0;
    for (size_t end = begin; end < word.size();) {
      node = Child(node, static_cast<uint8_t>(word[end]));
      if (node == 0) break;
      ++end;
      const TokenId id = nodes_[node].id;
      if (id == kNoToken) continue;
      best[end].Offer(before + scores_[static_cast<size_t>(id)], begin, id);
      spells_character = spells_character || end == next;
    }
    if (!spells_character) best[next].Offer(before + unknown_score_, begin, kNoToken);
    begin = next;
  }
  const size_t first = symbols->size();
  for (size_t end = word.size(); end > 0;) {
    const Best& last = best[end];
    const auto bytes = static_cast<uint32_t>(end - last.begin);
    const bool joins =
        last.id == kNoToken && symbols->size() > first && symbols->back().id == kNoToken;
    if (joins) {
      symbols->back().begin = last.begin;
      symbols->back().bytes += bytes;
    } else {
      symbols->push_back({.begin = last.begin, .bytes = bytes, .id = last.id});
    }
    end = last.begin;
  }
  std::reverse(symbols->begin() + static_cast<ptrdiff_t>(first), symbols->end());
}

}  // namespace sluice

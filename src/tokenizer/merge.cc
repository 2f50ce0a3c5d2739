#include "tokenizer/merge.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/check.h"

namespace sluice {
namespace {

constexpr uint64_t kEmptySlot = ~uint64_t{0};

uint64_t PairOf(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

}  // namespace

RankedMerges::RankedMerges(size_t count)
    : slots_(std::bit_ceil(2 * count + 2), Slot{.pair = kEmptySlot, .merged = {}}) {}

// The slot that holds `pair`, or the empty one where it would go.
size_t RankedMerges::SlotOf(uint64_t pair) const {
  // The multiplier is 2^64 divided by the golden ratio: its high bits depend on all bits of `pair`.
  const size_t mask = slots_.size() - 1;
  size_t slot = ((pair * 0x9E3779B97F4A7C15ULL) >> 20) & mask;
  while (slots_[slot].pair != kEmptySlot && slots_[slot].pair != pair) slot = (slot + 1) & mask;
  return slot;
}

void RankedMerges::Add(TokenId left, TokenId right, TokenId merged) {
  const uint64_t pair = PairOf(left, right);
  Slot& slot = slots_[SlotOf(pair)];
  if (slot.pair == kEmptySlot) slot = {.pair = pair, .merged = {next_rank_, merged}};
  ++next_rank_;
  SLUICE_CHECK(next_rank_ <= slots_.size() / 2);
}

std::optional<MergeRules::Merged> RankedMerges::Find(std::string_view /*word*/, const Symbol& left,
                                                     const Symbol& right) const {
  if (left.id < 0 || right.id < 0) return std::nullopt;
  const uint64_t pair = PairOf(left.id, right.id);
  const Slot& slot = slots_[SlotOf(pair)];
  if (slot.pair != pair) return std::nullopt;
  return slot.merged;
}

ScoredPieces::ScoredPieces(const std::unordered_map<std::string_view, TokenId>& pieces,
                           const std::vector<double>& scores)
    : pieces_(pieces), ranks_(scores.size()) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] < scores[order[i - 1]]) ++rank;  // equal scores, equal rank
    ranks_[order[i]] = rank;
  }
  for (const auto& [piece, id] : pieces_) longest_ = std::max(longest_, piece.size());
}

std::optional<MergeRules::Merged> ScoredPieces::Find(std::string_view word, const Symbol& left,
                                                     const Symbol& right) const {
  const size_t bytes = size_t{left.bytes} + right.bytes;
  if (bytes > longest_) return std::nullopt;
  const auto found = pieces_.find(word.substr(left.begin, bytes));
  if (found == pieces_.end()) return std::nullopt;
  return Merged{.rank = ranks_[static_cast<size_t>(found->second)], .id = found->second};
}

bool Merger::Later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
}

// Puts the pair of `left` and its next into the heap, if they may merge.
void Merger::Consider(std::string_view word, const std::vector<Symbol>& symbols, int32_t left) {
  const Symbol& first = symbols[static_cast<size_t>(left)];
  if (first.next < 0) return;
  const Symbol& second = symbols[static_cast<size_t>(first.next)];
  const std::optional<MergeRules::Merged> merged = rules_.Find(word, first, second);
  if (!merged) return;
  heap_.push_back(
      {.rank = merged->rank, .left = left, .bytes = first.bytes + second.bytes, .id = merged->id});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

void Merger::Merge(std::string_view word, std::vector<Symbol>* symbols) {
  const auto count = static_cast<int32_t>(symbols->size());
  for (int32_t i = 0; i < count; ++i) {
    Symbol& symbol = (*symbols)[static_cast<size_t>(i)];
    symbol.previous = i - 1;
    symbol.next = i + 1 < count ? i + 1 : -1;
  }
  heap_.clear();
  for (int32_t i = 0; i + 1 < count; ++i) Consider(word, *symbols, i);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Candidate candidate = heap_.back();
    heap_.pop_back();
    // A symbol only ever grows to the right, so equal bytes are the same two neighbours; a symbol
    // that was merged away has none.
    Symbol& left = (*symbols)[static_cast<size_t>(candidate.left)];
    if (left.bytes == 0 || left.next < 0) continue;
    Symbol& right = (*symbols)[static_cast<size_t>(left.next)];
    if (left.bytes + right.bytes != candidate.bytes) continue;
    left.bytes = candidate.bytes;
    left.id = candidate.id;
    left.next = right.next;
    right.bytes = 0;
    if (left.next >= 0) (*symbols)[static_cast<size_t>(left.next)].previous = candidate.left;
    if (left.previous >= 0) Consider(word, *symbols, left.previous);
    Consider(word, *symbols, candidate.left);
  }
  std::erase_if(*symbols, [](const Symbol& symbol) { return symbol.bytes == 0; });
}

}  // namespace sluice

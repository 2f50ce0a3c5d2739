#include "cache/prefetch/similar_tokens.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cache/prefetch/arithmetic.h"

namespace sluice {
namespace {

// The agreement of two tokens counts this much for the tokens after them.
constexpr float kCarried = 0.2F;
// Of the logarithm of the weight, for a token that agrees in everything.
constexpr float kSharpness = 15.36F;
// Tokens whose weight is under e^-5 of the best are as good as dissimilar.
constexpr float kCut = 5;
// Closeness of a place that does not count.
constexpr float kNever = -1e9F;

// Byte i of entry b is bit i of b.
constexpr std::array<uint64_t, 256> SpreadBits() {
  std::array<uint64_t, 256> table = {};
  for (uint64_t b = 0; b < 256; ++b) {
    for (uint64_t i = 0; i < 8; ++i) table[b] |= (b >> i & 1) << (8 * i);
  }
  return table;
}
constexpr std::array<uint64_t, 256> kSpread = SpreadBits();
// Counts are added eight at a time and read one by one.
static_assert(std::endian::native == std::endian::little);

// What fits is remembered: of 48 layers of 512 experts, 10 chosen, about 12000 tokens.
constexpr size_t kMostBytes = size_t{48} << 20;
size_t Places(CacheShape shape, int32_t top_k, int32_t tokens) {
  const size_t bytes_per_token = (shape.size() + 7) / 8 + static_cast<size_t>(shape.layers) *
                                                              static_cast<size_t>(top_k) *
                                                              sizeof(uint16_t);
  return std::clamp<size_t>(static_cast<size_t>(std::max(tokens, 1)), 1,
                            std::max<size_t>(1, kMostBytes / bytes_per_token));
}

}  // namespace

SimilarTokens::SimilarTokens(CacheShape shape, int32_t top_k, int32_t tokens)
    : shape_(shape),
      top_k_(static_cast<size_t>(top_k)),
      places_(Places(shape, top_k, tokens)),
      padded_((places_ + 7) / 8 * 8),
      scale_(kSharpness / static_cast<float>(top_k * shape.layers)),
      chosen_(shape.size() * padded_ / 8),
      choice_(static_cast<size_t>(shape.layers) * places_ * top_k_),
      tokens_(static_cast<size_t>(shape.layers)),
      overlap_(padded_),
      carried_(padded_),
      closeness_(padded_),
      counts_(padded_ / 8),
      block_most_(padded_ / 8) {
  similar_.reserve(places_);
}

void SimilarTokens::Observe(const LayerCall& call) {
  if (call.tokens == 0) return;
  Compare(call.experts.last(top_k_), call.layer);
  Remember(call);
}

// Runs before Remember: the token under way is not among those that it is compared with.
void SimilarTokens::Compare(std::span<const int32_t> choice, int32_t layer) {
  const uint64_t before = tokens_[static_cast<size_t>(layer)];
  const size_t filled = std::min<uint64_t>(before, places_);
  similar_.clear();
  if (layer == 0) {
    // overlap_ is still that of the token before, of all layers: what it is worth for this one
    // moves on by a place.
    float last = overlap_[places_ - 1] + carried_[places_ - 1];
    for (size_t q = 0; q < places_; ++q) {
      const float own = overlap_[q] + carried_[q];
      carried_[q] = kCarried * last;
      last = own;
    }
    std::ranges::fill(overlap_, 0.0F);
  }
  if (filled == 0) return;

  CountAgreement(choice, layer, (filled + 7) / 8);
  const auto* const count = reinterpret_cast<const uint8_t*>(counts_.data());
  const float rest = static_cast<float>(shape_.layers) / static_cast<float>(layer + 1);
  float* const overlap = overlap_.data();
  float* const closeness = closeness_.data();
  const float* const carried = carried_.data();
  for (size_t q = 0; q < filled; ++q) {
    overlap[q] += static_cast<float>(count[q]);
    closeness[q] = rest * overlap[q] + carried[q];
  }
  // The place that this token takes holds one that is half overwritten; none are beyond `filled`.
  if (before >= places_) closeness[before % places_] = kNever;
  std::fill(closeness + filled, closeness + padded_, kNever);
  Select();
}

// In each byte of counts_, how many of `choice` the remembered token chose, too.
void SimilarTokens::CountAgreement(std::span<const int32_t> choice, int32_t layer, size_t bytes) {
  uint64_t* const counts = counts_.data();
  std::fill_n(counts, bytes, uint64_t{0});
  for (const int32_t e : choice) {
    const uint8_t* const row =
        &chosen_[shape_.Index({.layer = layer, .expert = e}) * (padded_ / 8)];
    for (size_t i = 0; i < bytes; ++i) counts[i] += kSpread[row[i]];
  }
}

// The similar ones, from closeness_: by blocks of eight, most of which have none.
void SimilarTokens::Select() {
  const float* const closeness = closeness_.data();
  float* const blocks = block_most_.data();
  Float4 most4 = {kNever, kNever, kNever, kNever};
  for (size_t b = 0; b < block_most_.size(); ++b) {
    const Float4 both = Max4(Load4(closeness + 8 * b), Load4(closeness + 8 * b + 4));
    most4 = Max4(most4, both);
    blocks[b] = std::max(std::max(both[0], both[1]), std::max(both[2], both[3]));
  }
  const float most = std::max(std::max(most4[0], most4[1]), std::max(most4[2], most4[3]));
  if (most <= kNever) return;
  const float least = most - kCut / scale_;
  for (size_t b = 0; b < block_most_.size(); ++b) {
    if (blocks[b] < least) continue;
    for (size_t q = 8 * b; q < 8 * b + 8; ++q) {
      if (closeness[q] < least) continue;
      similar_.push_back(
          {.place = static_cast<int32_t>(q), .weight = Exp(scale_ * (closeness[q] - most))});
    }
  }
}

void SimilarTokens::Remember(const LayerCall& call) {
  const auto layer = static_cast<size_t>(call.layer);
  const size_t bytes = padded_ / 8;
  // Of a call longer than the memory only its end fits.
  const auto first =
      static_cast<int32_t>(std::max<int64_t>(0, call.tokens - static_cast<int64_t>(places_)));
  tokens_[layer] += static_cast<uint64_t>(first);
  for (int32_t t = first; t < call.tokens; ++t) {
    const size_t place = tokens_[layer] % places_;
    const auto bit = static_cast<uint8_t>(1 << (place % 8));
    uint16_t* const choice = &choice_[(layer * places_ + place) * top_k_];
    if (tokens_[layer] >= places_) {
      for (size_t k = 0; k < top_k_; ++k) {
        const ExpertId id = {.layer = call.layer, .expert = choice[k]};
        chosen_[shape_.Index(id) * bytes + place / 8] &= static_cast<uint8_t>(~bit);
      }
    }
    for (size_t k = 0; k < top_k_; ++k) {
      const int32_t e = call.experts[static_cast<size_t>(t) * top_k_ + k];
      choice[k] = static_cast<uint16_t>(e);
      chosen_[shape_.Index({.layer = call.layer, .expert = e}) * bytes + place / 8] |= bit;
    }
    ++tokens_[layer];
  }
}

std::span<const uint16_t> SimilarTokens::Choice(int32_t place, int32_t tokens_later,
                                                int32_t layer) const {
  const uint64_t tokens = tokens_[static_cast<size_t>(layer)];
  const size_t filled = std::min<uint64_t>(tokens, places_);
  const auto from = static_cast<size_t>(place);
  if (from >= filled) return {};
  // Tokens between the place and the next one to be written, which is the oldest.
  const size_t newer = (tokens + places_ - 1 - from) % places_;
  if (static_cast<size_t>(tokens_later) > newer) return {};
  const size_t at = (from + static_cast<size_t>(tokens_later)) % places_;
  return std::span(choice_).subspan((static_cast<size_t>(layer) * places_ + at) * top_k_, top_k_);
}

void SimilarTokens::Reset() {
  std::ranges::fill(chosen_, uint8_t{0});
  std::ranges::fill(tokens_, uint64_t{0});
  std::ranges::fill(overlap_, 0.0F);
  std::ranges::fill(carried_, 0.0F);
  similar_.clear();
}

}  // namespace sluice

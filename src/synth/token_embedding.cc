#include "synth/token_embedding.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr size_t kPieceBytes = 16;
constexpr double kGoldenRatio = 0.6180339887498949;

// Whose piece it is: the multiples of the golden ratio fill [0, 1) evenly, so that every row has
// the wanted shares and not just about them.
uint64_t OwnerSeed(size_t piece, const RoutingHabits& habits, uint64_t seed, int64_t token) {
  double whole = 0;
  const double place = std::modf(static_cast<double>(piece + 1) * kGoldenRatio, &whole);
  if (place < habits.skew) return SeedOf("all tokens", seed);
  if (place < habits.skew + habits.locality) {
    return MixBits(SeedOf("topic", seed) + static_cast<uint64_t>(token % habits.topics));
  }
  return MixBits(SeedOf("token", seed) + static_cast<uint64_t>(token));
}

}  // namespace

void FillEmbeddingRow(const BlockType& type, double rms, const RoutingHabits& habits, uint64_t seed,
                      int64_t token, std::span<std::byte> row) {
  for (size_t at = 0, piece = 0; at < row.size(); at += kPieceBytes, ++piece) {
    RandomWords words(MixBits(OwnerSeed(piece, habits, seed, token) + piece));
    words.Fill(row.subspan(at, std::min(kPieceBytes, row.size() - at)));
  }
  // The same scales in every row: else equal bits would not be equal weights.
  RandomWords scales(SeedOf("scales", seed));
  type.finish(row, static_cast<float>(rms / type.unit_rms), &scales);
}

}  // namespace sluice

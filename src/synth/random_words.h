// Random numbers that any place of a large file can start from: the n-th word of a stream is a hash
// of seed and n (splitmix64: Steele, Lea, Flood 2014), so the same flags give the same file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace sluice {

constexpr uint64_t MixBits(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

// A seed for something that has a name, within `seed`.
constexpr uint64_t SeedOf(std::string_view name, uint64_t seed) {
  uint64_t hash = MixBits(seed + 1);
  for (const char c : name) hash = MixBits(hash + static_cast<unsigned char>(c) + 1);
  return hash;
}

class RandomWords {
 public:
  explicit RandomWords(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9E3779B97F4A7C15U;
    return MixBits(state_);
  }
  // In [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  void Fill(std::span<std::byte> out) {
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= out.size(); i += sizeof(uint64_t)) {
      const uint64_t word = Next();
      std::memcpy(&out[i], &word, sizeof(word));
    }
    if (i == out.size()) return;
    const uint64_t word = Next();
    std::memcpy(&out[i], &word, out.size() - i);
  }

 private:
  uint64_t state_;
};

}  // namespace sluice

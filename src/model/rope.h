// How fast each pair of a head turns with the position, and how that is stretched for long
// contexts.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

// theta^(-2i / dims) for each pair i of `dims` numbers; radians per position.
std::vector<float> RopeFrequencies(int64_t dims, float theta);

// YaRN (Peng et al., 2023): pairs that turn often within the original context stay, those that turn
// hardly are slowed by `factor`, and between the two the change is gradual.
struct Yarn {
  double factor = 1;
  double original_context = 0;
  double beta_fast = 32;    // turns within the original context above which a pair stays
  double beta_slow = 1;     // and below which it is slowed by the whole factor
  bool whole_pairs = true;  // the borders are rounded to whole pairs
  double score_weight = 0;  // DeepSeek-V2: how much it sharpens scores (`mscale_all_dim`)
};
void StretchByYarn(const Yarn& yarn, float theta, std::vector<float>* frequencies);
// 0.1 * weight * ln(factor) + 1: how YaRN sharpens attention.
double YarnSharpening(double factor, double weight);

// Llama 3.1: the same idea with borders by wavelength.
struct Llama3Scaling {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  double original_context = 0;
};
void StretchByLlama3(const Llama3Scaling& scaling, std::vector<float>* frequencies);

}  // namespace sluice

#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {

// In float32, as Transformers computes them.
std::vector<float> RopeFrequencies(int64_t dims, float theta) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < dims / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    frequencies.push_back(1.0F / std::pow(theta, exponent));
  }
  return frequencies;
}

void StretchByYarn(const Yarn& yarn, float theta, std::vector<float>* frequencies) {
  const auto pairs = static_cast<double>(frequencies->size());
  // The pair, counted in fractions, that makes `turns` turns in the original context.
  const auto pair_of = [&](double turns) {
    return pairs * std::log(yarn.original_context / (turns * 2 * std::numbers::pi)) /
           std::log(static_cast<double>(theta));
  };
  double low = pair_of(yarn.beta_fast);
  double high = pair_of(yarn.beta_slow);
  if (yarn.whole_pairs) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, 2 * pairs - 1);
  if (low == high) high += 0.001;  // a step instead of a division by zero
  for (size_t i = 0; i < frequencies->size(); ++i) {
    float& frequency = (*frequencies)[i];
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double slowed = frequency / yarn.factor;
    frequency = static_cast<float>(slowed * ramp + frequency * (1 - ramp));
  }
}

double YarnSharpening(double factor, double weight) {
  return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

void StretchByLlama3(const Llama3Scaling& scaling, std::vector<float>* frequencies) {
  const double longest = scaling.original_context / scaling.low_freq_factor;
  const double shortest = scaling.original_context / scaling.high_freq_factor;
  for (float& frequency : *frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < shortest) continue;
    const double slowed = frequency / scaling.factor;
    if (wavelength > longest) {
      frequency = static_cast<float>(slowed);
      continue;
    }
    const double smooth = (scaling.original_context / wavelength - scaling.low_freq_factor) /
                          (scaling.high_freq_factor - scaling.low_freq_factor);
    frequency = static_cast<float>((1 - smooth) * slowed + smooth * frequency);
  }
}

}  // namespace sluice

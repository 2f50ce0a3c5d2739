// Logits to a token, and the probabilities to report with it. Deterministic: same logits, history
// and seed, same token, on every machine.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "sluice/engine.h"
#include "sluice/options.h"

namespace sluice {

// Fails on numbers that make no sense, naming the parameter.
Status CheckSamplingParams(const SamplingParams& params);

// Memory that samplers work in, one for all of them: as large as a vocabulary.
struct SamplingCandidate {
  int32_t token;
  float logit;
  double probability;
};
using SamplingScratch = std::vector<SamplingCandidate>;

class Sampler {
 public:
  // `scratch` outlives the sampler.
  Sampler(const SamplingParams& params, SamplingScratch* scratch)
      : params_(params), random_(params.seed), candidates_(*scratch) {}

  // `history`: the sequence so far, prompt included; penalties look at its end.
  int32_t Sample(std::span<const float> logits, std::span<const int32_t> history);

 private:
  using Candidate = SamplingCandidate;
  void ApplyPenalties(std::span<const int32_t> history);
  void KeepTopK();
  void KeepTopP();
  void KeepMinP();
  void Normalise(float temperature);
  bool HasPenalties() const;

  const SamplingParams params_;
  std::mt19937_64 random_;
  SamplingScratch& candidates_;
};

// Natural log of the softmax: of `token`, and of the `count` likeliest (likeliest first).
TokenLogprob LogprobOf(std::span<const float> logits, int32_t token);
std::vector<TokenLogprob> TopLogprobs(std::span<const float> logits, int count);

}  // namespace sluice

#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace sluice {
namespace {

// The likeliest; the lower id on ties. NaN never wins.
int32_t ArgMax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  }
  return static_cast<int32_t>(best);
}

double LogSumExp(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(total);
}

}  // namespace

Status CheckSamplingParams(const SamplingParams& params) {
  const auto check = [](bool ok, const char* name, double value, const char* range) {
    return ok ? Status()
              : InvalidArgumentError(fmt::format("{} is {}; it must be {}", name, value, range));
  };
  SLUICE_TRY(check(params.temperature >= 0 && params.temperature <= 100, "temperature",
                   params.temperature, "0 to 100"));
  SLUICE_TRY(check(params.top_k >= 0, "top-k", params.top_k, "0 (off) or more"));
  SLUICE_TRY(
      check(params.top_p > 0 && params.top_p <= 1, "top-p", params.top_p, "over 0, at most 1"));
  SLUICE_TRY(check(params.min_p >= 0 && params.min_p <= 1, "min-p", params.min_p, "0 to 1"));
  SLUICE_TRY(check(params.repetition_penalty > 0 && params.repetition_penalty <= 100,
                   "repetition penalty", params.repetition_penalty, "over 0, at most 100"));
  SLUICE_TRY(check(std::abs(params.presence_penalty) <= 100, "presence penalty",
                   params.presence_penalty, "-100 to 100"));
  SLUICE_TRY(check(std::abs(params.frequency_penalty) <= 100, "frequency penalty",
                   params.frequency_penalty, "-100 to 100"));
  return check(params.penalty_last_n >= -1, "penalty window", params.penalty_last_n,
               "-1 (all), 0 (off) or more");
}

bool Sampler::HasPenalties() const {
  return params_.repetition_penalty != 1 || params_.presence_penalty != 0 ||
         params_.frequency_penalty != 0;
}

int32_t Sampler::Sample(std::span<const float> logits, std::span<const int32_t> history) {
  if (params_.temperature == 0 && !HasPenalties()) return ArgMax(logits);
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({.token = static_cast<int32_t>(i), .logit = logits[i], .probability = 0});
  }
  if (HasPenalties()) ApplyPenalties(history);
  KeepTopK();  // sorts, likeliest first
  if (params_.temperature == 0) return candidates_[0].token;
  KeepTopP();
  KeepMinP();
  Normalise(params_.temperature);
  // 53 random bits: a number in [0, 1) that does not depend on the library's distributions.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.probability;
    if (left < 0) return candidate.token;
  }
  return candidates_.back().token;
}

void Sampler::ApplyPenalties(std::span<const int32_t> history) {
  if (params_.penalty_last_n >= 0 && history.size() > static_cast<size_t>(params_.penalty_last_n)) {
    history = history.last(static_cast<size_t>(params_.penalty_last_n));
  }
  std::unordered_map<int32_t, int> counts;
  for (const int32_t token : history) ++counts[token];
  for (const auto& [token, count] : counts) {
    float& logit = candidates_[static_cast<size_t>(token)].logit;
    logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    logit -= params_.presence_penalty + params_.frequency_penalty * static_cast<float>(count);
  }
}

void Sampler::KeepTopK() {
  const size_t keep = params_.top_k > 0
                          ? std::min(candidates_.size(), static_cast<size_t>(params_.top_k))
                          : candidates_.size();
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  };
  std::erase_if(candidates_, [](const Candidate& c) { return std::isnan(c.logit); });
  if (candidates_.empty()) candidates_.push_back({.token = 0, .logit = 0, .probability = 1});
  const size_t sorted = std::min(keep, candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(sorted),
                    candidates_.end(), likelier);
  candidates_.resize(sorted);
}

void Sampler::Normalise(float temperature) {
  double total = 0;
  for (Candidate& c : candidates_) {
    c.probability = std::exp((static_cast<double>(c.logit) - candidates_[0].logit) / temperature);
    total += c.probability;
  }
  for (Candidate& c : candidates_) c.probability /= total;
}

void Sampler::KeepTopP() {
  if (params_.top_p >= 1) return;
  Normalise(1);
  double total = 0;
  size_t keep = 0;
  while (keep < candidates_.size() && total < params_.top_p)
    total += candidates_[keep++].probability;
  candidates_.resize(std::max<size_t>(keep, 1));
}

void Sampler::KeepMinP() {
  if (params_.min_p <= 0) return;
  Normalise(1);
  const double least = candidates_[0].probability * params_.min_p;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.probability < least; });
}

TokenLogprob LogprobOf(std::span<const float> logits, int32_t token) {
  return {.token = token,
          .logprob = static_cast<float>(logits[static_cast<size_t>(token)] - LogSumExp(logits))};
}

std::vector<TokenLogprob> TopLogprobs(std::span<const float> logits, int count) {
  // Insertion into a short sorted list; `>` keeps the lower id first on ties.
  std::vector<TokenLogprob> top;
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto better = [&](const TokenLogprob& t) { return logits[i] > t.logprob; };
    const auto at = std::ranges::find_if(top, better);
    if (at == top.end() && top.size() >= static_cast<size_t>(count)) continue;
    top.insert(at, {.token = static_cast<int32_t>(i), .logprob = logits[i]});
    if (top.size() > static_cast<size_t>(count)) top.pop_back();
  }
  const double total = LogSumExp(logits);
  for (TokenLogprob& t : top) t.logprob = static_cast<float>(t.logprob - total);
  return top;
}

}  // namespace sluice

// A table that somebody made beforehand, as text (docs/prefetch.md):
//
//   sluice-table 1 LAYERS EXPERTS
//   follow LAYER FROM TO PROBABILITY     P(TO is chosen in LAYER | FROM was, one layer before)
//   bias LAYER EXPERT LOG_ODDS           of a logistic model, with
//   weight LAYER BACK FROM TO LOG_ODDS   what FROM, chosen BACK layers before, adds for TO
//
// `affinity` and `klotski` begin from the first kind, `predictor` is made of the other two.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cache/layer_call.h"
#include "cache/prefetch/transition_table.h"
#include "sluice/status.h"

namespace sluice {

class PredictorTable {
 public:
  struct Follow {
    int32_t layer = 0;
    int32_t from = 0;
    int32_t to = 0;
    float probability = 0;
  };
  struct Bias {
    int32_t layer = 0;
    int32_t expert = 0;
    float log_odds = 0;
  };
  struct Weight {
    int32_t layer = 0;
    int32_t back = 0;
    int32_t from = 0;
    int32_t to = 0;
    float log_odds = 0;
  };

  // Fails with the line and what is wrong with it. Empty text is an empty table.
  static Result<PredictorTable> Parse(std::string_view text, CacheShape shape);
  // For text that was checked (CheckPredictorTable): what cannot be read is an empty table.
  static PredictorTable Read(std::string_view text, CacheShape shape);

  bool empty() const { return follows_.empty() && biases_.empty() && weights_.empty(); }
  std::span<const Follow> follows() const { return follows_; }
  std::span<const Bias> biases() const { return biases_; }
  // By layer, back and from.
  std::span<const Weight> weights() const { return weights_; }
  void Fill(TransitionTable* table) const;

 private:
  Status ParseLine(std::string_view line, CacheShape shape);

  std::vector<Follow> follows_;
  std::vector<Bias> biases_;
  std::vector<Weight> weights_;
};

}  // namespace sluice

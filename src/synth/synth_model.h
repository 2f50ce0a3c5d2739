// A benchmark model as a GGUF file: the shape of a real one, weights that mean nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "quantize/file_type.h"
#include "sluice/status.h"
#include "synth/model_shape.h"
#include "synth/token_embedding.h"

namespace sluice {

struct SynthOptions {
  ModelShape shape;  // perhaps with fewer layers, experts or tokens than the real one
  const FileType* file = nullptr;
  RoutingHabits habits;
  uint64_t seed = 1;  // the same options give the same bytes
};

// Fails on a shape that makes no sense and on habits that exceed the whole.
Status CheckSynthOptions(const SynthOptions& options);

// Writes it tensor by tensor; a file larger than memory is fine. `progress` gets bytes done and in
// all, every few MiB. REQUIRES: CheckSynthOptions.
Status WriteSynthModel(const SynthOptions& options, const std::string& path,
                       const std::function<bool(uint64_t, uint64_t)>& progress);

// How the first router of the model chooses on a text (synth/topic_text.h), from embeddings alone.
struct RoutingReport {
  double top_tenth = 0;     // share of the choices that the most popular tenth of experts gets
  double repeated = 0;      // share of a token's experts that the token before had chosen too
  double quarter_hits = 0;  // hit rate of least recently used with a quarter of the experts
  double chance_tenth = 0;  // the first two if every choice were a fair draw
  double chance_repeated = 0;
};
RoutingReport ReportRouting(const SynthOptions& options, int64_t tokens);

}  // namespace sluice

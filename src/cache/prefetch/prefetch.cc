#include "cache/prefetch.h"

namespace sluice {

#define SLUICE_PREDICTOR(name, factory) \
  std::unique_ptr<Predictor> factory(const PredictorSetup& setup);
#include "cache/prefetch/builtins.inc"
#undef SLUICE_PREDICTOR

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Predictor> (*create)(const PredictorSetup& setup);
};
const std::vector<Entry> kPredictors = {
#define SLUICE_PREDICTOR(name, factory) {#name, factory},
#include "cache/prefetch/builtins.inc"
#undef SLUICE_PREDICTOR
};

}  // namespace

std::unique_ptr<Predictor> NewPredictor(std::string_view name, const PredictorSetup& setup) {
  for (const Entry& entry : kPredictors) {
    if (entry.name == name) return entry.create(setup);
  }
  return nullptr;
}

std::unique_ptr<Predictor> NewPredictor(std::span<const std::string> names,
                                        const PredictorSetup& setup) {
  return names.size() == 1 ? NewPredictor(names[0], setup) : nullptr;
}

std::vector<std::string_view> PredictorNames() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kPredictors) names.push_back(entry.name);
  return names;
}

bool Blendable(std::string_view name) { return name != "all" && name != "demand"; }

}  // namespace sluice

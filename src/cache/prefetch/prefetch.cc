#include "cache/prefetch.h"

#include <utility>

#include "base/check.h"
#include "cache/prefetch/blend.h"

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
  SLUICE_CHECK(!names.empty());
  if (names.size() == 1) return NewPredictor(names[0], setup);
  std::vector<std::unique_ptr<Predictor>> parts;
  parts.reserve(names.size());
  for (const std::string& name : names) {
    parts.push_back(NewPredictor(name, setup));
    SLUICE_CHECK(parts.back() != nullptr);
  }
  return NewBlend(std::move(parts), setup);
}

std::vector<std::string_view> PredictorNames() {
  std::vector<std::string_view> names;
  names.reserve(kPredictors.size());
  for (const Entry& entry : kPredictors) names.push_back(entry.name);
  return names;
}

bool Blendable(std::string_view name) { return name != "all" && name != "demand"; }

}  // namespace sluice

// Several predictors as one.
#pragma once

#include <memory>
#include <vector>

#include "cache/prefetch.h"

namespace sluice {

// REQUIRES: at least one part.
std::unique_ptr<Predictor> NewBlend(std::vector<std::unique_ptr<Predictor>> parts,
                                    const PredictorSetup& setup);

}  // namespace sluice

// Tables for predictors are other people's text: any bytes are refused or give a predictor that
// works.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "cache/prefetch.h"

namespace sluice {
namespace {

void Try(std::string_view table) {
  constexpr CacheShape kShape = {.layers = 3, .experts = 12};
  if (!CheckPredictorTable(table, kShape).ok()) return;
  PrefetchSpec spec;
  const CacheSpec cache;
  const std::vector<int32_t> chosen = {3, 7};
  const std::vector<Demand> demands = {{.expert = 3, .tokens = 1}, {.expert = 7, .tokens = 1}};
  for (const std::string_view name : {"predictor", "affinity", "klotski"}) {
    const auto predictor = NewPredictor(
        name, {.shape = kShape, .top_k = 2, .prefetch = &spec, .cache = &cache, .table = table});
    std::vector<float> said(12);
    for (int32_t layer = 0; layer < 3; ++layer) {
      const LayerCall call{
          .layer = layer, .tokens = 1, .top_k = 2, .experts = chosen, .demands = demands};
      predictor->Observe(call);
      predictor->Predict(call, (layer + 1) % 3, 1, said);
      for (const float p : said) SLUICE_CHECK(p >= 0 && p <= 1);
    }
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  sluice::Try(std::string_view(reinterpret_cast<const char*>(bytes), size));
  return 0;
}

#include "quantize/quantize.h"

#include <cstring>

#include "quantize/encode.h"

namespace sluice {

void Quantize(Format format, const float* in, int64_t blocks, std::byte* out) {
  VisitFormat(format, [&]<typename F>() {
    for (int64_t b = 0; b < blocks; ++b) {
      const typename F::Block block = Encode<F>(in + b * F::kBlockElements);
      std::memcpy(out + b * static_cast<int64_t>(sizeof(block)), &block, sizeof(block));
    }
  });
}

}  // namespace sluice

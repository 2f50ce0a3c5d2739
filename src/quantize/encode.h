// Encode<F>(x): one block of format F from F::kBlockElements finite numbers.
#pragma once

#include "tensor/format.h"

namespace sluice {

template <typename F>
typename F::Block Encode(const float* x);

#define SLUICE_ENCODE(F) \
  template <>            \
  F::Block Encode<F>(const float* x);
SLUICE_FORMATS(SLUICE_ENCODE)
#undef SLUICE_ENCODE

}  // namespace sluice

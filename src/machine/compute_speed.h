// The most products per second that this machine's dot-product instructions give, with all
// operands in registers: no kernel can be faster.
#pragma once

#include <atomic>

#include "machine/memory_speed.h"

namespace sluice {

enum class DotProduct { kInt8, kBf16, kF32 };

// The best instruction for it here: "avx512vnni", "avx2"; null where there is none.
const char* InstructionSet(DotProduct product);
// Multiply-accumulates per second of all threads together; 0 where there is no instruction.
Rate MeasureProducts(DotProduct product, int threads, double seconds);
// Cycles per second of one core under load, from a chain of additions, one cycle each.
double MeasureClock(double seconds);
// Keeps one core busy with the widest products until told to stop.
void BurnUntil(const std::atomic<bool>& stop);

}  // namespace sluice

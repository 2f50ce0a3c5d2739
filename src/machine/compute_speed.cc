// Loops of twelve independent accumulators: more than latency times issue width of any core of
// today, and as many as fit the registers beside the operands. Assembly, because a compiler would
// drop products that nobody reads.
#include "machine/compute_speed.h"

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/stopwatch.h"

namespace sluice {
namespace {

constexpr int kRounds = 20000;  // some 60 microseconds: short beside a time slice
constexpr int kChains = 12;

// A loop of one instruction set: multiply-accumulates of one call.
struct Loop {
  const char* name;
  double products;
  void (*run)();
};

#if defined(__x86_64__)

#define SLUICE_EACH(X) X(a0) X(a1) X(a2) X(a3) X(a4) X(a5) X(a6) X(a7) X(a8) X(a9) X(a10) X(a11)
#define SLUICE_LOOP(name, isa, Vector, zero, STEP)                                         \
  __attribute__((target(isa))) void name() {                                               \
    Vector a0 = zero(), a1 = zero(), a2 = zero(), a3 = zero(), a4 = zero(), a5 = zero();   \
    Vector a6 = zero(), a7 = zero(), a8 = zero(), a9 = zero(), a10 = zero(), a11 = zero(); \
    Vector x = zero(), t = zero();                                                         \
    for (int i = 0; i < kRounds; ++i) {                                                    \
      SLUICE_EACH(STEP)                                                                    \
    }                                                                                      \
    (void)t;                                                                               \
  }

// NOLINTBEGIN(cppcoreguidelines-macro-usage)
#define SLUICE_DPBUSD(a) asm volatile("vpdpbusd %1, %1, %0" : "+v"(a) : "v"(x));
#define SLUICE_DPBF16(a) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(a) : "v"(x));
#define SLUICE_FMA(a) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(a) : "v"(x));
// Without dot-product instructions: bytes to pairs, pairs to fours, add.
#define SLUICE_MADD(a)                                                           \
  asm volatile("vpmaddubsw %2, %2, %1\n vpmaddwd %2, %1, %1\n vpaddd %1, %0, %0" \
               : "+x"(a), "+x"(t)                                                \
               : "x"(x));
// NOLINTEND(cppcoreguidelines-macro-usage)

SLUICE_LOOP(Int8Avx512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512, SLUICE_DPBUSD)
SLUICE_LOOP(Int8Avx2, "avx2", __m256i, _mm256_setzero_si256, SLUICE_MADD)
SLUICE_LOOP(Bf16Avx512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps, SLUICE_DPBF16)
SLUICE_LOOP(F32Avx512, "avx512f", __m512, _mm512_setzero_ps, SLUICE_FMA)
SLUICE_LOOP(F32Avx2, "avx2,fma", __m256, _mm256_setzero_ps, SLUICE_FMA)

constexpr double kSteps = static_cast<double>(kRounds) * kChains;

Loop FindLoop(DotProduct product) {
  switch (product) {
    case DotProduct::kInt8:
      if (__builtin_cpu_supports("avx512vnni")) return {"avx512vnni", kSteps * 64, Int8Avx512};
      if (__builtin_cpu_supports("avx2")) return {"avx2", kSteps * 32, Int8Avx2};
      break;
    case DotProduct::kBf16:
      if (__builtin_cpu_supports("avx512bf16")) return {"avx512bf16", kSteps * 32, Bf16Avx512};
      break;
    case DotProduct::kF32:
      if (__builtin_cpu_supports("avx512f")) return {"avx512f", kSteps * 16, F32Avx512};
      if (__builtin_cpu_supports("fma")) return {"avx2", kSteps * 8, F32Avx2};
      break;
  }
  return {nullptr, 0, nullptr};
}

void Add(uint64_t* sum, uint64_t one) { asm volatile("add %1, %0" : "+r"(*sum) : "r"(one)); }

#else

Loop FindLoop(DotProduct /*product*/) { return {nullptr, 0, nullptr}; }

void Add(uint64_t* sum, uint64_t one) { asm volatile("add %0, %0, %1" : "+r"(*sum) : "r"(one)); }

#endif

}  // namespace

const char* InstructionSet(DotProduct product) { return FindLoop(product).name; }

Rate MeasureProducts(DotProduct product, int threads, double seconds) {
  const Loop loop = FindLoop(product);
  if (loop.run == nullptr) return {};
  std::vector<std::vector<double>> rates(static_cast<size_t>(threads));
  {
    std::vector<std::jthread> workers;
    workers.reserve(rates.size());
    for (std::vector<double>& own : rates) {
      workers.emplace_back([&loop, &own, seconds] {
        const SteadyClock::time_point begin = SteadyClock::now();
        do {
          const SteadyClock::time_point window = SteadyClock::now();
          for (int i = 0; i < 16; ++i) loop.run();  // about a millisecond
          own.push_back(16 * loop.products / SecondsSince(window));
        } while (SecondsSince(begin) < seconds);
      });
    }
  }
  Rate sum;
  for (std::vector<double>& own : rates) {
    std::ranges::sort(own);
    // The 99th of 100: the very first window may hold a jump of the clock.
    sum.best += own[own.size() * 99 / 100];
    sum.median += own[own.size() / 2];
  }
  return sum;
}

double MeasureClock(double seconds) {
  constexpr int kAdds = 1 << 20;
  double best = 0;
  const SteadyClock::time_point begin = SteadyClock::now();
  uint64_t sum = 0;
  do {
    const SteadyClock::time_point window = SteadyClock::now();
    for (int i = 0; i < kAdds; i += 16) {
      for (int j = 0; j < 16; ++j) Add(&sum, 1);
    }
    best = std::max(best, kAdds / SecondsSince(window));
  } while (SecondsSince(begin) < seconds);
  return best;
}

void BurnUntil(const std::atomic<bool>& stop) {
  const Loop loop = FindLoop(DotProduct::kInt8);
  while (!stop.load(std::memory_order_relaxed)) {
    if (loop.run != nullptr) loop.run();
  }
}

}  // namespace sluice

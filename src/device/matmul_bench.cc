// How fast products of each format are, beside a loop that only reads.
//
//   device_bench --benchmark_filter='Q4_K/'        rows are DEVICE/FORMAT/COLUMNS/THREADS
//
// "weights" is bytes of weights per second, whatever the number of columns that share them; "macs"
// is multiply-adds per second. The matrix is larger than the L2 cache, in a ring of matrices larger
// than L3 caches: with few columns this is a race against memory.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/memory.h"
#include "device/device.h"

namespace sluice {
namespace {

constexpr int64_t kCols = 2048;
constexpr int64_t kRingBytes = int64_t{2} << 30;
constexpr int64_t kMatrixBytes = int64_t{4} << 20;

// Random bytes, but small positive exponents wherever a scale of 8 or 16 bits may stand: no
// infinities and no subnormal products, which some processors handle slowly.
void FillRing(PageBuffer* ring) {
  std::mt19937_64 random(1);
  for (size_t i = 0; i + 8 <= ring->size(); i += 8) {
    const uint64_t value = (random() & 0x0FFF0FFF0FFF0FFFULL) | 0x2020202020202020ULL;
    std::memcpy(ring->data() + i, &value, sizeof(value));
  }
}

// On huge pages, as the engine's weights are.
PageBuffer& Ring() {
  static PageBuffer ring;
  if (ring.size() == 0) {
    ring = PageBuffer::Allocate(static_cast<size_t>(kRingBytes), "weights").value();
    FillRing(&ring);
  }
  return ring;
}

void Read(benchmark::State& state) {
  const PageBuffer& ring = Ring();
  for (auto _ : state) {
    uint64_t sums[8] = {};
    for (size_t i = 0; i < ring.size(); i += 64) {
      uint64_t line[8];
      std::memcpy(line, ring.data() + i, sizeof(line));
      for (int k = 0; k < 8; ++k) sums[k] += line[k];
    }
    benchmark::DoNotOptimize(sums);
  }
  state.counters["weights"] =
      benchmark::Counter(static_cast<double>(kRingBytes) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

void Multiply(benchmark::State& state, const std::string& device_name, Format format,
              int64_t columns, int threads) {
  ThreadPool pool(threads);
  auto device = CreateDevice(device_name, &pool);
  if (!device.ok()) return state.SkipWithError("not on this machine");
  const FormatSpec& spec = Spec(format);
  const int64_t row_bytes = spec.row_bytes(kCols);
  const int64_t rows = kMatrixBytes / row_bytes / 16 * 16;
  PageBuffer& ring = Ring();
  const int64_t matrices = kRingBytes / (rows * row_bytes);

  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(columns * kCols));
  for (float& v : x) v = normal(random);
  std::vector<float> out(static_cast<size_t>(columns * rows));
  int64_t matrix = 0;
  for (auto _ : state) {
    const WeightView weight{.bytes = ring.data() + matrix * rows * row_bytes,
                            .format = format,
                            .rows = rows,
                            .cols = kCols};
    const Product product{.weight = weight, .out = out.data()};
    (*device)->ops().MatMul(x.data(), columns, {&product, 1});
    benchmark::DoNotOptimize(out.data());
    matrix = (matrix + 1) % matrices;
  }
  const auto rate = [&](int64_t per_iteration) {
    return benchmark::Counter(
        static_cast<double>(per_iteration) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate);
  };
  state.counters["weights"] = rate(rows * row_bytes);
  state.counters["macs"] = rate(rows * kCols * columns);
}

const int kRegistered = [] {
  benchmark::RegisterBenchmark("read", Read);
  for (const char* device : {"amx", "avx512", "avx2"}) {
    for (const FormatSpec& spec : AllFormats()) {
      for (const int64_t columns : {1, 2, 4, 8, 32, 128}) {
        for (const int threads : {1, AvailableCores()}) {
          const std::string name = fmt::format("{}/{}/{}/{}", device, spec.name, columns, threads);
          benchmark::RegisterBenchmark(name.c_str(), Multiply, device, spec.format, columns,
                                       threads)
              ->UseRealTime()
              ->MinTime(0.2);
        }
      }
    }
  }
  return 0;
}();

}  // namespace
}  // namespace sluice

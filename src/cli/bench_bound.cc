#include "cli/bench_bound.h"

#include <algorithm>

#include "tensor/format.h"

namespace sluice {
namespace {

double Elements(const TensorExtent& extent) {
  return static_cast<double>(extent.rows) * static_cast<double>(extent.cols);
}

double TimeOf(double amount, double per_second) { return per_second > 0 ? amount / per_second : 0; }

}  // namespace

ModelWork WorkOf(const Model& model) {
  const DenseTensors& dense = model.dense;
  const TensorExtent& head = dense.output.file != nullptr ? dense.output : dense.embedding;
  ModelWork work{.head_bytes = static_cast<double>(head.bytes), .head_macs = Elements(head)};
  for (const DenseTensors::Part& part : dense.Matrices()) {
    if (part.extent == &dense.embedding || part.extent == &head) continue;
    work.dense_bytes += static_cast<double>(part.extent->bytes);
    work.dense_macs += Elements(*part.extent);
  }
  for (const DenseTensors::Part& part : dense.Vectors()) {
    work.dense_bytes += static_cast<double>(part.extent->bytes);
  }
  work.quantized = Spec(head.format).activation == Activation::kQ8;
  const auto& experts = model.experts.extents();
  if (experts.empty()) return work;
  work.expert_bytes =
      static_cast<double>(model.experts.total_bytes()) / static_cast<double>(experts.size());
  const ExpertExtent& first = experts.front();
  work.expert_macs = Elements(first.gate) + Elements(first.up) + Elements(first.down);
  work.quantized = Spec(first.gate.format).activation == Activation::kQ8;
  return work;
}

MachineRates RatesFor(const std::optional<MachineProfile>& profile, int threads, bool quantized,
                      const std::string& model_path) {
  if (!profile) return {};
  MachineRates rates;
  const double memory =
      threads == 1 ? profile->memory_huge_one.best : profile->memory_huge_all.best;
  rates.memory_before = rates.memory_after = memory;
  const Rate& one = quantized ? profile->int8_one : profile->f32_one;
  rates.macs = one.best * std::min(threads, profile->threads);
  if (!profile->disk_device.empty() && profile->disk_device == DeviceOf(model_path)) {
    rates.disk = profile->disk_sustained;
  }
  return rates;
}

Bound BoundOf(const RowWork& work, const MachineRates& rates) {
  Bound bound{
      .memory_s = TimeOf(work.memory_bytes, std::max(rates.memory_before, rates.memory_after)),
      .compute_s = TimeOf(work.macs, rates.macs),
      .disk_s = TimeOf(work.disk_bytes, rates.disk)};
  bound.seconds = std::max({bound.memory_s, bound.compute_s, bound.disk_s});
  if (bound.seconds == 0) return bound;
  bound.limit = bound.seconds == bound.memory_s    ? "memory"
                : bound.seconds == bound.compute_s ? "compute"
                                                   : "disk";
  return bound;
}

}  // namespace sluice

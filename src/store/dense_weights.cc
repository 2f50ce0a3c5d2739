#include "store/dense_weights.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace sluice {
namespace {

// Matrices start on cache lines; reads go through a window of this size.
constexpr uint64_t kAlignment = 64;
constexpr uint64_t kWindowBytes = 4U << 20;

uint64_t Aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Rows that are read and packed together: whole pack groups, at least one.
int64_t WindowRows(const TensorExtent& extent) {
  const int64_t group_bytes = Device::kPackRows * Spec(extent.format).row_bytes(extent.cols);
  return Device::kPackRows * std::max<int64_t>(1, static_cast<int64_t>(kWindowBytes) / group_bytes);
}

uint64_t WindowBytesFor(const Model& model) {
  uint64_t largest = 0;
  for (const TensorExtent* extent : model.dense.Matrices()) {
    const int64_t rows = std::min(WindowRows(*extent), extent->rows);
    largest = std::max(largest,
                       static_cast<uint64_t>(rows * Spec(extent->format).row_bytes(extent->cols)));
  }
  for (const TensorExtent* extent : model.dense.Vectors())
    largest = std::max(largest, extent->bytes);
  return largest;
}

uint64_t MatrixBytes(const Model& model) {
  uint64_t total = 0;
  for (const TensorExtent* extent : model.dense.Matrices()) total += Aligned(extent->bytes);
  return total;
}

uint64_t VectorBytes(const Model& model) {
  uint64_t total = 0;
  for (const TensorExtent* extent : model.dense.Vectors()) {
    total += static_cast<uint64_t>(extent->cols) * sizeof(float);
  }
  return total;
}

}  // namespace

class DenseWeights::Loader {
 public:
  Loader(const Model& model, const Device& device, const Progress& progress,
         const PageBuffer& memory, std::byte* window)
      : device_(device),
        progress_(progress),
        total_(model.dense.total_bytes()),
        next_(memory.data()),
        end_(memory.data() + memory.size()),
        window_(window) {}

  Result<WeightView> Matrix(const TensorExtent& extent) {
    const FormatSpec& spec = Spec(extent.format);
    const int64_t row_bytes = spec.row_bytes(extent.cols);
    const int64_t step = WindowRows(extent);
    std::byte* begin = next_;
    SLUICE_CHECK(begin + extent.bytes <= end_);
    for (int64_t row = 0; row < extent.rows; row += step) {
      const int64_t rows = std::min(step, extent.rows - row);
      const auto bytes = static_cast<size_t>(rows * row_bytes);
      SLUICE_TRY(extent.file->ReadAt(extent.offset + static_cast<uint64_t>(row * row_bytes),
                                     std::span(window_, bytes)));
      device_.Pack(extent.format, rows, extent.cols, window_, begin + row * row_bytes);
      Report(bytes);
    }
    next_ += Aligned(extent.bytes);
    return WeightView{
        .bytes = begin, .format = extent.format, .rows = extent.rows, .cols = extent.cols};
  }

  Result<std::vector<float>> Vector(const TensorExtent& extent) {
    const FormatSpec& spec = Spec(extent.format);
    SLUICE_TRY(extent.file->ReadAt(extent.offset, std::span(window_, extent.bytes)));
    std::vector<float> values(static_cast<size_t>(extent.cols));
    spec.decode(window_, extent.cols / spec.block_elements, values.data());
    Report(extent.bytes);
    return values;
  }

 private:
  void Report(uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_, total_);
  }

  const Device& device_;
  const Progress& progress_;
  const uint64_t total_;
  uint64_t done_ = 0;
  std::byte* next_;  // where the next matrix goes
  std::byte* end_;
  std::byte* window_;  // raw rows
};

uint64_t DenseWeights::BytesNeeded(const Model& model) {
  return MatrixBytes(model) + VectorBytes(model) + WindowBytesFor(model);
}

Result<std::unique_ptr<DenseWeights>> DenseWeights::Load(const Model& model, const Device& device,
                                                         const Progress& progress) {
  std::unique_ptr<DenseWeights> weights(new DenseWeights());
  SLUICE_TRY_ASSIGN(weights->memory_, PageBuffer::Allocate(MatrixBytes(model), "dense weights"));
  SLUICE_TRY_ASSIGN(const PageBuffer window,
                    PageBuffer::Allocate(WindowBytesFor(model), "reading dense weights"));
  Loader loader(model, device, progress, weights->memory_, window.data());
  const DenseTensors& dense = model.dense;
  SLUICE_TRY_ASSIGN(weights->embedding_, loader.Matrix(dense.embedding));
  weights->output_ = weights->embedding_;
  if (dense.output) {
    SLUICE_TRY_ASSIGN(weights->output_, loader.Matrix(*dense.output));
  }
  SLUICE_TRY_ASSIGN(weights->output_norm_, loader.Vector(dense.output_norm));
  for (const LayerTensors& tensors : dense.layers) {
    LayerWeights layer;
    SLUICE_TRY_ASSIGN(layer.attention_norm, loader.Vector(tensors.attention_norm));
    SLUICE_TRY_ASSIGN(layer.q, loader.Matrix(tensors.q));
    SLUICE_TRY_ASSIGN(layer.k, loader.Matrix(tensors.k));
    SLUICE_TRY_ASSIGN(layer.v, loader.Matrix(tensors.v));
    SLUICE_TRY_ASSIGN(layer.o, loader.Matrix(tensors.o));
    if (tensors.q_norm && tensors.k_norm) {
      SLUICE_TRY_ASSIGN(layer.q_norm, loader.Vector(*tensors.q_norm));
      SLUICE_TRY_ASSIGN(layer.k_norm, loader.Vector(*tensors.k_norm));
    }
    SLUICE_TRY_ASSIGN(layer.ffn_norm, loader.Vector(tensors.ffn_norm));
    SLUICE_TRY_ASSIGN(layer.router, loader.Matrix(tensors.router));
    weights->layers_.push_back(std::move(layer));
  }
  return weights;
}

}  // namespace sluice

// Products of packed matrices with rows of activations, divided over a thread pool: the part of the
// CPU device that knows how many columns ask for which kernel. How work is divided never shows in
// the results.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "device/cpu/input_rows.h"
#include "device/cpu/kernels.h"
#include "device/ops.h"

namespace sluice {

// Of weight panels (panel.h) that meet a column panel at a time: both stay in L2.
inline constexpr int64_t kWeightPanelBytes = 256 << 10;

// One multiplication: what goes in, and where rows of results start. All must outlive the work.
struct ProductInputs {
  const InputRows* rows;
  const float* bias = nullptr;  // of all rows of the matrix, or null
  const std::vector<float*>* out;
};

// A chunk of groups of one matrix.
struct ProductWork {
  WeightView weight;
  ProductInputs inputs;
  int64_t first_group;
  int64_t last_group;
};

// Used by one thread at a time.
class Multiplier {
 public:
  // `panels` may be null; all must outlive the object.
  Multiplier(const Kernels* kernels, const PanelKernels* panels, ThreadPool* pool)
      : kernels_(*kernels), panels_(panels), pool_(*pool) {}

  // body(row) for all rows, on several threads if there is enough to do.
  template <typename Body>
  void ForRows(int64_t rows, int64_t elements_per_row, const Body& body) {
    constexpr int64_t kParallelElements = 8192;
    if (rows * elements_per_row < kParallelElements) {
      for (int64_t r = 0; r < rows; ++r) body(r);
    } else {
      pool_.ParallelFor(rows, body);
    }
  }

  // Brings rows of floats into the form that `activation` names, unless they have it already; it
  // lies in `scratch`.
  void Prepare(Activation activation, int64_t cols, Scratch* scratch, InputRows* rows);

  // Gives rows that are many enough column panels, which last until the next call.
  void LayOutPanels(std::span<InputRows* const> inputs, int64_t cols);

  // Appends the chunks of one product.
  void AddWork(const WeightView& weight, const ProductInputs& inputs,
               std::vector<ProductWork>* work) const;

  // Computes all of them.
  void Run(const std::vector<ProductWork>& work);

 private:
  void Multiply(const ProductWork& work) const;
  void MultiplyPanels(const ProductWork& work) const;
  void MultiplyGroup(const ProductWork& work, int64_t group, int64_t first_column,
                     int columns) const;
  void MultiplyTile(const ProductWork& work, const std::byte* group, int64_t first_column,
                    int columns, float* const* out) const;
  bool HasTile(Format format) const;

  const Kernels& kernels_;
  const PanelKernels* panels_;
  ThreadPool& pool_;
  Scratch panel_scratch_;  // the columns of a product
};

}  // namespace sluice

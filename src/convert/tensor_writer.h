// The numbers of one tensor: read, put into order, quantized, written, some rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/packed_matrix.h"
#include "convert/target_tensor.h"
#include "sluice/status.h"

namespace sluice {

class TensorWriter {
 public:
  // REQUIRES: buffer_bytes >= LeastBufferBytes() of every tensor that is written.
  TensorWriter(uint64_t buffer_bytes, ThreadPool* pool, GgufWriter* out)
      : buffer_bytes_(buffer_bytes), pool_(*pool), out_(*out) {}

  // Room for one row, and for a whole part that lies transposed or packed.
  static uint64_t LeastBufferBytes(const TargetTensor& tensor);

  // All of the tensor but its first `skip` bytes, which are in the file. `advance` gets the bytes
  // that each piece added. Fails where a number is not finite, or is too large for the format.
  Status Write(const TargetTensor& tensor, uint64_t skip,
               const std::function<Status(uint64_t)>& advance);

 private:
  Status CutBuffer(const TargetTensor& tensor, int64_t rows);
  Status ReadRows(const TargetTensor& tensor, int64_t first, int64_t count);
  Status ReadPart(const TargetTensor& tensor, const TensorExtent& part, int64_t part_begin,
                  int64_t first, int64_t count, float* out);
  Status ReadPacked(const TargetTensor& tensor, const TensorExtent& part, int64_t part_begin,
                    int64_t first, int64_t count, float* out);
  Status LoadPacked(const TensorExtent& part);
  Status ReadTurned(const TensorExtent& part, int64_t first, int64_t count, float* out);
  Status CopyRows(const TargetTensor& tensor, int64_t first, int64_t count);
  Status Encode(const TargetTensor& tensor, int64_t first, int64_t count);
  Status CheckCopied(const TargetTensor& tensor, int64_t first, int64_t count);

  const uint64_t buffer_bytes_;
  ThreadPool& pool_;
  GgufWriter& out_;
  PackedReader packed_;
  const TensorExtent* loaded_part_ = nullptr;  // what turned_ or packed_ holds
  bool packed_is_plain_ = false;
  // One allocation for each tensor, cut into what follows: vectors that grow would take twice as
  // much, and each would stay as long as its longest tensor needs.
  PageBuffer buffer_;
  std::span<std::byte> turned_;   // a part that lies transposed
  std::span<std::byte> raw_;      // rows as the source has them
  std::span<float> floats_;       // [rows, cols]
  std::span<std::byte> encoded_;  // rows as the file will have them
  // Of each of these rows: 1 where codes were taken over, so that nothing is left to encode.
  std::span<std::byte> taken_over_;
};

}  // namespace sluice

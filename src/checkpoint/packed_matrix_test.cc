// What packed matrices decode to is held to a definition by tests/packed_test.py; here is what they
// take of memory.
#include "checkpoint/packed_matrix.h"

#include <gtest/gtest.h>

#include "checkpoint/tensor_table.h"

namespace sluice {
namespace {

TensorExtent RowsOf(const PackedMatrix& matrix, int64_t first, int64_t rows, int64_t step) {
  return {.rows = rows,
          .cols = matrix.cols,
          .packed = {.matrix = &matrix, .first = first, .step = step}};
}

TEST(PackedReaderTest, BuffersOfMxfp4HoldCodesAndScalesTwice) {
  // Two experts of three rows: a row has 32 bytes of codes, and two scales, as bytes and as floats.
  const PackedMatrix matrix{.packing = Packing::kMxfp4,
                            .rows = 6,
                            .cols = 64,
                            .group = 32,
                            .codes = {.bytes = 6 * 32},
                            .scales = {.bytes = 6 * 2}};
  constexpr uint64_t kRowBytes = 32 + 2 + 2 * 4;
  EXPECT_EQ(PackedReader::BufferBytes(RowsOf(matrix, 0, 6, 1)), 6 * kRowBytes);
  EXPECT_EQ(PackedReader::BufferBytes(RowsOf(matrix, 3, 3, 1)), 3 * kRowBytes);
  // Every second row: those between are read, too.
  EXPECT_EQ(PackedReader::BufferBytes(RowsOf(matrix, 1, 2, 2)), 3 * kRowBytes);
}

TEST(PackedReaderTest, BuffersOfFp8HoldTheRowsAndAllScales) {
  const PackedMatrix matrix{.packing = Packing::kFp8,
                            .rows = 4,
                            .cols = 100,
                            .codes = {.bytes = 400},
                            .scales = {.bytes = 16, .dtype = "F32"}};
  // Scales may become longer when they are decoded: four bytes of each, and what they are read as.
  EXPECT_GE(PackedReader::BufferBytes(RowsOf(matrix, 1, 2, 1)), 200U + 16 + 16);
  EXPECT_LT(PackedReader::BufferBytes(RowsOf(matrix, 1, 2, 1)),
            PackedReader::BufferBytes(RowsOf(matrix, 0, 4, 1)));
}

}  // namespace
}  // namespace sluice

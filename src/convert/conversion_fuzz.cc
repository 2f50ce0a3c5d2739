// Any bytes as a model that is converted: config.json and model.safetensors of a directory, with a
// zero between them, or a GGUF file. Packed matrices are decoded whether the rest makes a model or
// not; what a conversion writes has to be a model again.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fuzz_folder.h"
#include "base/thread_pool.h"
#include "checkpoint/packed_matrix.h"
#include "convert/conversion.h"
#include "tensor/formats/q4_0.h"

namespace {

// An input is quickly converted then, and a matrix decoded.
constexpr size_t kMostBytes = 64 << 10;
constexpr int64_t kMostNumbers = 1 << 20;

constexpr std::array kTypes = {"f32", "bf16", "q8_0", "q4_0", "q4_k_m", "iq4_nl", "mxfp4", "q2_k"};

// Rows of the matrix as a reader of a part of it would ask for them.
void Decode(const sluice::PackedMatrix& matrix, int64_t first, int64_t rows, int64_t step) {
  const sluice::TensorExtent part{
      .rows = rows,
      .cols = matrix.cols,
      .packed = {.matrix = &matrix, .first = first, .step = step},
  };
  // Nothing larger than what the file holds: an FP8 code has 1 byte, a code of 4 bits at least a
  // half, each may have a float for a scale.
  if (sluice::PackedReader::BufferBytes(part) > 16 * kMostBytes) std::abort();
  sluice::PackedReader reader;
  if (!reader.Load(part).ok()) return;
  std::vector<float> out(static_cast<size_t>(matrix.cols));
  for (int64_t row = 0; row < rows; ++row) reader.DecodeRow(row, out.data());
  if (!reader.IsPlainNibbles()) return;
  const int64_t blocks = matrix.cols / sluice::Q4_0::kBlockElements;
  std::vector<std::byte> nibbles(static_cast<size_t>(blocks) * sizeof(sluice::Q4_0::Block));
  for (int64_t row = 0; row < rows; ++row) reader.EncodeRowAsNibbles(row, nibbles.data());
}

void DecodePacked(const std::string& path) {
  const auto checkpoint = sluice::OpenCheckpoint(path);
  if (!checkpoint.ok()) return;
  for (const auto& [name, entry] : checkpoint->tensors.entries()) {
    if (entry.packed == nullptr) continue;
    const sluice::PackedMatrix& matrix = *entry.packed;
    if (matrix.rows > kMostNumbers / std::max<int64_t>(1, matrix.cols)) continue;
    Decode(matrix, 0, matrix.rows, 1);
    if (matrix.rows >= 2) Decode(matrix, 1, matrix.rows / 2, 2);
  }
}

void Convert(const std::string& path, const std::string& out, const char* type) {
  static sluice::ThreadPool pool(1);
  auto model = sluice::OpenModel(path, sluice::PackedMatrices::kAllowed);
  if (!model.ok()) return;
  const sluice::ConversionOptions options{.file = sluice::FindFileType(type)};
  const auto conversion = sluice::Conversion::Plan(std::move(model).value(), options);
  if (!conversion.ok() || conversion->target_bytes() > kMostNumbers * sizeof(float)) return;
  constexpr uint64_t kBudget = uint64_t{64} << 30;  // the sanitizers' memory is not the point
  if (!conversion->Write(out, {.ram_budget = kBudget}, &pool).ok()) return;
  const auto written = sluice::OpenModel(out);
  if (!written.ok()) {
    std::fputs(written.status().message().c_str(), stderr);
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 2 || size > kMostBytes) return 0;
  const char* type = kTypes[bytes[0] % kTypes.size()];
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const sluice::FuzzFolder folder;
  const std::string out = folder.path() / "out.gguf";
  if (input.starts_with("GGUF")) {
    folder.Write("in.gguf", input);
    Convert(folder.path() / "in.gguf", out, type);
    return 0;
  }
  const size_t end = std::min(input.find('\0'), input.size());
  folder.Write("config.json", input.substr(0, end));
  folder.Write("model.safetensors", input.substr(std::min(end + 1, input.size())));
  DecodePacked(folder.path());
  Convert(folder.path(), out, type);
  return 0;
}

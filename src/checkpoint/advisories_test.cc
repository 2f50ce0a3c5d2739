// Published holes of other programs' readers, each as the file that it takes. What they have in
// common: a number from a header was believed. Those of prompts and requests are in
// engine/advisories_test.cc; docs/robustness.md lists all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/memory.h"
#include "base/stopwatch.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/testing_gguf.h"

namespace sluice {
namespace {

constexpr uint32_t kFloatTensor = 0;
constexpr uint32_t kStringType = 8;
constexpr uint32_t kArrayType = 9;

class AdvisoriesTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  void Write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  // Refused with a message that names the file, at once, and without memory for what it claims.
  void ExpectRefused(const Status& status, const std::string& words, uint64_t memory_before) {
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(path_.string()), std::string::npos) << status.message();
    EXPECT_LT(PeakResidentBytes(), memory_before + (uint64_t{64} << 20));
  }
  void ExpectGgufRefused(const GgufBuilder& file, const std::string& words) {
    Write(file.bytes());
    (void)ResetPeakResidentBytes();
    const uint64_t before = PeakResidentBytes();
    ExpectRefused(OpenCheckpoint(path_.string()).status(), words, before);
  }
  // `header_bytes`: what the file says; the header itself may be shorter.
  Status ReadTensors(uint64_t header_bytes, const std::string& header, size_t weights) {
    std::string bytes(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
    Write(bytes + header + std::string(weights, '\0'));
    TensorTable tensors;
    return ReadSafetensors(tensors.AddFile(File::Open(path_.string()).value()), &tensors);
  }
  Status ReadTensors(const std::string& header, size_t weights) {
    return ReadTensors(header.size(), header, weights);
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("sluice_advisories_" + std::to_string(getpid()));
};

// More dimensions than the reader's array of four has room for.
TEST_F(AdvisoriesTest, Cve2024_21802_TensorsOfManyDimensions) {
  for (const uint32_t dimensions : {5U, 64U, 0x80000000U, 0xFFFFFFFFU}) {
    GgufBuilder file;
    file.Header(1, 0).String("t").Raw<uint32_t>(dimensions).Zeros(4096);
    ExpectGgufRefused(file, "dimensions");
  }
}

// An array whose count times the size of an element wraps around.
TEST_F(AdvisoriesTest, Cve2024_21825_CountsOfArrays) {
  for (const uint32_t type : {0U, 6U, kStringType, 12U}) {
    for (const uint64_t count : {uint64_t{1} << 61, (uint64_t{1} << 62) + 1, UINT64_MAX}) {
      GgufBuilder file;
      file.Header(0, 1).String("k").Raw(kArrayType).Raw(type).Raw(count).Zeros(4096);
      ExpectGgufRefused(file, "array");
    }
  }
}

// A count of tensors whose table wraps around.
TEST_F(AdvisoriesTest, Cve2024_21836_CountsOfTensors) {
  for (const uint64_t count : {uint64_t{1} << 21, uint64_t{1} << 58, UINT64_MAX}) {
    ExpectGgufRefused(GgufBuilder().Header(count, 0).Zeros(4096), "too many");
  }
}

// A string of 2^64 - 1 bytes, for which length + 1 bytes were allocated.
TEST_F(AdvisoriesTest, Cve2024_23496_LengthsOfStrings) {
  for (const uint64_t length : {UINT64_MAX, UINT64_MAX - 1, uint64_t{1} << 40, uint64_t{5000}}) {
    ExpectGgufRefused(GgufBuilder().Header(0, 1).Raw(length).Zeros(4096), "too long");
    GgufBuilder value;
    value.Header(0, 1).String("k").Raw(kStringType).Raw(length).Zeros(4096);
    ExpectGgufRefused(value, "too long");
  }
}

// A count of keys whose table wraps around.
TEST_F(AdvisoriesTest, Cve2024_23605_CountsOfKeys) {
  for (const uint64_t count : {uint64_t{1} << 17, uint64_t{1} << 58, UINT64_MAX}) {
    ExpectGgufRefused(GgufBuilder().Header(0, count).Zeros(4096), "too many");
  }
}

// Sizes that are possible one by one, while their sum wraps around to a small buffer; and the
// bypass of the first repair, where padding makes the sum wrap.
TEST_F(AdvisoriesTest, Cve2025_53630_and_Cve2026_27940_SumsOfTensorSizes) {
  const uint64_t elements = uint64_t{1} << 60;  // 2^62 bytes
  GgufBuilder four;
  four.Header(4, 0);
  for (const char* name : {"a", "b", "c", "d"}) four.Tensor(name, {elements}, kFloatTensor, 0);
  ExpectGgufRefused(four.Pad().Zeros(4096), "incomplete");
  GgufBuilder padded;
  padded.Header(1, 0).Tensor("a", {(UINT64_MAX >> 2) - 3}, kFloatTensor, 0);
  ExpectGgufRefused(padded.Pad().Zeros(4096), "incomplete");
}

// Dimensions whose product wraps around to 4 MiB.
TEST_F(AdvisoriesTest, Cve2026_33298_ProductsOfDimensions) {
  GgufBuilder file;
  file.Header(1, 0).Tensor("t", {uint64_t{1} << 32, (uint64_t{1} << 32) + 1, 1U << 20},
                           kFloatTensor, 0);
  ExpectGgufRefused(file.Pad().Zeros(4U << 20), "shape");
  GgufBuilder negative;
  negative.Header(1, 0).Tensor("t", {UINT64_MAX - 3}, kFloatTensor, 0);
  ExpectGgufRefused(negative.Pad().Zeros(4096), "shape");
}

// Types below zero index before the table; strings and arrays without bound exhaust memory.
TEST_F(AdvisoriesTest, LlamaCppPull19856_NegativeTypes) {
  for (const uint32_t type : {0x80000000U, 0xFFFFFFFFU, 13U, 1000U}) {
    GgufBuilder value;
    value.Header(0, 1).String("k").Raw(type).Zeros(4096);
    ExpectGgufRefused(value, "type");
    GgufBuilder array;
    array.Header(0, 1).String("k").Raw(kArrayType).Raw(type).Raw<uint64_t>(1).Zeros(4096);
    ExpectGgufRefused(array, "type");
    if (type < 1000) continue;  // a type of tensors
    GgufBuilder tensor;
    tensor.Header(1, 0).Tensor("t", {32}, type, 0).Pad().Zeros(4096);
    Write(tensor.bytes());
    EXPECT_EQ(OpenCheckpoint(path_.string()).status().code(), StatusCode::kUnsupported);
  }
}

// Arrays within arrays, each level a call deeper.
TEST_F(AdvisoriesTest, LlamaCppPull19856_NestedArrays) {
  GgufBuilder file;
  file.Header(0, 1).String("k").Raw(kArrayType);
  for (int level = 0; level < 100000; ++level) file.Raw(kArrayType).Raw<uint64_t>(1);
  ExpectGgufRefused(file, "arrays");
}

// A tensor larger than the file: whatever lay behind the buffer was read, and could be sent away.
TEST_F(AdvisoriesTest, Cve2026_7482_TensorsLargerThanTheFile) {
  GgufBuilder file;
  file.Header(1, 0).Tensor("t", {1U << 20, 1U << 10}, kFloatTensor, 0);
  ExpectGgufRefused(file.Pad().Zeros(4096), "incomplete");
  GgufBuilder behind;
  behind.Header(1, 0).Tensor("t", {64}, kFloatTensor, 4096 - 64);
  ExpectGgufRefused(behind.Pad().Zeros(4096), "incomplete");
}

// A token's text longer than an int32 says: cast to a negative length, it passed the check.
TEST_F(AdvisoriesTest, Cve2025_49847_LengthsOfTokens) {
  for (const uint64_t length : {uint64_t{0x80000000}, uint64_t{0xFFFFFFFF}, uint64_t{1} << 33}) {
    GgufBuilder file;
    file.Header(0, 1).String("tokenizer.ggml.tokens").Raw(kArrayType).Raw(kStringType);
    file.Raw<uint64_t>(1).Raw(length).Zeros(4096);
    ExpectGgufRefused(file, "too long");
  }
}

// The audit of safetensors (2023): a header that claims more than there is, holes and overlaps in
// which other files hide, tensors that say less than their range.
TEST_F(AdvisoriesTest, SafetensorsAudit_HeadersAndHoles) {
  const std::string one = R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";
  const auto refused = [&](const Status& status) {
    ExpectRefused(status, "", PeakResidentBytes());
  };
  ASSERT_TRUE(ReadTensors(one, 16).ok());
  for (const uint64_t length : {uint64_t{0}, uint64_t{101} << 20, uint64_t{1} << 63, UINT64_MAX}) {
    refused(ReadTensors(length, one, 16));
  }
  refused(ReadTensors(one, 4096));  // a file behind the tensors
  refused(ReadTensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}})", 32));
  refused(ReadTensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                      R"("b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}})",
                      24));
  refused(ReadTensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}})", 16));
  refused(ReadTensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", 16));
  refused(ReadTensors(R"({"a":{"dtype":"F32","shape":[4294967296,4294967297],)"
                      R"("data_offsets":[0,16]}})",
                      16));
  refused(ReadTensors(R"({"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,16]}})", 16));
}

// Very many entries took time that grew with their square.
TEST_F(AdvisoriesTest, SafetensorsAudit_ManyEntries) {
  std::string header = "{";
  constexpr int kEntries = 100000;
  for (int i = 0; i < kEntries; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
              R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  const SteadyClock::time_point begin = SteadyClock::now();
  (void)ReadTensors(header + "}", 0);
  EXPECT_LT(SecondsSince(begin), 60);  // a square takes hours
}

// Nesting without end took the stack.
TEST_F(AdvisoriesTest, SafetensorsAudit_DeepNesting) {
  const std::string deep(1U << 20, '[');
  EXPECT_FALSE(ReadTensors(deep, 0).ok());
  std::string objects;
  for (int i = 0; i < 200000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(ReadTensors(objects, 0).ok());
  EXPECT_FALSE(MetadataFromJson(deep, "config.json").ok());
  EXPECT_FALSE(MetadataFromJson(objects, "config.json").ok());
}

}  // namespace
}  // namespace sluice

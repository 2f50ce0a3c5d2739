// In which order a finished file reaches the disk: a machine that stops may leave no file under its
// final name whose numbers are not there. fsync and rename are this program's own here.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/gguf_writer.h"

namespace {

std::vector<std::string>* noted = nullptr;  // while a test listens

}  // namespace

extern "C" int fsync(int fd) {
  if (noted != nullptr) {
    std::array<char, 4> magic = {};
    const bool whole = pread(fd, magic.data(), 4, 0) == 4 && std::string(magic.data(), 4) == "GGUF";
    noted->push_back(whole ? "sync with the magic number" : "sync without");
  }
  return reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fsync"))(fd);
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (noted != nullptr) noted->push_back("rename");
  return reinterpret_cast<int (*)(const char*, const char*)>(dlsym(RTLD_NEXT, "rename"))(from, to);
}

namespace sluice {
namespace {

TEST(GgufWriterOrderTest, NumbersThenMagicNumberThenName) {
  const std::string path =
      (std::filesystem::temp_directory_path() / (std::to_string(getpid()) + "_order.gguf"));
  std::vector<std::string> order;
  {
    auto out = GgufWriter::Create(path, "toy");
    ASSERT_TRUE(out.ok());
    const std::vector<int64_t> shape = {4};
    out->AddTensor("a", Format::kF32, shape);
    ASSERT_TRUE(out->BeginOrContinue("of nothing").ok());
    const std::array<float, 4> numbers = {1, 2, 3, 4};
    ASSERT_TRUE(out->Write(std::as_bytes(std::span(numbers))).ok());
    noted = &order;
    const Status finished = out->Finish();
    noted = nullptr;
    ASSERT_TRUE(finished.ok()) << finished.message();
  }
  EXPECT_EQ(order,
            (std::vector<std::string>{"sync without", "sync with the magic number", "rename"}));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice

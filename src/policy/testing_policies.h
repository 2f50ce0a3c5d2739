// Policies for the tests of this folder, from tests/policies/.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace sluice {

inline std::string TestPolicy(const std::string& name) {
  const std::string path = "tests/policies/" + name + ".moe";
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace sluice

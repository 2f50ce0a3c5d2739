// Random text for the tests of this folder: scripts, marks, symbols and spaces mixed in short runs,
// and bytes that are not UTF-8.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>

#include "tokenizer/unicode.h"

namespace sluice {

// Mostly valid UTF-8 of about `count` characters; the classes of characters change often.
inline std::string RandomText(std::mt19937& random, size_t count) {
  struct Block {
    char32_t first;
    char32_t last;
  };
  static constexpr std::array<Block, 24> blocks{{
      {'a', 'z'},       {'A', 'Z'},         {'0', '9'},         {' ', ' '},
      {'!', '/'},       {'\t', '\r'},       {'\n', '\n'},       {0xA0, 0xFF},
      {0x100, 0x24F},   {0x2B0, 0x36F},     {0x370, 0x52F},     {0x5D0, 0x669},
      {0x900, 0x96F},   {0x1100, 0x11FF},   {0x1E00, 0x1FFF},   {0x2000, 0x206F},
      {0x2070, 0x218F}, {0x3000, 0x30FF},   {0x4E00, 0x4EFF},   {0xAC00, 0xACFF},
      {0xFF00, 0xFFEF}, {0x10400, 0x1044F}, {0x1F300, 0x1F6FF}, {0x10000, 0x10FFFF},
  }};
  static constexpr std::array<const char*, 8> words{"'s", "'LL",  "'ve", " '",
                                                    "  ", "\r\n", "//",  "'\xC5\xBF"};
  std::string text;
  while (count > 0) {
    const Block& block = blocks[random() % blocks.size()];
    for (size_t run = 1 + random() % 4; run > 0 && count > 0; --run, --count) {
      AppendUtf8(block.first + static_cast<char32_t>(random() % (block.last - block.first + 1)),
                 &text);
    }
    if (random() % 4 == 0) text += words[random() % words.size()];
  }
  return text;
}

// Any bytes, text among them.
inline std::string RandomBytes(std::mt19937& random, size_t count) {
  std::string bytes = RandomText(random, count);
  for (size_t hits = random() % 8; hits > 0 && !bytes.empty(); --hits) {
    bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
  }
  return bytes;
}

}  // namespace sluice

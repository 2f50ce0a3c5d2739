#include "mutants/mutator.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// float32 numbers that arithmetic does not like.
const std::vector<uint32_t> kFloats = {0x7FC00000,              // NaN
                                       0xFFC00000, 0x7F800000,  // infinity
                                       0xFF800000, 0x00000000, 0x80000000,
                                       0x7F7FFFFF,                           // the largest
                                       0xFF7FFFFF, 0x00000001,               // the smallest
                                       0x3F800000, 0xBF800000, 0x7149F2CA};  // 1, -1, 1e30
// float16, as scales of blocks are.
const std::vector<uint16_t> kHalves = {0x7E00, 0xFE00, 0x7C00, 0xFC00, 0x0000,
                                       0x8000, 0x7BFF, 0x0001, 0xFBFF};

const std::vector<std::string> kJsonValues = {"0",
                                              "1",
                                              "-1",
                                              "2",
                                              "3",
                                              "7",
                                              "65536",
                                              "4294967295",
                                              "4294967296",
                                              "9223372036854775807",
                                              "-9223372036854775808",
                                              "18446744073709551615",
                                              "99999999999999999999999",
                                              "0.0",
                                              "-0.5",
                                              "0.5",
                                              "1e-30",
                                              "1e30",
                                              "1e308",
                                              "1e999",
                                              "null",
                                              "true",
                                              "false",
                                              "\"\"",
                                              "\"x\"",
                                              "\"../../etc/passwd\"",
                                              "[]",
                                              "{}",
                                              "[0]",
                                              "[-1]",
                                              "[[[[]]]]",
                                              "{\"a\":{}}",
                                              "[9223372036854775807,9223372036854775807]",
                                              "\"F8_E4M3\"",
                                              "\"BF16\"",
                                              "\"I64\"",
                                              "\"F64\""};

uint64_t ReadNumber(const std::string& file, size_t at, size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, file.data() + at, bytes);
  return value;
}

void WriteNumber(uint64_t value, size_t at, size_t bytes, std::string* file) {
  std::memcpy(file->data() + at, &value, bytes);
}

// All places of a document where a value is.
void Places(const Json& value, const Json::json_pointer& at,
            std::vector<Json::json_pointer>* places) {
  if (!at.empty()) places->push_back(at);
  // A vocabulary has thousands of entries, all alike.
  constexpr int kChildren = 200;
  int children = 0;
  for (const auto& [key, child] : value.items()) {
    if (++children > kChildren) return;
    if (value.is_array()) {
      Places(child, at / std::stoul(key), places);
    } else if (value.is_object()) {
      Places(child, at / key, places);
    }
  }
}

}  // namespace

uint64_t Mutator::Number(uint64_t now, size_t bytes) {
  const uint64_t top = uint64_t{1} << (8 * bytes - 1);
  switch (Below(12)) {
    case 0:
      return 0;
    case 1:
      return now + 1;
    case 2:
      return now - 1;
    case 3:
      return now * 2;
    case 4:
      return now / 2;
    case 5:
      return top - 1;  // the largest that is positive
    case 6:
      return top;
    case 7:
      return std::numeric_limits<uint64_t>::max();
    case 8:
      return now + (uint64_t{1} << Below(8 * bytes));
    case 9:
      return Below(64);
    case 10:
      return uint64_t{1} << Below(8 * bytes);
    default:
      return random_();
  }
}

void Mutator::DamageBytes(size_t begin, size_t end, std::string* file, std::string* what) {
  const uint64_t count = 1 + Below(4);
  for (uint64_t i = 0; i < count; ++i) {
    const size_t at = begin + Below(end - begin);
    (*file)[at] = static_cast<char>(Chance(50) ? (*file)[at] ^ (1 << Below(8)) : random_());
    *what += fmt::format("byte {}; ", at);
  }
}

void Mutator::Truncate(std::string* file, std::string* what) {
  file->resize(Below(file->size()));
  *what += fmt::format("cut to {} bytes; ", file->size());
}

void Mutator::DamageField(const GgufField& field, std::string* file, std::string* what) {
  *what += fmt::format("field of {} bytes at {}; ", field.bytes, field.at);
  if (field.kind == GgufFieldKind::kText) {
    if (field.bytes > 0) DamageBytes(field.at, field.at + field.bytes, file, what);
  } else if (field.kind == GgufFieldKind::kFloat) {
    WriteNumber(Any(kFloats), field.at, 4, file);
  } else {
    const uint64_t now = ReadNumber(*file, field.at, field.bytes);
    WriteNumber(field.kind == GgufFieldKind::kType ? Below(42) : Number(now, field.bytes), field.at,
                field.bytes, file);
  }
}

// Two tensors swap types or places, or one lies where another does.
void Mutator::DamageTensorHeader(const GgufMap& map, std::string* file, std::string* what) {
  const size_t a = Any(map.tensors).type_at;
  const size_t b = Any(map.tensors).type_at;
  const bool types = Chance(30);
  const size_t bytes = types ? 4 : 8;
  const size_t skip = types ? 0 : 4;
  const uint64_t of_a = ReadNumber(*file, a + skip, bytes);
  const uint64_t of_b = ReadNumber(*file, b + skip, bytes);
  WriteNumber(of_b, a + skip, bytes, file);
  if (Chance(70)) WriteNumber(of_a, b + skip, bytes, file);
  *what += fmt::format("{} of the tensors at {} and {}; ", types ? "types" : "offsets", a, b);
}

// Numbers [at, at + bytes): one of them, a run, or all.
void Mutator::DamageNumbers(size_t at, size_t bytes, std::string* file, std::string* what) {
  bytes = std::min(bytes, file->size() - at);
  if (bytes < 4) return;
  *what += fmt::format("numbers at {}..{}; ", at, at + bytes);
  switch (Below(4)) {
    case 0: {
      const size_t place = at + Below(bytes / 4) * 4;
      return WriteNumber(Any(kFloats), place, 4, file);
    }
    case 1: {  // a scale: blocks of all formats have even sizes
      const size_t place = at + Below(bytes / 2) * 2;
      return WriteNumber(Any(kHalves), place, 2, file);
    }
    case 2: {
      const size_t begin = at + Below(bytes);
      const size_t end = std::min(at + bytes, begin + 1 + Below(512));
      for (size_t i = begin; i < end; ++i) (*file)[i] = static_cast<char>(random_());
      return;
    }
    default: {
      constexpr unsigned char kFill[] = {0x00, 0xFF, 0x7F, 0x80, 0x7C};
      const unsigned char fill = kFill[Below(std::size(kFill))];
      std::fill_n(file->begin() + static_cast<ptrdiff_t>(at), bytes, static_cast<char>(fill));
    }
  }
}

void Mutator::DamageGguf(const GgufMap& map, std::string* file, std::string* what) {
  const uint64_t kind = Below(100);
  if (kind < 50) {
    // Most fields are texts and their lengths: choose the kind first.
    const auto wanted = static_cast<GgufFieldKind>(Below(7));
    std::vector<GgufField> fields;
    std::ranges::copy_if(map.fields, std::back_inserter(fields),
                         [&](const GgufField& f) { return f.kind == wanted; });
    return DamageField(Any(fields), file, what);
  }
  if (kind < 60) return DamageTensorHeader(map, file, what);
  if (kind < 85) {
    const GgufTensor& tensor = Any(map.tensors);
    return DamageNumbers(tensor.offset, tensor.bytes, file, what);
  }
  if (kind < 92) return DamageBytes(0, map.header_bytes, file, what);
  Truncate(file, what);
}

void Mutator::DamageJson(std::string* text, std::string* what) {
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || text->empty() || Chance(20)) {
    if (text->empty()) return;
    return Chance(70) ? DamageBytes(0, text->size(), text, what) : Truncate(text, what);
  }
  std::vector<Json::json_pointer> places;
  Places(json, Json::json_pointer(), &places);
  if (places.empty()) return;
  const Json::json_pointer& place = Any(places);
  Json& value = json.at(place);
  if (Chance(15)) {
    *what += fmt::format("{} left out; ", place.to_string());
    Json& parent = json.at(place.parent_pointer());
    if (parent.is_object()) {
      parent.erase(place.back());
    } else {
      parent.erase(std::stoul(place.back()));
    }
  } else if (value.is_number_integer() && Chance(60)) {
    value = static_cast<int64_t>(Number(value.get<uint64_t>(), 8));
    *what += fmt::format("{} = {}; ", place.to_string(), value.dump());
  } else {
    // As text, since no Json holds numbers that are too large for it.
    const std::string& other = Any(kJsonValues);
    *what += fmt::format("{} = {}; ", place.to_string(), other);
    value = "@@";
    *text = json.dump();
    const size_t at = text->find("\"@@\"");
    if (at != std::string::npos) text->replace(at, 4, other);
    return;
  }
  *text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Mutator::DamageSafetensors(std::string* file, std::string* what) {
  if (file->size() < 8) return;
  const auto header_bytes = static_cast<size_t>(ReadNumber(*file, 0, 8));
  if (header_bytes > file->size() - 8) return;
  const uint64_t kind = Below(100);
  if (kind < 45) {
    std::string header = file->substr(8, header_bytes);
    DamageJson(&header, what);
    const std::string rest = file->substr(8 + header_bytes);
    std::string length(8, '\0');
    WriteNumber(header.size(), 0, 8, &length);
    *file = length + header + rest;
  } else if (kind < 55) {
    WriteNumber(Number(header_bytes, 8), 0, 8, file);
    *what += "the header's length; ";
  } else if (kind < 65) {
    DamageBytes(0, 8 + header_bytes, file, what);
  } else if (kind < 72) {
    Truncate(file, what);
  } else {
    const size_t begin = 8 + header_bytes;
    const size_t at = begin + Below((file->size() - begin) / 4) * 4;
    DamageNumbers(at, 1 + Below(2048), file, what);
  }
}

std::map<std::string, std::string> Mutator::Damage(const ModelFiles& model, std::string* what) {
  std::map<std::string, std::string> files = model.files;
  const uint64_t count = Chance(70) ? 1 : 2 + Below(2);
  for (uint64_t i = 0; i < count; ++i) {
    if (model.gguf) {
      // Fields of a file that was cut are no longer there.
      std::string& file = files.begin()->second;
      if (file.size() == model.files.begin()->second.size()) DamageGguf(*model.gguf, &file, what);
      continue;
    }
    auto file = files.begin();
    std::advance(file, Below(files.size()));
    if (Chance(35)) file = files.find("config.json");
    *what += file->first + ": ";
    file->first.ends_with(".safetensors") ? DamageSafetensors(&file->second, what)
                                          : DamageJson(&file->second, what);
  }
  return files;
}

}  // namespace sluice

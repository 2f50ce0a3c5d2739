// Lines through a window, fields from the parser's events.
#include "routing/json_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

namespace sluice {
namespace {

constexpr size_t kWindowBytes = 1U << 20;
// A meta line may hold a policy or the titles of thousands of conversations; no line of a step is
// near that.
constexpr size_t kMaxLineBytes = 16U << 20;

}  // namespace

Status JsonLineReader::Refill() {
  window_.erase(0, used_);
  used_ = 0;
  const size_t kept = window_.size();
  if (kept > kMaxLineBytes) {
    ++number_;
    return Error(fmt::format("the line is longer than {} bytes", kMaxLineBytes));
  }
  const uint64_t bytes = std::min<uint64_t>(kWindowBytes, file_.bytes() - position_);
  window_.resize(kept + bytes);
  SLUICE_TRY(
      file_.ReadAt(position_, std::as_writable_bytes(std::span(window_).subspan(kept, bytes))));
  position_ += bytes;
  return {};
}

Result<bool> JsonLineReader::Next() {
  size_t searched = 0;  // bytes behind used_ that hold no end of line
  while (true) {
    const size_t end = window_.find('\n', used_ + searched);
    if (end == std::string::npos && position_ < file_.bytes()) {
      searched = window_.size() - used_;
      SLUICE_TRY(Refill());
      continue;
    }
    if (end == std::string::npos && used_ == window_.size()) return false;
    line_ = std::string_view(window_).substr(used_, std::min(end, window_.size()) - used_);
    used_ = std::min(end, window_.size() - 1) + 1;
    searched = 0;
    ++number_;
    if (line_.find_first_not_of(" \t\r") != std::string_view::npos) return true;
  }
}

Status JsonLineReader::Annotate(const Status& status) const {
  return status.Annotate(fmt::format("{}:{}", file_.name(), number_));
}

// What the parser says while it reads a line, with the signatures that the library wants.
class JsonRow::Events final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Events(JsonRow* row) : row_(*row) {}
  const std::string& error() const { return error_; }

  bool null() override {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    return InNumbers() ? Take({kNan, kNan, false}) : Other();
  }
  bool boolean(bool) override { return Other(); }
  bool number_integer(number_integer_t value) override {
    return Take({static_cast<double>(value), static_cast<float>(value), true});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Take({static_cast<double>(value), static_cast<float>(value), true});
  }
  bool number_float(number_float_t value, const string_t& text) override {
    float single = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), single);
    if (error != std::errc()) single = static_cast<float>(value);  // infinite or zero
    return Take({value, single, false});
  }
  bool string(string_t& value) override {
    if (depth_ == 1) {
      current_->kind = Kind::kText;
      current_->text = value;
      return true;
    }
    return Other();
  }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    if (row_.Find(name) != nullptr) return Refuse(fmt::format("the key '{}' twice", name));
    if (row_.used_ == row_.fields_.size()) row_.fields_.emplace_back();
    current_ = &row_.fields_[row_.used_++];
    current_->key = name;
    current_->kind = Kind::kOther;
    current_->first = row_.numbers_.size();
    current_->count = 0;
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ > 0) Other();
    return Deeper();
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) return Refuse("no JSON object");
    Other();
    if (depth_ == 1) current_->kind = Kind::kNumbers;
    return Deeper();
  }
  bool end_array() override {
    --depth_;
    if (depth_ == 1 && current_->kind == Kind::kNumbers) {
      current_->count = row_.numbers_.size() - current_->first;
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    return Refuse(fmt::format("no JSON, from byte {} of the line on", position));
  }

 private:
  bool Refuse(std::string why) {
    error_ = std::move(why);
    return false;
  }
  bool InNumbers() const { return depth_ == 2 && current_->kind == Kind::kNumbers; }
  bool Deeper() {
    constexpr int kMaxDepth = 64;
    return ++depth_ <= kMaxDepth || Refuse("values nested too deeply");
  }
  bool Take(Number number) {
    if (depth_ == 1) {
      current_->kind = Kind::kNumber;
    } else if (!InNumbers()) {
      return depth_ > 0 || Refuse("no JSON object");
    }
    row_.numbers_.push_back(number);
    return true;
  }
  // A value that has no place in a row. In an array it makes the field one without value.
  bool Other() {
    if (depth_ == 0) return Refuse("no JSON object");
    if (depth_ >= 2) current_->kind = Kind::kOther;
    return true;
  }

  JsonRow& row_;
  Field* current_ = nullptr;
  int depth_ = 0;
  std::string error_;
};

Status JsonRow::Parse(std::string_view line) {
  used_ = 0;
  numbers_.clear();
  Events events(this);
  if (!nlohmann::json::sax_parse(line.begin(), line.end(), &events)) {
    return CorruptError(events.error());
  }
  return {};
}

const JsonRow::Field* JsonRow::Find(std::string_view key) const {
  for (size_t i = 0; i < used_; ++i) {
    if (fields_[i].key == key) return &fields_[i];
  }
  return nullptr;
}

Status JsonRow::Expect(std::string_view key, Kind kind, const Field** field) const {
  *field = Find(key);
  if (*field == nullptr) return CorruptError(fmt::format("the key '{}' is missing", key));
  if ((*field)->kind != kind) {
    const char* const names[] = {"a number", "a string", "an array of numbers", "a value"};
    return CorruptError(fmt::format("'{}' is not {}", key, names[static_cast<int>(kind)]));
  }
  return {};
}

Status JsonRow::Integer(std::string_view key, int64_t* out) const {
  const Field* field = nullptr;
  SLUICE_TRY(Expect(key, Kind::kNumber, &field));
  const Number& number = numbers_[field->first];
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (!number.integral || std::abs(number.value) > kExact) {
    return CorruptError(fmt::format("'{}' is not a whole number up to 2^53", key));
  }
  *out = static_cast<int64_t>(number.value);
  return {};
}

Status JsonRow::Integer32(std::string_view key, int32_t* out) const {
  int64_t wide = 0;
  SLUICE_TRY(Integer(key, &wide));
  if (wide < INT32_MIN || wide > INT32_MAX) {
    return CorruptError(fmt::format("'{}' of {} is too large", key, wide));
  }
  *out = static_cast<int32_t>(wide);
  return {};
}

Status JsonRow::Text(std::string_view key, std::string* out) const {
  const Field* field = nullptr;
  SLUICE_TRY(Expect(key, Kind::kText, &field));
  *out = field->text;
  return {};
}

Status JsonRow::Integers(std::string_view key, std::vector<int32_t>* out) const {
  const Field* field = nullptr;
  SLUICE_TRY(Expect(key, Kind::kNumbers, &field));
  out->clear();
  for (size_t i = field->first; i < field->first + field->count; ++i) {
    const Number& number = numbers_[i];
    if (!number.integral || number.value < INT32_MIN || number.value > INT32_MAX) {
      return CorruptError(fmt::format("'{}' holds something else than small whole numbers", key));
    }
    out->push_back(static_cast<int32_t>(number.value));
  }
  return {};
}

Status JsonRow::Floats(std::string_view key, std::vector<float>* out) const {
  const Field* field = nullptr;
  SLUICE_TRY(Expect(key, Kind::kNumbers, &field));
  out->clear();
  for (size_t i = field->first; i < field->first + field->count; ++i) {
    out->push_back(numbers_[i].single);
  }
  return {};
}

}  // namespace sluice

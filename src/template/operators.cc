#include "template/operators.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <utility>

#include "template/text_format.h"

namespace sluice::jinja {
namespace {

constexpr const char* kSigns[] = {"+", "-", "*", "/", "//", "%", "**"};

Status Unsuited(Operator op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (value->is_undefined()) return InvalidArgumentError(value->undefined_reason());
  }
  return InvalidArgumentError(fmt::format("{} cannot be used between {} and {}",
                                          kSigns[static_cast<int>(op)], left.TypeName(),
                                          right.TypeName()));
}

Status Overflow() { return InvalidArgumentError("a number grows beyond 64 bits"); }

Result<Value> WholePower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  // Each round that matters doubles the number or more, unless it is -1, 0 or 1.
  if (base == 0 || base == 1) return Value(exponent == 0 ? int64_t{1} : base);
  if (base == -1) return Value(exponent % 2 == 0 ? int64_t{1} : int64_t{-1});
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) return Overflow();
  }
  return Value(result);
}

Result<Value> WholeArithmetic(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::kPower:
      if (b < 0 && a != 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
      if (b < 0) return InvalidArgumentError("division by zero");
      return WholePower(a, b);
    default: {
      if (b == 0) return InvalidArgumentError("division by zero");
      if (op == Operator::kDivide) return Value(static_cast<double>(a) / static_cast<double>(b));
      if (b == -1) {
        overflow = op == Operator::kFloorDivide && __builtin_sub_overflow(int64_t{0}, a, &result);
        break;
      }
      const bool down = a % b != 0 && (a < 0) != (b < 0);
      const int64_t quotient = a / b - (down ? 1 : 0);
      result = op == Operator::kFloorDivide ? quotient : a % b + (down ? b : 0);
    }
  }
  if (overflow) return Overflow();
  return Value(result);
}

Result<Value> FloatArithmetic(Operator op, double a, double b) {
  if (op == Operator::kAdd) return Value(a + b);
  if (op == Operator::kSubtract) return Value(a - b);
  if (op == Operator::kMultiply) return Value(a * b);
  if (op == Operator::kPower) {
    if (a == 0 && b < 0) return InvalidArgumentError("division by zero");
    const double power = std::pow(a, b);
    if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) {
      return InvalidArgumentError("a root of a negative number");
    }
    if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) return Overflow();
    return Value(power);
  }
  if (b == 0) return InvalidArgumentError("division by zero");
  if (op == Operator::kDivide) return Value(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == Operator::kModulo) {
    return Value(remainder == 0 ? std::copysign(0.0, b) : remainder);
  }
  return Value(std::round((a - remainder) / b));
}

Result<Value> Repeat(const Value& value, int64_t count, Meter* meter) {
  count = std::max<int64_t>(count, 0);
  int64_t size = 0;
  if (__builtin_mul_overflow(CostOf(value), count, &size)) return Meter::TooMuch("characters");
  SLUICE_TRY(meter->Charge(size));
  if (const Text* text = value.text(); text != nullptr) {
    Text repeated;
    repeated.reserve(static_cast<size_t>(size));
    for (int64_t i = 0; size > 0 && i < count; ++i) repeated += *text;
    return Value(std::move(repeated));
  }
  const Sequence& sequence = *value.sequence();
  Sequence repeated{.kind = sequence.kind};
  for (int64_t i = 0; size > 0 && i < count; ++i) {
    repeated.items.insert(repeated.items.end(), sequence.items.begin(), sequence.items.end());
  }
  return Value(std::move(repeated));
}

bool IsListOrTuple(const Value& value) {
  return value.sequence() != nullptr && (value.sequence()->kind == SequenceKind::kList ||
                                         value.sequence()->kind == SequenceKind::kTuple);
}

Result<Value> Join(const Value& left, const Value& right, Meter* meter) {
  SLUICE_TRY(meter->Charge(CostOf(left) + CostOf(right)));
  if (left.text() != nullptr) return Value(*left.text() + *right.text());
  Sequence joined = *left.sequence();
  const std::vector<Value>& more = right.sequence()->items;
  joined.items.insert(joined.items.end(), more.begin(), more.end());
  return Value(std::move(joined));
}

}  // namespace

Result<Value> Arithmetic(Operator op, const Value& left, const Value& right, Meter* meter) {
  if (left.integer() && right.integer()) {
    return WholeArithmetic(op, *left.integer(), *right.integer());
  }
  if (left.number() && right.number()) {
    return FloatArithmetic(op, *left.number(), *right.number());
  }
  const auto repeats = [](const Value& value) {
    return value.text() != nullptr || IsListOrTuple(value);
  };
  if (op == Operator::kMultiply && repeats(left) && right.integer()) {
    return Repeat(left, *right.integer(), meter);
  }
  if (op == Operator::kMultiply && repeats(right) && left.integer()) {
    return Repeat(right, *left.integer(), meter);
  }
  if (op == Operator::kAdd) {
    const bool texts = left.text() != nullptr && right.text() != nullptr;
    const bool lists = IsListOrTuple(left) && IsListOrTuple(right) &&
                       left.sequence()->kind == right.sequence()->kind;
    if (texts || lists) return Join(left, right, meter);
  }
  if (op == Operator::kModulo && left.text() != nullptr) {
    return FormatPercent(*left.text(), right, meter);
  }
  return Unsuited(op, left, right);
}

Result<Value> Negate(const Value& value) {
  if (const auto whole = value.integer(); whole) {
    return WholeArithmetic(Operator::kSubtract, 0, *whole);
  }
  if (value.is_float()) return Value(-*value.number());
  if (value.is_undefined()) return InvalidArgumentError(value.undefined_reason());
  return InvalidArgumentError("a " + value.TypeName() + " has no sign");
}

Result<bool> Contains(const Value& container, const Value& item, Meter* meter) {
  SLUICE_TRY(meter->Charge(container.sequence() == nullptr ? SizeOf(container) : 1));
  if (const Text* text = container.text(); text != nullptr) {
    if (item.text() == nullptr) {
      return InvalidArgumentError("only a str can be in a str, not a " + item.TypeName());
    }
    SLUICE_TRY(meter->ChargeFor(item));
    return TextFinder(*item.text()).Find(*text) != Text::npos;
  }
  if (const Dict* dict = container.dict(); dict != nullptr) {
    SLUICE_TRY(meter->ChargeFor(item));
    if (!KeyText(item)) return InvalidArgumentError("a " + item.TypeName() + " cannot be a key");
    return dict->Find(item) != nullptr;
  }
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, meter->Items(container));
  for (const Value& candidate : items) {
    if (AreEqual(candidate, item, meter->work())) return true;
    SLUICE_TRY(meter->CheckWork());
  }
  return false;
}

Result<bool> Compare(Operator op, const Value& left, const Value& right, Meter* meter) {
  if (op == Operator::kIn) return Contains(right, left, meter);
  if (op == Operator::kNotIn) {
    SLUICE_TRY_ASSIGN(const bool contains, Contains(right, left, meter));
    return !contains;
  }
  if (op == Operator::kEqual || op == Operator::kNotEqual) {
    const bool equal = AreEqual(left, right, meter->work());
    SLUICE_TRY(meter->CheckWork());
    return equal == (op == Operator::kEqual);
  }
  const auto numbers = std::make_pair(left.number(), right.number());
  if (numbers.first && numbers.second &&
      (std::isnan(*numbers.first) || std::isnan(*numbers.second))) {
    return false;
  }
  const Result<int> order = Order(left, right, meter->work());
  SLUICE_TRY(meter->CheckWork());
  if (!order.ok()) return order.status();
  switch (op) {
    case Operator::kLess:
      return *order < 0;
    case Operator::kLessEqual:
      return *order <= 0;
    case Operator::kGreater:
      return *order > 0;
    default:
      return *order >= 0;
  }
}

}  // namespace sluice::jinja

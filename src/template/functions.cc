// The functions that every template finds: range, dict, namespace, raise_exception, strftime_now,
// cycler, joiner.
#include <fmt/format.h>

#include <array>
#include <ctime>
#include <utility>

#include "template/access.h"
#include "template/interpreter.h"
#include "template/objects.h"

namespace sluice::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // Jinja's sandbox has the same

Result<Value> Range(const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"start", U"stop", U"step"}));
  if (bound[0] == nullptr) return Missing("stop");
  for (size_t i = 0; i < 3; ++i) {
    if (bound[i] != nullptr && !bound[i]->integer()) {
      return InvalidArgumentError("range() needs whole numbers, not a " + bound[i]->TypeName());
    }
  }
  SLUICE_TRY_ASSIGN(int64_t begin, bound.Integer(0, 0));
  SLUICE_TRY_ASSIGN(int64_t end, bound.Integer(1, 0));
  SLUICE_TRY_ASSIGN(const int64_t step, bound.Integer(2, 1));
  if (bound[1] == nullptr) end = std::exchange(begin, 0);
  if (step == 0) return InvalidArgumentError("range(): the step cannot be 0");
  // Counted without sign, where nothing overflows.
  const bool up = step > 0;
  uint64_t count = 0;
  if (up ? begin < end : begin > end) {
    const uint64_t span = up ? static_cast<uint64_t>(end) - static_cast<uint64_t>(begin)
                             : static_cast<uint64_t>(begin) - static_cast<uint64_t>(end);
    const uint64_t stride = up ? static_cast<uint64_t>(step) : ~static_cast<uint64_t>(step) + 1;
    count = (span - 1) / stride + 1;
  }
  if (count > kMaxRange) return Meter::TooMuch("items of a range()");
  SLUICE_TRY(interpreter->meter()->Charge(static_cast<int64_t>(count) * kItemCost));
  Sequence range{.kind = SequenceKind::kRange};
  range.shows_as = step == 1 ? fmt::format("range({}, {})", begin, end)
                             : fmt::format("range({}, {}, {})", begin, end, step);
  for (uint64_t i = 0; i < count; ++i) {
    range.items.emplace_back(
        static_cast<int64_t>(static_cast<uint64_t>(begin) + i * static_cast<uint64_t>(step)));
  }
  return Value(std::move(range));
}

// dict(pairs or mapping, name=value, ...).
Result<Dict> DictOf(const Arguments& arguments, Interpreter* interpreter) {
  Meter* meter = interpreter->meter();
  Dict dict;
  if (arguments.positional.size() > 1) return InvalidArgumentError("at most one argument");
  for (const Value& source : arguments.positional) {
    SLUICE_TRY(meter->ChargeFor(source));
    if (source.dict() != nullptr) {
      dict = *source.dict();
      continue;
    }
    if (source.is_undefined() || source.is_none()) {
      return InvalidArgumentError("a dict cannot be made of a " + source.TypeName());
    }
    SLUICE_TRY_ASSIGN(const std::vector<Value> pairs, meter->Items(source));
    for (const Value& pair : pairs) {
      SLUICE_TRY(meter->ChargeFor(pair));
      SLUICE_TRY_ASSIGN(const std::vector<Value> both, meter->Items(pair));
      if (both.size() != 2) return InvalidArgumentError("a dict is made of pairs");
      SLUICE_TRY(meter->Charge(CostOf(both[0]) + kEntryCost));
      SLUICE_TRY(dict.Insert(both[0], both[1]));
    }
  }
  for (const auto& [name, value] : arguments.named) {
    SLUICE_TRY(meter->Charge(static_cast<int64_t>(name.size()) + kTextCost + kEntryCost));
    SLUICE_TRY(dict.Insert(name, value));
  }
  return dict;
}

Result<Value> MakeDict(const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(Dict dict, DictOf(arguments, interpreter));
  return Value(std::move(dict));
}

Result<Value> MakeNamespace(const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(interpreter->meter()->Charge(64));  // it stays until the end
  SLUICE_TRY_ASSIGN(Dict fields, DictOf(arguments, interpreter));
  for (const auto& [name, unused] : fields.entries()) {
    if (name.text() != nullptr && name.text()->starts_with(U'_')) {
      return InvalidArgumentError("fields of a namespace may not begin with an underscore");
    }
  }
  const auto made = std::make_shared<Namespace>(std::move(fields));
  interpreter->ClearAtEnd(made);
  return Value(std::shared_ptr<Object>(made));
}

Result<Value> RaiseException(const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"message"}));
  if (bound[0] == nullptr) return Missing("message");
  SLUICE_TRY_ASSIGN(const Text message, interpreter->meter()->Show(*bound[0]));
  return InvalidArgumentError("the template refuses: " + Utf8(message));
}

Result<Value> FormatNow(const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"format"}));
  if (bound[0] == nullptr) return Missing("format");
  SLUICE_TRY_ASSIGN(const Text form, bound.TextOr(0, U""));
  const std::string bytes = Utf8(form) + ".";  // never empty, so that 0 is a failure
  const auto now = static_cast<std::time_t>(interpreter->options().now_seconds);
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) return InvalidArgumentError("the clock is wrong");
  std::array<char, 4096> shown{};
  const size_t size = std::strftime(shown.data(), shown.size(), bytes.c_str(), &local);
  if (size == 0) return InvalidArgumentError("strftime_now(): the format is too long");
  return Value(TextFrom({shown.data(), size - 1}));
}

// What cycler(...) gives: next(), reset() and current.
class Cycler final : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {
    for (const Value& item : items_) depth_ = std::max(depth_, DepthOf(item) + 1);
  }
  std::string TypeName() const override { return "cycler"; }
  int depth() const override { return depth_; }
  Result<Value> Attribute(const Text& name) override {
    if (name == U"current") return items_[next_];
    const std::shared_ptr<Cycler> self = shared_from_this();
    if (name == U"next") {
      return NewFunction("next", depth_, [self](const Arguments&, Interpreter*) -> Result<Value> {
        const Value item = self->items_[self->next_];
        self->next_ = (self->next_ + 1) % self->items_.size();
        return item;
      });
    }
    if (name == U"reset") {
      return NewFunction("reset", depth_, [self](const Arguments&, Interpreter*) -> Result<Value> {
        self->next_ = 0;
        return Value(None{});
      });
    }
    return Value();
  }

 private:
  std::vector<Value> items_;
  size_t next_ = 0;
  int depth_ = 1;
};

Result<Value> MakeCycler(const Arguments& arguments, Interpreter* /*interpreter*/) {
  if (arguments.positional.empty()) return InvalidArgumentError("cycler() needs values");
  return Value(std::shared_ptr<Object>(std::make_shared<Cycler>(arguments.positional)));
}

// What joiner(", ") gives: nothing at the first call, then its text.
Result<Value> MakeJoiner(const Arguments& arguments, Interpreter* /*interpreter*/) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"sep"}));
  SLUICE_TRY_ASSIGN(const Text separator, bound.TextOr(0, U", "));
  return NewFunction(
      "joiner", 1,
      [separator, used = std::make_shared<bool>(false)](const Arguments&,
                                                        Interpreter* interpreter) -> Result<Value> {
        if (!std::exchange(*used, true)) return Value(Text());
        SLUICE_TRY(interpreter->meter()->Charge(static_cast<int64_t>(separator.size())));
        return Value(separator);
      });
}

}  // namespace

Value GlobalFunction(const std::string& name) {
  static constexpr std::pair<std::string_view, Result<Value> (*)(const Arguments&, Interpreter*)>
      kFunctions[] = {{"raise_exception", &RaiseException},
                      {"namespace", &MakeNamespace},
                      {"strftime_now", &FormatNow},
                      {"range", &Range},
                      {"dict", &MakeDict},
                      {"cycler", &MakeCycler},
                      {"joiner", &MakeJoiner}};
  for (const auto& [known, function] : kFunctions) {
    if (known == name) return NewFunction(name, 0, function);
  }
  return Value();
}

}  // namespace sluice::jinja

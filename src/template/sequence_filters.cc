// Filters on sequences and mappings.
#include <algorithm>
#include <functional>
#include <unordered_set>
#include <utility>

#include "template/access.h"
#include "template/interpreter.h"
#include "template/operators.h"

namespace sluice::jinja {
namespace {

Value GeneratorOf(std::vector<Value> items) {
  return Sequence{.items = std::move(items),
                  .kind = SequenceKind::kGenerator,
                  .shows_as = "<generator object>"};
}

// What `attribute` of an item means: "a.b.0" are three steps; not given: the item itself.
class ItemGetter {
 public:
  ItemGetter(const Value* attribute, const Value* otherwise, Interpreter* interpreter)
      : meter_(*interpreter->meter()) {
    if (otherwise != nullptr && !otherwise->is_none()) otherwise_ = *otherwise;
    *meter_.work() -= kListCost;
    if (attribute == nullptr || attribute->is_none()) return;
    if (attribute->text() == nullptr) {
      steps_.push_back(*attribute);
      return;
    }
    TextView rest = *attribute->text();
    while (true) {
      const size_t dot = std::min(rest.find(U'.'), rest.size());
      *meter_.work() -= kTextCost + kItemCost + static_cast<int64_t>(dot);
      if (*meter_.work() < 0) return;  // Get() says so
      steps_.push_back(StepOf(rest.substr(0, dot)));
      if (dot == rest.size()) break;
      rest.remove_prefix(dot + 1);
    }
  }

  Result<Value> Get(Value item) const {
    SLUICE_TRY(meter_.CheckWork());
    for (const Value& step : steps_) {
      SLUICE_TRY(meter_.Step());
      SLUICE_TRY_ASSIGN(item, ItemOf(item, step, &meter_));
      if (item.is_undefined() && otherwise_) item = *otherwise_;
    }
    return item;
  }

 private:
  static Value StepOf(TextView step) {
    int64_t place = 0;
    for (const char32_t c : step) {
      if (CodeOf(c) < '0' || CodeOf(c) > '9' || place > 1'000'000'000) return Value(Text(step));
      place = place * 10 + static_cast<int64_t>(CodeOf(c) - '0');
    }
    return step.empty() ? Value(Text()) : Value(place);
  }

  std::vector<Value> steps_;
  std::optional<Value> otherwise_;
  Meter& meter_;
};

// `value` as it is compared where case does not matter.
Result<Value> IgnoringCase(const Value& value, Meter* meter) {
  if (value.text() == nullptr) return value;
  SLUICE_TRY(meter->Charge(SizeOf(value) + kTextCost));
  return Value(Lower(*value.text()));
}

// An item and what it is ordered by.
struct Keyed {
  Value key;
  Value item;
};

constexpr int64_t kKeyedCost = 2 * kItemCost;

// Merge sort: stable, and safe where comparing fails.
Status Sort(std::vector<Keyed>* items, bool descending, Meter* meter) {
  SLUICE_TRY(meter->Charge(static_cast<int64_t>(items->size()) * kKeyedCost));
  std::vector<Keyed> merged(items->size());
  for (size_t width = 1; width < items->size(); width *= 2) {
    for (size_t begin = 0; begin < items->size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items->size());
      const size_t end = std::min(begin + 2 * width, items->size());
      size_t left = begin;
      size_t right = middle;
      for (size_t i = begin; i < end; ++i) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          const Result<int> order = Order((*items)[right].key, (*items)[left].key, meter->work());
          SLUICE_TRY(meter->CheckWork());
          if (!order.ok()) return order.status();
          take_right = descending ? *order > 0 : *order < 0;
        }
        merged[i] = std::move((*items)[take_right ? right++ : left++]);
      }
    }
    items->swap(merged);
  }
  return {};
}

Result<std::vector<Keyed>> KeyedItems(const Value& subject, const ItemGetter& getter,
                                      bool case_sensitive, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  Meter* meter = interpreter->meter();
  SLUICE_TRY(meter->Charge(static_cast<int64_t>(items.size()) * kKeyedCost));
  std::vector<Keyed> keyed;
  keyed.reserve(items.size());
  for (const Value& item : items) {
    SLUICE_TRY_ASSIGN(Value key, getter.Get(item));
    if (!case_sensitive) {
      SLUICE_TRY_ASSIGN(key, IgnoringCase(key, meter));
    }
    keyed.push_back({.key = std::move(key), .item = item});
  }
  return keyed;
}

std::vector<Value> ItemsAlone(std::vector<Keyed> keyed) {
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (Keyed& one : keyed) items.push_back(std::move(one.item));
  return items;
}

Result<Value> SortFilter(const Value& subject, const Arguments& arguments,
                         Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound,
                    Bind(arguments, {U"reverse", U"case_sensitive", U"attribute"}));
  std::vector<ItemGetter> getters;
  if (bound[2] != nullptr && bound[2]->text() != nullptr) {
    // "a,b": by a, then by b.
    TextView rest = *bound[2]->text();
    while (true) {
      const size_t comma = std::min(rest.find(U','), rest.size());
      const Value attribute(Text(rest.substr(0, comma)));
      getters.emplace_back(&attribute, nullptr, interpreter);
      SLUICE_TRY(interpreter->meter()->CheckWork());
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    getters.emplace_back(bound[2], nullptr, interpreter);
  }
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  std::vector<Keyed> keyed;
  Meter* meter = interpreter->meter();
  const int64_t cost = kKeyedCost + kListCost + static_cast<int64_t>(getters.size()) * kItemCost;
  for (const Value& item : items) {
    SLUICE_TRY(meter->Charge(cost));
    std::vector<Value> keys;
    for (const ItemGetter& getter : getters) {
      SLUICE_TRY_ASSIGN(Value key, getter.Get(item));
      if (!bound.Truth(1, false)) {
        SLUICE_TRY_ASSIGN(key, IgnoringCase(key, meter));
      }
      keys.push_back(std::move(key));
    }
    keyed.push_back({.key = Value::ListOf(std::move(keys)), .item = item});
  }
  SLUICE_TRY(Sort(&keyed, bound.Truth(0, false), interpreter->meter()));
  return Value::ListOf(ItemsAlone(std::move(keyed)));
}

Result<Value> DictSort(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound,
                    Bind(arguments, {U"case_sensitive", U"by", U"reverse"}));
  SLUICE_TRY_ASSIGN(const Text by, bound.TextOr(1, U"key"));
  if (by != U"key" && by != U"value") return InvalidArgumentError("\"by\" is key or value");
  if (subject.dict() == nullptr) {
    return InvalidArgumentError("a dict is needed, not a " + subject.TypeName());
  }
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : subject.dict()->entries()) {
    SLUICE_TRY(interpreter->meter()->Charge(kKeyedCost + kListCost + 2 * kItemCost));
    Value chosen = by == U"key" ? key : value;
    if (!bound.Truth(0, false)) {
      SLUICE_TRY_ASSIGN(chosen, IgnoringCase(chosen, interpreter->meter()));
    }
    keyed.push_back({.key = std::move(chosen), .item = Value::TupleOf({key, value})});
  }
  SLUICE_TRY(Sort(&keyed, bound.Truth(2, false), interpreter->meter()));
  return Value::ListOf(ItemsAlone(std::move(keyed)));
}

Result<Value> Unique(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"case_sensitive", U"attribute"}));
  const ItemGetter getter(bound[1], nullptr, interpreter);
  SLUICE_TRY_ASSIGN(const std::vector<Keyed> keyed,
                    KeyedItems(subject, getter, bound.Truth(0, false), interpreter));
  std::unordered_set<Text, TextHash> seen;
  std::vector<Value> items;
  for (const Keyed& one : keyed) {
    SLUICE_TRY(interpreter->meter()->Charge(CostOf(one.key) + kTextCost + kItemCost));
    std::optional<Text> key = KeyText(one.key);
    if (!key) return InvalidArgumentError("a " + one.key.TypeName() + " cannot be told apart");
    if (seen.insert(*std::move(key)).second) items.push_back(one.item);
  }
  return GeneratorOf(std::move(items));
}

template <bool kLargest>
Result<Value> Extreme(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"case_sensitive", U"attribute"}));
  const ItemGetter getter(bound[1], nullptr, interpreter);
  SLUICE_TRY_ASSIGN(const std::vector<Keyed> keyed,
                    KeyedItems(subject, getter, bound.Truth(0, false), interpreter));
  if (keyed.empty()) return Value::UndefinedBecause("the sequence is empty");
  const Keyed* best = &keyed.front();
  for (const Keyed& one : keyed) {
    const Result<int> order = Order(one.key, best->key, interpreter->meter()->work());
    SLUICE_TRY(interpreter->meter()->CheckWork());
    if (&one == best) continue;
    if (!order.ok()) return order.status();
    if (kLargest ? *order > 0 : *order < 0) best = &one;
  }
  return best->item;
}

Result<Value> Sum(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"attribute", U"start"}));
  const ItemGetter getter(bound[0], nullptr, interpreter);
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  Value sum = bound[1] == nullptr ? Value(int64_t{0}) : *bound[1];
  if (sum.text() != nullptr) return InvalidArgumentError("texts are joined, not summed");
  for (const Value& item : items) {
    SLUICE_TRY_ASSIGN(const Value value, getter.Get(item));
    SLUICE_TRY_ASSIGN(sum, Arithmetic(Operator::kAdd, sum, value, interpreter->meter()));
  }
  return sum;
}

Result<Value> Join(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"d", U"attribute"}));
  Meter* meter = interpreter->meter();
  Text separator;
  if (bound[0] != nullptr) {
    SLUICE_TRY_ASSIGN(separator, meter->Show(*bound[0]));
  }
  const ItemGetter getter(bound[1], nullptr, interpreter);
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  Text joined;
  for (size_t i = 0; i < items.size(); ++i) {
    SLUICE_TRY_ASSIGN(const Value value, getter.Get(items[i]));
    SLUICE_TRY_ASSIGN(const Text shown, meter->Show(value));
    SLUICE_TRY(meter->Charge(static_cast<int64_t>(separator.size())));
    if (i > 0) joined += separator;
    joined += shown;
  }
  return Value(std::move(joined));
}

Result<Value> First(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  if (items.empty()) return Value::UndefinedBecause("the sequence is empty");
  return items.front();
}

Result<Value> Last(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  if (subject.sequence() != nullptr && subject.sequence()->kind == SequenceKind::kGenerator) {
    return InvalidArgumentError("a generator has no last item");
  }
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  if (items.empty()) return Value::UndefinedBecause("the sequence is empty");
  return items.back();
}

Result<Value> Length(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const int64_t length, LengthOf(subject));
  return Value(length);
}

Result<Value> List(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(std::vector<Value> items, interpreter->meter()->Items(subject));
  return Value::ListOf(std::move(items));
}

Result<Value> Items(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY(Bind(arguments, {}).status());
  std::vector<Value> pairs;
  if (subject.dict() != nullptr) {
    for (const auto& [key, value] : subject.dict()->entries()) {
      pairs.push_back(Value::TupleOf({key, value}));
    }
  } else if (!subject.is_undefined()) {
    return InvalidArgumentError("a dict is needed, not a " + subject.TypeName());
  }
  return GeneratorOf(std::move(pairs));
}

Result<Value> Reverse(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  if (const Text* text = subject.text(); text != nullptr) {
    return Value(Text(text->rbegin(), text->rend()));
  }
  SLUICE_TRY_ASSIGN(std::vector<Value> items, interpreter->meter()->Items(subject));
  std::reverse(items.begin(), items.end());
  return GeneratorOf(std::move(items));
}

Result<Value> Batch(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"linecount", U"fill_with"}));
  SLUICE_TRY_ASSIGN(const int64_t count, bound.Integer(0, 0));
  if (count < 1) return InvalidArgumentError("a line holds at least one item");
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  const auto size = static_cast<int64_t>(items.size());
  SLUICE_TRY(interpreter->meter()->Charge(size * kItemCost + (size / count + 1) * kListCost));
  std::vector<Value> lines;
  std::vector<Value> line;
  for (const Value& item : items) {
    if (static_cast<int64_t>(line.size()) == count) {
      lines.push_back(Value::ListOf(std::exchange(line, {})));
    }
    line.push_back(item);
  }
  if (!line.empty()) {
    if (bound[1] != nullptr && !bound[1]->is_none()) {
      SLUICE_TRY(interpreter->meter()->Charge(count));  // first, so that nothing overflows
      SLUICE_TRY(interpreter->meter()->Charge(count * kItemCost));
      line.resize(static_cast<size_t>(count), *bound[1]);
    }
    lines.push_back(Value::ListOf(std::move(line)));
  }
  return GeneratorOf(std::move(lines));
}

Result<Value> SliceFilter(const Value& subject, const Arguments& arguments,
                          Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"slices", U"fill_with"}));
  SLUICE_TRY_ASSIGN(const int64_t count, bound.Integer(0, 0));
  if (count < 1) return InvalidArgumentError("there is at least one slice");
  SLUICE_TRY(interpreter->meter()->Charge(count));  // first, so that nothing overflows
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  SLUICE_TRY(interpreter->meter()->Charge(count * (kListCost + kItemCost) +
                                          static_cast<int64_t>(items.size()) * kItemCost));
  const int64_t size = static_cast<int64_t>(items.size()) / count;
  const int64_t longer = static_cast<int64_t>(items.size()) % count;
  std::vector<Value> slices;
  auto next = items.begin();
  for (int64_t i = 0; i < count; ++i) {
    const auto end = next + static_cast<ptrdiff_t>(size + (i < longer ? 1 : 0));
    std::vector<Value> slice(next, end);
    if (bound[1] != nullptr && !bound[1]->is_none() && i >= longer) slice.push_back(*bound[1]);
    slices.push_back(Value::ListOf(std::move(slice)));
    next = end;
  }
  return GeneratorOf(std::move(slices));
}

Result<Value> GroupBy(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound,
                    Bind(arguments, {U"attribute", U"default", U"case_sensitive"}));
  if (bound[0] == nullptr) return Missing("attribute");
  const bool case_sensitive = bound.Truth(2, false);
  const ItemGetter getter(bound[0], bound[1], interpreter);
  SLUICE_TRY_ASSIGN(std::vector<Keyed> keyed,
                    KeyedItems(subject, getter, case_sensitive, interpreter));
  SLUICE_TRY(Sort(&keyed, false, interpreter->meter()));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < keyed.size();) {
    std::vector<Value> group;
    size_t end = begin;
    while (end < keyed.size() &&
           AreEqual(keyed[end].key, keyed[begin].key, interpreter->meter()->work())) {
      group.push_back(keyed[end++].item);
    }
    SLUICE_TRY(interpreter->meter()->CheckWork());
    SLUICE_TRY_ASSIGN(const Value key, getter.Get(group.front()));
    groups.push_back(Value::TupleOf({key, Value::ListOf(std::move(group))}));
    begin = end;
  }
  return Value::ListOf(std::move(groups));
}

// The arguments without the first `count` by place.
Arguments Without(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<ptrdiff_t>(count));
  return rest;
}

Result<Value> Map(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  std::vector<Value> mapped;
  mapped.reserve(items.size());
  if (arguments.positional.empty()) {
    SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"attribute", U"default"}));
    if (bound[0] == nullptr) return Missing("attribute");
    const ItemGetter getter(bound[0], bound[1], interpreter);
    for (const Value& item : items) {
      SLUICE_TRY_ASSIGN(Value value, getter.Get(item));
      mapped.push_back(std::move(value));
    }
    return GeneratorOf(std::move(mapped));
  }
  const Text* name = arguments.positional.front().text();
  if (name == nullptr) return InvalidArgumentError("the name of a filter is needed");
  const Arguments rest = Without(arguments, 1);
  for (const Value& item : items) {
    SLUICE_TRY_ASSIGN(Value value, interpreter->CallFilter(*name, item, rest));
    mapped.push_back(std::move(value));
  }
  return GeneratorOf(std::move(mapped));
}

enum class Keep { kPassing, kFailing };
enum class Of { kItem, kAttribute };

template <Keep kKeep, Of kOf>
Result<Value> Select(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  const size_t skipped = kOf == Of::kAttribute ? 1 : 0;
  if (arguments.positional.size() < skipped) return Missing("attribute");
  const ItemGetter getter(skipped > 0 ? &arguments.positional.front() : nullptr, nullptr,
                          interpreter);
  const Text* test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > skipped) {
    test = arguments.positional[skipped].text();
    if (test == nullptr) return InvalidArgumentError("the name of a test is needed");
    rest = Without(arguments, skipped + 1);
  }
  SLUICE_TRY_ASSIGN(const std::vector<Value> items, interpreter->meter()->Items(subject));
  std::vector<Value> kept;
  for (const Value& item : items) {
    SLUICE_TRY_ASSIGN(const Value value, getter.Get(item));
    bool passes = IsTrue(value);
    if (test != nullptr) {
      SLUICE_TRY_ASSIGN(passes, interpreter->CallTest(*test, value, rest));
    }
    if (passes == (kKeep == Keep::kPassing)) kept.push_back(item);
  }
  return GeneratorOf(std::move(kept));
}

struct NamedSequenceFilter {
  TextView name;
  Filter filter;
};

constexpr NamedSequenceFilter kSequenceFilters[] = {
    {U"batch", &Batch},
    {U"count", &Length},
    {U"dictsort", &DictSort},
    {U"first", &First},
    {U"groupby", &GroupBy},
    {U"items", &Items},
    {U"join", &Join},
    {U"last", &Last},
    {U"length", &Length},
    {U"list", &List},
    {U"map", &Map},
    {U"max", &Extreme<true>},
    {U"min", &Extreme<false>},
    {U"reject", &Select<Keep::kFailing, Of::kItem>},
    {U"rejectattr", &Select<Keep::kFailing, Of::kAttribute>},
    {U"reverse", &Reverse},
    {U"select", &Select<Keep::kPassing, Of::kItem>},
    {U"selectattr", &Select<Keep::kPassing, Of::kAttribute>},
    {U"slice", &SliceFilter},
    {U"sort", &SortFilter},
    {U"sum", &Sum},
    {U"unique", &Unique},
};

}  // namespace

Filter FindSequenceFilter(const Text& name) {
  for (const NamedSequenceFilter& candidate : kSequenceFilters) {
    if (candidate.name == name) return candidate.filter;
  }
  return nullptr;
}

}  // namespace sluice::jinja

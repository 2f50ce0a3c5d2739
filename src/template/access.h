// What "." and "[]" give, and the methods of texts, lists and mappings.
#pragma once

#include <initializer_list>
#include <vector>

#include "template/meter.h"
#include "template/value.h"

namespace sluice::jinja {

// value.name: a method first, then an item. Undefined where there is neither.
Result<Value> AttributeOf(const Value& value, const Text& name, Meter* meter);
// value[key]: an item first, then a method.
Result<Value> ItemOf(const Value& value, const Value& key, Meter* meter);
// value[begin:end:step]; none or undefined: left out.
Result<Value> SliceOf(const Value& value, const Value& begin, const Value& end, const Value& step,
                      Meter* meter);

// A method of a text: `self` is one.
using Method = Result<Value> (*)(const Value& self, const Arguments& arguments, Meter* meter);
// Null where there is no such method.
Method FindTextMethod(const Text& name);

// The arguments of a call by the names of its parameters; null where one is not given.
class BoundArguments {
 public:
  const Value* operator[](size_t place) const { return values_[place]; }
  bool Truth(size_t place, bool otherwise) const;
  // None counts as not given.
  Result<int64_t> Integer(size_t place, int64_t otherwise) const;
  Result<Text> TextOr(size_t place, const char32_t* otherwise) const;

 private:
  friend Result<BoundArguments> Bind(const Arguments& arguments,
                                     std::initializer_list<TextView> names);
  std::vector<const Value*> values_;
};

// Fails on arguments that are too many, unknown or given twice. `arguments` outlives the result.
Result<BoundArguments> Bind(const Arguments& arguments, std::initializer_list<TextView> names);

// "needs NAME" for a parameter that has no default.
Status Missing(const char* name);

}  // namespace sluice::jinja

// Python's two ways to fill values into text.
#pragma once

#include "template/meter.h"
#include "template/value.h"

namespace sluice::jinja {

// `form % values`: a tuple fills one place after the other, a dict those with names.
Result<Value> FormatPercent(const Text& form, const Value& values, Meter* meter);

// form.format(...): {}, {0}, {name.field[0]}, {value!r:>10.3f}.
Result<Value> FormatBraces(const Text& form, const Arguments& arguments, Meter* meter);

// json.dumps(), with Transformers' habit of keeping other scripts as they are.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  std::optional<Text> indent;  // of one level; none: one line
  Text comma = U", ";          // before a line break its space is left out
  Text colon = U": ";
};
Result<Value> FormatJson(const Value& value, const JsonStyle& style, Meter* meter);

}  // namespace sluice::jinja

// Operators of expressions, with Python's meaning. Integers are 64 bits wide: what Python would let
// grow beyond fails here.
#pragma once

#include "template/meter.h"
#include "template/syntax.h"
#include "template/value.h"

namespace sluice::jinja {

// REQUIRES: one of kAdd to kPower.
Result<Value> Arithmetic(Operator op, const Value& left, const Value& right, Meter* meter);
// REQUIRES: one of kEqual to kNotIn.
Result<bool> Compare(Operator op, const Value& left, const Value& right, Meter* meter);
Result<Value> Negate(const Value& value);
Result<bool> Contains(const Value& container, const Value& item, Meter* meter);

}  // namespace sluice::jinja

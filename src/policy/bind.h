// A written value becomes a field of the policy: types, units and ranges are checked here.
#pragma once

#include <string_view>

#include "policy/parameters.h"
#include "policy/syntax.h"

namespace sluice {

// Which codes a bad value is reported under, and whether the file is MoE-PolicyLang's.
struct BindSettings {
  std::string_view type_code = "E209";
  std::string_view name_code = "E201";
  std::string_view range_code;  // "": the parameter's
  bool legacy = false;
};

// True if the value was put into `parts`; else it was reported and the field is as before.
bool BindValue(const Parameter& parameter, const Value& value, const PolicyParts& parts,
               const BindSettings& settings, Diagnostics* diagnostics);

// A number with its unit in the unit that the field has: shares in [0, 1], milliseconds, bytes.
// False, and reported under `code`, where the unit does not fit.
bool ConvertUnit(const Scalar& scalar, Unit unit, std::string_view code, Diagnostics* diagnostics,
                 double* number);

// REQUIRES: a word of the span units.
SpanUnit ParseSpanUnit(std::string_view word);

}  // namespace sluice

// What may stand behind "is".
#include <algorithm>

#include "template/access.h"
#include "template/interpreter.h"
#include "template/operators.h"

namespace sluice::jinja {
namespace {

using Predicate = bool (*)(const Value&);

template <Predicate kHolds>
Result<bool> Holds(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY(Bind(arguments, {}).status());
  return kHolds(subject);
}

bool IsDefined(const Value& value) { return !value.is_undefined(); }
bool IsUndefined(const Value& value) { return value.is_undefined(); }
bool IsNone(const Value& value) { return value.is_none(); }
bool IsBoolean(const Value& value) { return value.is_bool(); }
bool IsFalse(const Value& value) { return value.is_bool() && !IsTrue(value); }
bool IsTheTrue(const Value& value) { return value.is_bool() && IsTrue(value); }
bool IsInteger(const Value& value) { return value.integer().has_value() && !value.is_bool(); }
bool IsFloat(const Value& value) { return value.is_float(); }
bool IsNumber(const Value& value) { return value.number().has_value(); }
bool IsString(const Value& value) { return value.is_text(); }
bool IsMapping(const Value& value) { return value.dict() != nullptr; }
bool IsCallable(const Value& value) {
  return value.is_undefined() || (value.object() != nullptr && value.object()->callable());
}
bool IsIterable(const Value& value) {
  return value.is_undefined() || value.text() != nullptr || value.sequence() != nullptr ||
         value.dict() != nullptr;
}
bool IsEscaped(const Value& /*value*/) { return false; }

// What has a length and takes subscripts: in Python a dict, too, and what is undefined.
bool IsSequence(const Value& value) {
  if (value.is_undefined() || value.text() != nullptr || value.dict() != nullptr) return true;
  const Sequence* sequence = value.sequence();
  return sequence != nullptr && sequence->kind != SequenceKind::kView &&
         sequence->kind != SequenceKind::kGenerator;
}

template <bool (*kHas)(char32_t), bool (*kLacks)(char32_t)>
Result<bool> InCase(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const Text text, interpreter->meter()->Show(subject));
  return std::any_of(text.begin(), text.end(), kHas) &&
         std::none_of(text.begin(), text.end(), kLacks);
}

template <Operator kOperator>
Result<bool> Compared(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"other"}));
  if (bound[0] == nullptr) return Missing("other");
  return Compare(kOperator, subject, *bound[0], interpreter->meter());
}

Result<bool> SameAs(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"other"}));
  if (bound[0] == nullptr) return Missing("other");
  if (subject.text() != nullptr) SLUICE_TRY(interpreter->meter()->ChargeFor(subject));
  return subject.IsSameAs(*bound[0]);
}

Result<bool> DivisibleBy(const Value& subject, const Arguments& arguments,
                         Interpreter* interpreter) {
  SLUICE_TRY_ASSIGN(const BoundArguments bound, Bind(arguments, {U"num"}));
  if (bound[0] == nullptr) return Missing("num");
  SLUICE_TRY_ASSIGN(const Value rest,
                    Arithmetic(Operator::kModulo, subject, *bound[0], interpreter->meter()));
  return rest.number() && *rest.number() == 0;
}

template <int64_t kRest>
Result<bool> HasRest(const Value& subject, const Arguments& arguments, Interpreter* interpreter) {
  SLUICE_TRY(Bind(arguments, {}).status());
  SLUICE_TRY_ASSIGN(const Value rest, Arithmetic(Operator::kModulo, subject, Value(int64_t{2}),
                                                 interpreter->meter()));
  return rest.number() && *rest.number() == kRest;
}

Result<bool> IsFilter(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY(Bind(arguments, {}).status());
  const Text* name = subject.text();
  return name != nullptr &&
         (FindTextFilter(*name) != nullptr || FindSequenceFilter(*name) != nullptr);
}

Result<bool> IsTest(const Value& subject, const Arguments& arguments, Interpreter*) {
  SLUICE_TRY(Bind(arguments, {}).status());
  return subject.text() != nullptr && FindTest(*subject.text()) != nullptr;
}

struct NamedTest {
  TextView name;
  Test test;
};

constexpr NamedTest kTests[] = {
    {U"!=", &Compared<Operator::kNotEqual>},
    {U"<", &Compared<Operator::kLess>},
    {U"<=", &Compared<Operator::kLessEqual>},
    {U"==", &Compared<Operator::kEqual>},
    {U">", &Compared<Operator::kGreater>},
    {U">=", &Compared<Operator::kGreaterEqual>},
    {U"boolean", &Holds<&IsBoolean>},
    {U"callable", &Holds<&IsCallable>},
    {U"defined", &Holds<&IsDefined>},
    {U"divisibleby", &DivisibleBy},
    {U"eq", &Compared<Operator::kEqual>},
    {U"equalto", &Compared<Operator::kEqual>},
    {U"escaped", &Holds<&IsEscaped>},
    {U"even", &HasRest<0>},
    {U"false", &Holds<&IsFalse>},
    {U"filter", &IsFilter},
    {U"float", &Holds<&IsFloat>},
    {U"ge", &Compared<Operator::kGreaterEqual>},
    {U"greaterthan", &Compared<Operator::kGreater>},
    {U"gt", &Compared<Operator::kGreater>},
    {U"in", &Compared<Operator::kIn>},
    {U"integer", &Holds<&IsInteger>},
    {U"iterable", &Holds<&IsIterable>},
    {U"le", &Compared<Operator::kLessEqual>},
    {U"lessthan", &Compared<Operator::kLess>},
    {U"lower", &InCase<&IsLower, &IsUpper>},
    {U"lt", &Compared<Operator::kLess>},
    {U"mapping", &Holds<&IsMapping>},
    {U"ne", &Compared<Operator::kNotEqual>},
    {U"none", &Holds<&IsNone>},
    {U"number", &Holds<&IsNumber>},
    {U"odd", &HasRest<1>},
    {U"sameas", &SameAs},
    {U"sequence", &Holds<&IsSequence>},
    {U"string", &Holds<&IsString>},
    {U"test", &IsTest},
    {U"true", &Holds<&IsTheTrue>},
    {U"undefined", &Holds<&IsUndefined>},
    {U"upper", &InCase<&IsUpper, &IsLower>},
};

}  // namespace

Test FindTest(const Text& name) {
  for (const NamedTest& candidate : kTests) {
    if (candidate.name == name) return candidate.test;
  }
  return nullptr;
}

}  // namespace sluice::jinja

// Value: what an expression of a template has: Python's values as far as chat templates see them.
//
// Texts, sequences and mappings never change once they are made (the environment that Transformers
// gives templates forbids it), so values share them. What changes or acts is an Object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "sluice/status.h"
#include "template/text.h"

namespace sluice::jinja {

class Dict;
class Object;
struct Sequence;

// A variable, field or item that is not there: prints as nothing, is false, has nothing in it; all
// else that is done with it fails for this reason.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};

class Value {
 public:
  Value() = default;                           // undefined, without a reason
  Value(None none) : storage_(none) {}         // NOLINT(google-explicit-constructor)
  Value(bool truth) : storage_(truth) {}       // NOLINT(google-explicit-constructor)
  Value(int64_t number) : storage_(number) {}  // NOLINT(google-explicit-constructor)
  Value(double number) : storage_(number) {}   // NOLINT(google-explicit-constructor)
  Value(Text text)                             // NOLINT(google-explicit-constructor)
      : storage_(std::make_shared<const Text>(std::move(text))) {}
  explicit Value(const char32_t* text) : Value(Text(text)) {}
  Value(Dict dict);                      // NOLINT(google-explicit-constructor)
  Value(Sequence sequence);              // NOLINT(google-explicit-constructor)
  Value(std::shared_ptr<Object> object)  // NOLINT(google-explicit-constructor)
      : storage_(std::move(object)) {}
  static Value UndefinedBecause(std::string reason);
  static Value ListOf(std::vector<Value> items);
  static Value TupleOf(std::vector<Value> items);

  bool is_undefined() const { return std::holds_alternative<Undefined>(storage_); }
  bool is_none() const { return std::holds_alternative<None>(storage_); }
  bool is_bool() const { return std::holds_alternative<bool>(storage_); }
  bool is_float() const { return std::holds_alternative<double>(storage_); }
  bool is_text() const { return text() != nullptr; }

  // The content, or null where the value is something else. A bool is an integer, as in Python.
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;
  const Text* text() const;
  const Sequence* sequence() const;
  const Dict* dict() const;
  Object* object() const;

  const std::string& undefined_reason() const;
  // The same text, sequence, mapping or object; equal for all else.
  bool IsSameAs(const Value& other) const;

  // "str", "int", "NoneType", ...: what Python calls it.
  std::string TypeName() const;

 private:
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
               std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
               std::shared_ptr<Object>>
      storage_;
};

enum class SequenceKind {
  kList,
  kTuple,
  kRange,
  kView,       // what a dict's keys(), values() and items() are: no subscripts
  kGenerator,  // what map, select and the like give: passes once, has no length
};

struct Sequence {
  std::vector<Value> items;
  SequenceKind kind = SequenceKind::kList;
  std::string shows_as{};         // of what is no list and no tuple: how it prints
  mutable bool consumed = false;  // of a generator
  int depth = 1;                  // set by Value: levels of values within each other
};

// A mapping in the order of insertion. Keys are texts, numbers, none, or tuples of these.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  // Replaces the value of an equal key. Fails on a key that cannot be one.
  Status Insert(Value key, Value value);
  // Null where it is absent, or cannot be a key.
  const Value* Find(const Value& key) const;
  const Value* Find(const Text& key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<Text, size_t, TextHash> places_;  // by KeyText()
  int depth_ = 1;
};

// A text that is the same for equal keys: 1, 1.0 and true are one. Null: cannot be a key, or is a
// tuple of more than kMaxTupleKey characters.
std::optional<Text> KeyText(const Value& value);
inline constexpr size_t kMaxTupleKey = 4096;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<Text, Value>> named;
};

class Interpreter;

// What acts or changes: namespaces, loops, macros, methods, functions.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  Object(Object&&) = delete;
  Object& operator=(Object&&) = delete;
  virtual ~Object() = default;

  virtual std::string TypeName() const = 0;
  // An undefined value where there is no such attribute.
  virtual Result<Value> Attribute(const Text& name) = 0;
  virtual bool callable() const { return false; }
  virtual Result<Value> Call(Interpreter* interpreter, const Arguments& arguments);
  // False: it cannot be assigned to.
  virtual bool SetAttribute(const Text& name, const Value& value);
  // Levels of values that it holds, with itself. Those that Clear() lets go do not count.
  virtual int depth() const { return 1; }
  // Lets go of values that may hold this object.
  virtual void Clear() {}
};

// How many levels of sequences, mappings and objects hold each other. What is deeper than
// kMaxValueDepth is refused, since values are freed recursively.
int DepthOf(const Value& value);
inline constexpr int kMaxValueDepth = 200;

bool IsTrue(const Value& value);
// Fails on what has no length.
Result<int64_t> LengthOf(const Value& value);

// Both lower `*work` by what they look at; below 0 they stop, and the answer means nothing. Values
// that share parts can be larger than memory when they are walked.
bool AreEqual(const Value& a, const Value& b, int64_t* work, int depth = 0);
// Less, equal or greater as -1, 0, 1. Fails where Python cannot order them.
Result<int> Order(const Value& a, const Value& b, int64_t* work, int depth = 0);
// Characters, items or entries of one level.
int64_t SizeOf(const Value& value);
// The same as what copying it costs, in characters of 4 bytes: what an item, an entry, and a text
// or a list of its own take of memory.
int64_t CostOf(const Value& value);
inline constexpr int64_t kItemCost = 6;
inline constexpr int64_t kEntryCost = 48;
inline constexpr int64_t kTextCost = 20;
inline constexpr int64_t kListCost = 28;

inline constexpr int kMaxNesting = 100;

// What printing a value shows, and what shows of it inside a list: 'text' in quotes.
// `*room` is how many characters may be written and is lowered by what is; less than 0 is too much.
void AppendShown(const Value& value, int64_t* room, Text* out);
void AppendRepr(const Value& value, int64_t* room, Text* out, int depth = 0);

std::string FloatText(double number);  // Python's repr()

// A copy of `value` whose texts are all by `author`.
Value AuthoredBy(const Value& value, Author author);

}  // namespace sluice::jinja

#include "template/text_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "template/access.h"

namespace sluice::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 16;
constexpr int64_t kMaxPrecision = 100;

// [[fill]align][sign][#][0][width][,][.precision][type], of "%" and of "{:...}" alike.
struct Layout {
  char32_t fill = ' ';
  char32_t align = 0;  // < > ^ =; 0: as the value has it
  char32_t sign = '-';
  bool alternate = false;
  char32_t group = 0;  // , or _
  int64_t width = 0;
  int64_t precision = -1;
  char32_t type = 0;
};

Status BadLayout() { return InvalidArgumentError("a format that is not understood"); }

Result<int64_t> ReadNumber(TextView text, size_t* place, int64_t most) {
  int64_t number = 0;
  for (; *place < text.size() && text[*place] >= '0' && text[*place] <= '9'; ++*place) {
    number = number * 10 + static_cast<int64_t>(CodeOf(text[*place]) - '0');
    if (number > most) return InvalidArgumentError("a width in a format is too large");
  }
  return number;
}

Text Padded(const Text& text, const Layout& layout, char32_t usual) {
  const int64_t missing = std::max<int64_t>(layout.width - static_cast<int64_t>(text.size()), 0);
  const char32_t align = layout.align == 0 ? usual : layout.align;
  int64_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  size_t kept = 0;
  if (align == '=') {
    left = missing;
    kept = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
    if (text.size() > kept + 1 && text[kept] == '0' && CodeOf(text[kept + 1]) > '9') kept += 2;
  }
  return text.substr(0, kept) + Text(static_cast<size_t>(left), layout.fill) + text.substr(kept) +
         Text(static_cast<size_t>(missing - left), layout.fill);
}

Text Signed(const Text& digits, bool negative, const Layout& layout) {
  if (negative) return U'-' + digits;
  return layout.sign == '-' ? digits : layout.sign + digits;
}

Text Grouped(const Text& digits, char32_t group) {
  const size_t whole = std::min(digits.find_first_not_of(U"0123456789"), digits.size());
  Text grouped;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) grouped.push_back(group);
    grouped.push_back(digits[i]);
  }
  return grouped + digits.substr(whole);
}

Result<Text> FormatWhole(int64_t number, const Layout& layout) {
  const uint64_t size =
      number < 0 ? ~static_cast<uint64_t>(number) + 1 : static_cast<uint64_t>(number);
  std::string digits;
  switch (layout.type) {
    case 'x':
      digits = fmt::format(fmt::runtime(layout.alternate ? "{:#x}" : "{:x}"), size);
      break;
    case 'X':
      digits = fmt::format(fmt::runtime(layout.alternate ? "{:#X}" : "{:X}"), size);
      break;
    case 'o':
      digits = (layout.alternate ? "0o" : "") + fmt::format("{:o}", size);
      break;
    case 'b':
      digits = fmt::format(fmt::runtime(layout.alternate ? "{:#b}" : "{:b}"), size);
      break;
    default:
      digits = fmt::format("{}", size);
  }
  Text text = TextFrom(digits);
  if (layout.group != 0) text = Grouped(text, layout.group);
  return Padded(Signed(text, number < 0, layout), layout, '>');
}

Result<Text> FormatFloat(double number, const Layout& layout) {
  const double size = std::abs(number);
  std::string digits;
  if (layout.type == 0 && layout.precision < 0) {
    digits = FloatText(size);
  } else if (layout.type == 0) {
    // As "g", but with a point in it.
    digits = fmt::format("{:.{}g}", size, std::max<int64_t>(layout.precision, 1));
    if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
  } else {
    char32_t type = layout.type;
    const double shown = type == '%' ? size * 100 : size;
    if (type == '%') type = 'f';
    if (type == 'n') type = 'g';  // no locale groups digits here
    std::string form = "{:";
    if (layout.alternate) form += '#';
    form += ".{}";
    form += static_cast<char>(type);
    form += '}';
    digits = fmt::format(fmt::runtime(form), shown, layout.precision < 0 ? 6 : layout.precision);
    if (layout.type == '%') digits += '%';
  }
  Text text = TextFrom(digits);
  if (layout.group != 0) text = Grouped(text, layout.group);
  return Padded(Signed(text, std::signbit(number), layout), layout, '>');
}

bool IsOneOf(char32_t c, TextView of) { return c != 0 && of.find(c) != TextView::npos; }

Result<Text> FormatByLayout(const Value& value, const Layout& layout, Meter* meter) {
  SLUICE_TRY(meter->Charge(layout.width));
  const bool whole = value.integer().has_value() && !(value.is_bool() && layout.type == 0);
  if (whole && (layout.type == 0 || IsOneOf(layout.type, U"bdoxXn"))) {
    return FormatWhole(*value.integer(), layout);
  }
  if (value.number() && !(value.is_bool() && layout.type == 0) &&
      (layout.type == 0 || IsOneOf(layout.type, U"eEfFgGn%"))) {
    return FormatFloat(*value.number(), layout);
  }
  if (layout.type != 0 && layout.type != 's') return BadLayout();
  SLUICE_TRY_ASSIGN(Text text, meter->Show(value));
  if (layout.precision >= 0) text = text.substr(0, static_cast<size_t>(layout.precision));
  return Padded(text, layout, '<');
}

Result<Layout> ReadLayout(TextView spec) {
  Layout layout;
  size_t i = 0;
  if (spec.size() > 1 && IsOneOf(CodeOf(spec[1]), U"<>^=")) {
    layout.fill = spec[0];
    layout.align = CodeOf(spec[1]);
    i = 2;
  } else if (!spec.empty() && IsOneOf(CodeOf(spec[0]), U"<>^=")) {
    layout.align = CodeOf(spec[0]);
    i = 1;
  }
  if (i < spec.size() && IsOneOf(CodeOf(spec[i]), U"+- ")) layout.sign = CodeOf(spec[i++]);
  if (i < spec.size() && spec[i] == '#') {
    layout.alternate = true;
    ++i;
  }
  if (i < spec.size() && spec[i] == '0') {
    layout.fill = '0';
    if (layout.align == 0) layout.align = '=';
    ++i;
  }
  SLUICE_TRY_ASSIGN(layout.width, ReadNumber(spec, &i, kMaxWidth));
  if (i < spec.size() && IsOneOf(CodeOf(spec[i]), U",_")) layout.group = CodeOf(spec[i++]);
  if (i < spec.size() && spec[i] == '.') {
    const size_t digits = ++i;
    SLUICE_TRY_ASSIGN(layout.precision, ReadNumber(spec, &i, kMaxWidth));
    if (i == digits) return BadLayout();
  }
  if (i < spec.size()) layout.type = CodeOf(spec[i++]);
  if (i < spec.size()) return BadLayout();
  const bool text = layout.type == 0 || layout.type == 's';
  if (!text && layout.precision > kMaxPrecision) return BadLayout();
  return layout;
}

// The values of a "%", one after the other or by name.
class PercentValues {
 public:
  explicit PercentValues(const Value& values) : values_(values) {
    const Sequence* sequence = values.sequence();
    if (sequence != nullptr && sequence->kind == SequenceKind::kTuple) tuple_ = sequence;
  }

  Result<Value> Next() {
    if (tuple_ == nullptr && taken_ == 0) {
      ++taken_;
      return values_;
    }
    if (tuple_ == nullptr || taken_ >= tuple_->items.size()) {
      return InvalidArgumentError("too few values for a format");
    }
    return tuple_->items[taken_++];
  }

  Result<Value> Named(const Text& name) {
    const Value* found = values_.dict() == nullptr ? nullptr : values_.dict()->Find(name);
    if (found == nullptr) return InvalidArgumentError("a format names a value that is not given");
    named_ = true;
    return *found;
  }

  bool AllTaken() const {
    if (tuple_ != nullptr) return taken_ == tuple_->items.size();
    return taken_ > 0 || named_ || values_.dict() != nullptr;
  }

 private:
  const Value& values_;
  const Sequence* tuple_ = nullptr;
  size_t taken_ = 0;
  bool named_ = false;
};

// What stands between the "%" and the letter.
Result<Layout> ReadPercentLayout(const Text& form, size_t* place) {
  Layout layout{.align = '>'};
  size_t& i = *place;
  bool zeros = false;
  for (; i < form.size() && IsOneOf(CodeOf(form[i]), U"-+ #0"); ++i) {
    const char32_t flag = CodeOf(form[i]);
    if (flag == '-') layout.align = '<';
    if (flag == '+' || (flag == ' ' && layout.sign != '+')) layout.sign = flag;
    zeros = zeros || flag == '0';
    layout.alternate = layout.alternate || flag == '#';
  }
  SLUICE_TRY_ASSIGN(layout.width, ReadNumber(form, &i, kMaxWidth));
  if (i < form.size() && form[i] == '.') {
    ++i;
    SLUICE_TRY_ASSIGN(layout.precision, ReadNumber(form, &i, kMaxWidth));
  }
  if (i >= form.size()) return BadLayout();
  layout.type = CodeOf(form[i++]);
  if (zeros && layout.align != '<' && layout.type != 's' && layout.type != 'r') {
    layout.fill = '0';
    layout.align = '=';
  }
  return layout;
}

Result<Text> FormatShown(const Value& value, Layout layout, Meter* meter) {
  Text shown;
  if (layout.type == 'r') {
    AppendRepr(value, meter->work(), &shown);
  } else {
    AppendShown(value, meter->work(), &shown);
  }
  SLUICE_TRY(meter->CheckWork());
  layout.type = 's';
  return FormatByLayout(Value(std::move(shown)), layout, meter);
}

// One "%..." at `*place`, behind the "%".
Result<Text> FormatPlace(const Text& form, size_t* place, PercentValues* values, Meter* meter) {
  std::optional<Value> value;
  if (*place < form.size() && form[*place] == '(') {
    const size_t close = form.find(U')', *place);
    if (close == Text::npos) return BadLayout();
    SLUICE_TRY_ASSIGN(value, values->Named(form.substr(*place + 1, close - *place - 1)));
    *place = close + 1;
  }
  SLUICE_TRY_ASSIGN(Layout layout, ReadPercentLayout(form, place));
  if (layout.type == '%') return Text(U"%");
  if (!value) {
    SLUICE_TRY_ASSIGN(value, values->Next());
  }
  if (layout.type == 's' || layout.type == 'r') return FormatShown(*value, layout, meter);
  if (layout.precision > kMaxPrecision || !IsOneOf(layout.type, U"diuoxXeEfFgG")) {
    return BadLayout();
  }
  if (!value->number()) {
    return InvalidArgumentError("a number is needed, not a " + value->TypeName());
  }
  if (IsOneOf(layout.type, U"diu")) {
    layout.type = 'd';
    if (value->is_float()) {
      const double whole = std::trunc(*value->number());
      if (!(std::abs(whole) < 9e18)) return InvalidArgumentError("a number is out of range");
      value = Value(static_cast<int64_t>(whole));
    }
  }
  return FormatByLayout(*value, layout, meter);
}

// The value that a field of {...} names: first a place or a name, then .name and [item].
class BraceFields {
 public:
  BraceFields(const Arguments& arguments, Meter* meter) : arguments_(arguments), meter_(*meter) {}

  Result<Value> Find(TextView field) {
    const size_t first = std::min(field.find_first_of(U".["), field.size());
    SLUICE_TRY_ASSIGN(Value value, First(Text(field.substr(0, first))));
    field.remove_prefix(first);
    while (!field.empty()) {
      SLUICE_TRY(meter_.Step());
      if (field[0] == '.') {
        const size_t end = std::min(field.find_first_of(U".[", 1), field.size());
        SLUICE_TRY_ASSIGN(value, AttributeOf(value, Text(field.substr(1, end - 1)), &meter_));
        field.remove_prefix(end);
        continue;
      }
      const size_t close = field.find(U']');
      if (field[0] != '[' || close == TextView::npos) return BadLayout();
      const Text key(field.substr(1, close - 1));
      size_t digits = 0;
      SLUICE_TRY_ASSIGN(const int64_t number, ReadNumber(key, &digits, kMaxWidth));
      const bool is_number = digits == key.size() && !key.empty();
      SLUICE_TRY_ASSIGN(value, ItemOf(value, is_number ? Value(number) : Value(key), &meter_));
      field.remove_prefix(close + 1);
    }
    return value;
  }

 private:
  Result<Value> First(const Text& name) {
    size_t digits = 0;
    SLUICE_TRY_ASSIGN(int64_t place, ReadNumber(name, &digits, kMaxWidth));
    if (digits == name.size()) {
      if (name.empty()) place = next_++;
      if (place >= static_cast<int64_t>(arguments_.positional.size())) {
        return InvalidArgumentError("too few values for a format");
      }
      return arguments_.positional[static_cast<size_t>(place)];
    }
    for (const auto& [known, value] : arguments_.named) {
      if (known == name) return value;
    }
    return InvalidArgumentError("a format names a value that is not given");
  }

  const Arguments& arguments_;
  Meter& meter_;
  int64_t next_ = 0;
};

// What stands between braces: field[!conversion][:layout].
Result<Text> FormatField(TextView inside, BraceFields* fields, Meter* meter) {
  const size_t colon = std::min(inside.find(U':'), inside.size());
  TextView field = inside.substr(0, colon);
  char32_t conversion = 0;
  if (const size_t bang = field.find(U'!'); bang != TextView::npos) {
    if (bang + 2 != field.size()) return BadLayout();
    conversion = CodeOf(field[bang + 1]);
    field = field.substr(0, bang);
  }
  SLUICE_TRY_ASSIGN(Value value, fields->Find(field));
  if (conversion == 'r') {
    Text shown;
    AppendRepr(value, meter->work(), &shown);
    SLUICE_TRY(meter->CheckWork());
    value = Value(std::move(shown));
  } else if (conversion == 's') {
    SLUICE_TRY_ASSIGN(Text shown, meter->Show(value));
    value = Value(std::move(shown));
  } else if (conversion != 0) {
    return BadLayout();
  }
  const TextView spec = colon < inside.size() ? inside.substr(colon + 1) : TextView();
  if (spec.empty()) return meter->Show(value);
  SLUICE_TRY_ASSIGN(const Layout layout, ReadLayout(spec));
  return FormatByLayout(value, layout, meter);
}

}  // namespace

Result<Value> FormatPercent(const Text& form, const Value& values, Meter* meter) {
  SLUICE_TRY(meter->Charge(static_cast<int64_t>(form.size())));
  PercentValues source(values);
  Text out;
  for (size_t i = 0; i < form.size();) {
    if (form[i] != '%') {
      out.push_back(form[i++]);
      continue;
    }
    ++i;
    SLUICE_TRY_ASSIGN(const Text filled, FormatPlace(form, &i, &source, meter));
    out += filled;
  }
  if (!source.AllTaken()) return InvalidArgumentError("too many values for a format");
  return Value(std::move(out));
}

Result<Value> FormatBraces(const Text& form, const Arguments& arguments, Meter* meter) {
  SLUICE_TRY(meter->Charge(static_cast<int64_t>(form.size())));
  BraceFields fields(arguments, meter);
  Text out;
  for (size_t i = 0; i < form.size(); ++i) {
    const bool brace = form[i] == '{' || form[i] == '}';
    if (!brace) {
      out.push_back(form[i]);
      continue;
    }
    if (i + 1 < form.size() && CodeOf(form[i + 1]) == CodeOf(form[i])) {
      out.push_back(form[i++]);
      continue;
    }
    const size_t close = form.find(U'}', i);
    if (form[i] == '}' || close == Text::npos) return BadLayout();
    const TextView inside = TextView(form).substr(i + 1, close - i - 1);
    SLUICE_TRY_ASSIGN(const Text filled, FormatField(inside, &fields, meter));
    out += filled;
    i = close;
  }
  return Value(std::move(out));
}

}  // namespace sluice::jinja

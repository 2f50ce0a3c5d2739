#include "template/template.h"

#include <gtest/gtest.h>

#include <array>
#include <cctype>
#include <ctime>
#include <string>
#include <vector>

namespace sluice::jinja {
namespace {

// Renders `source` with `json` as its variables, whose texts a person wrote.
Result<RenderedText> Render(const std::string& source, const std::string& json = "{}",
                            const RenderOptions& options = {}) {
  SLUICE_TRY_ASSIGN(const ChatTemplate parsed, ChatTemplate::Parse(source));
  SLUICE_TRY_ASSIGN(const Value values, ValueFromJson(json, Author::kPerson));
  return parsed.Render(*values.dict(), options);
}

std::string ErrorOf(const std::string& source, const std::string& json = "{}",
                    const RenderOptions& options = {}) {
  const Result<RenderedText> rendered = Render(source, json, options);
  return rendered.ok() ? "rendered: " + rendered->text : rendered.status().message();
}

// The text with what a person wrote as capitals and the rest as small letters.
std::string Marked(const std::string& source, const std::string& json) {
  const Result<RenderedText> rendered = Render(source, json);
  if (!rendered.ok()) return rendered.status().message();
  std::string text = rendered->text;
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const TextSpan& range : rendered->by_person) {
    for (size_t i = range.begin; i < range.end; ++i) {
      text[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[i])));
    }
  }
  return text;
}

TEST(TemplateAuthorTest, TextKeepsItsAuthorThroughEveryOperation) {
  const std::string json = R"({"x": "ab cd", "xs": ["p", "q"], "d": {"k": "v"}})";
  EXPECT_EQ(Marked("t{{ x }}t", json), "tAB CDt");
  EXPECT_EQ(Marked("{{ 'm' ~ x ~ 'n' }}{{ x + 'o' }}", json), "mAB CDnAB CDo");
  EXPECT_EQ(Marked("{{ x | upper }}{{ x.title() }}{{ x | capitalize }}", json), "AB CDAB CDAB CD");
  EXPECT_EQ(Marked("{{ x[1:3] }}{{ x[0] }}{{ x[::-1] }}", json), "B ADC BA");
  EXPECT_EQ(Marked("{{ x.split()[1] }}{{ x.replace('b', 'y') }}", json), "CDAy CD");
  EXPECT_EQ(Marked("{{ 'xyz'.replace('y', x) }}{{ xs | join('-') }}", json), "xAB CDzP-Q");
  EXPECT_EQ(Marked("{{ '%s!' % x }}{{ '<{}>'.format(x) }}", json), "AB CD!<AB CD>");
  EXPECT_EQ(Marked("{{ xs }}", json), "['P', 'Q']");
  EXPECT_EQ(Marked("{{ d | tojson }}{{ d }}", json), "{\"K\": \"V\"}{'K': 'V'}");
  EXPECT_EQ(Marked("{% set y %}m{{ x }}n{% endset %}{{ y | trim | indent }}", json), "mAB CDn");
  EXPECT_EQ(Marked("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}{{ m('t') }}", json),
            "<AB CD><t>");
  EXPECT_EQ(Marked("{% for c in x %}{{ c }}.{% endfor %}", json), "A.B. .C.D.");
  EXPECT_EQ(Marked("{{ x | replace('ab', 'z') }}{{ 'k' in d }}{{ d.k }}{{ x == 'ab cd' }}", json),
            "z CDtrueVtrue");
}

TEST(TemplateAuthorTest, RangesCoverWholeCharacters) {
  const Result<RenderedText> rendered = Render("é{{ x }}é", R"({"x": "日本"})");
  ASSERT_TRUE(rendered.ok());
  ASSERT_EQ(rendered->by_person.size(), 1U);
  EXPECT_EQ(rendered->by_person[0].begin, 2U);
  EXPECT_EQ(rendered->by_person[0].end, 8U);
}

TEST(TemplateAuthorTest, ValuesAreNeverTemplates) {
  const std::string json = R"({"x": "{{ secret }}{% raise %}", "secret": "s"})";
  EXPECT_EQ(Render("{{ x }}{{ x | safe }}{{ x ~ '' }}", json)->text,
            "{{ secret }}{% raise %}{{ secret }}{% raise %}{{ secret }}{% raise %}");
}

TEST(TemplateErrorTest, MessagesNameTheLine) {
  EXPECT_EQ(ErrorOf("a\n{{ b.c }}"), "line 2: \"b\" is not defined");
  EXPECT_EQ(ErrorOf("a\n\n{{ 1 +\n 'x' }}"), "line 3: + cannot be used between int and str");
  EXPECT_EQ(ErrorOf("{{ raise_exception('roles must alternate') }}"),
            "line 1: the template refuses: roles must alternate");
  EXPECT_EQ(ErrorOf("\n{% if x %}\n"), "line 2: the template ends where {% endif %} is missing");
  EXPECT_EQ(ErrorOf("{{ x | nonsense }}"), "line 1: there is no filter \"nonsense\"");
  EXPECT_EQ(ErrorOf("\n\n{{ 'a }}"), "line 3: a string is not closed");
  EXPECT_EQ(ErrorOf("{{ x.append(1) }}", R"({"x": []})"),
            "line 1: \"append\" of a list would change it, which templates may not");
}

// Every letter after every kind of value: text or an error, never a stop. What Python 3.11 prints.
TEST(TemplateNumberTest, FormatsTakeEveryTypeLetter) {
  for (char type = 'A'; type <= 'z'; ++type) {
    for (const char* value : {"7", "2.5", "true", "'x'", "1e400", "none", "[1]"}) {
      for (const char* before : {"", "#", "+09,", ".3", "#.0"}) {
        const std::string spec = std::string(before) + type;
        (void)Render("{{ '{:" + spec + "}'.format(" + value + ") }}");
        (void)Render("{{ '%" + spec + "' % (" + value + ",) }}");
      }
    }
  }
  EXPECT_EQ(ErrorOf("{{ '{:n} {:n} {:.3n}'.format(2.5, 7, 1234.5) }}"), "rendered: 2.5 7 1.23e+03");
}

TEST(TemplateNumberTest, TheEndsOfTheRangeDoNotOverflow) {
  const std::string least = "(-9223372036854775807 - 1)";
  for (const char* method : {"center", "ljust", "rjust", "zfill"}) {
    EXPECT_EQ(ErrorOf("{{ 'abc'." + std::string(method) + "(" + least + ") }}"), "rendered: abc");
    EXPECT_NE(ErrorOf("{{ 'abc'." + std::string(method) + "(9223372036854775807) }}")
                  .find("too many characters"),
              std::string::npos);
  }
  const std::string most = "9223372036854775807";
  EXPECT_EQ(ErrorOf("{{ 'abcdef' | truncate(" + most + ", leeway=" + most + ") }}"),
            "rendered: abcdef");
  EXPECT_NE(ErrorOf("{{ 'abc' | truncate(" + least + ") }}").find("too small"), std::string::npos);
}

// What Python's round() and float() give.
TEST(TemplateNumberTest, RoundingAndReadingAreThoseOfPython) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ 5 | round(-400) }}", "0"},
      {"{{ 5.0 | round(-400) }}", "0.0"},
      {"{{ 9007199254740993 | round(-1) }}", "9007199254740990"},
      {"{{ 25 | round(-1) }} {{ 35 | round(-1) }} {{ (-25) | round(-1) }}", "20 40 -20"},
      {"{{ 'nan' | float | round(-1) }}", "nan"},
      {"{{ '-1e999' | float }} {{ '1e999' | float }}", "-inf inf"},
      {"{{ '1e-999' | float }} {{ '-1e-999' | float }}", "0.0 -0.0"},
      {"{{ '0.001e400' | float }} {{ '1e99999999999999999999' | float }}", "inf inf"},
      {"{{ '1_000' | int }} {{ '1__0' | int }} {{ '_1' | int }}", "1000 0 0"}};
  for (const auto& [source, expected] : cases) {
    EXPECT_EQ(ErrorOf(source), "rendered: " + std::string(expected)) << source;
  }
  EXPECT_EQ(ErrorOf("{{ 9223372036854775807 | round(-1) }}"),
            "line 1: filter round: a number grows beyond 64 bits");
  EXPECT_EQ(ErrorOf("{{ 1.5 | round(-400, 'ceil') }}"),
            "line 1: filter round: a number is out of range");
}

TEST(TemplateClockTest, StrftimeNowIsTheLocalTimeThatItIsGiven) {
  const std::time_t now = 1'700'000'000;
  std::tm local{};
  ASSERT_NE(localtime_r(&now, &local), nullptr);
  std::array<char, 64> expected{};
  ASSERT_GT(std::strftime(expected.data(), expected.size(), "%d %b %Y, %H:%M", &local), 0U);
  const Result<RenderedText> rendered = Render(
      "{{ strftime_now('%d %b %Y, %H:%M') }}{{ strftime_now('') }}", "{}", {.now_seconds = now});
  ASSERT_TRUE(rendered.ok()) << rendered.status().message();
  EXPECT_EQ(rendered->text, expected.data());
  EXPECT_TRUE(rendered->by_person.empty());
}

std::string Repeated(std::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) repeated += text;
  return repeated;
}

// A hundredth of what there is, to be quick.
const RenderOptions kTight{.limits = {.steps = 40000, .work = 600000, .output = 160000}};

// Each would run, recurse or allocate for ever, or nearly.
TEST(TemplateLimitTest, NothingIsWithoutBound) {
  const std::string many = "{% for a in range(9999) %}{% for b in range(9) %}";
  const std::string end = "{% endfor %}{% endfor %}";
  const std::string named = "'" + std::string(4000, 'n') + "'";
  // That differ in their last letters; a call looks for each among all.
  const auto long_names = [](const std::string& value, int order) {
    std::string names;
    for (int i = 0; i < 60; ++i) {
      names += (i > 0 ? "," : "") + std::string(200, 'n') +
               std::to_string(order > 0 ? 100 + i : 159 - i) + value;
    }
    return names;
  };
  const std::pair<std::string, const char*> cases[] = {
      {many + "{% set x = a %}" + end, "steps"},
      {many + "text" + end, "steps"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested calls"},
      {"{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}", "nested calls"},
      {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested calls"},
      {"{{ 'x' * 999999999 }}", "characters"},
      {"{{ 'x' * 999999999999 * 999999999999 }}", "characters"},
      {"{{ [1] * 999999999 }}", "characters"},
      {"{{ 'x'.center(99999999999) }}", "characters"},
      {"{{ 'x' | indent(99999999999, true) }}", "characters"},
      {"{{ range(0, 9999999999999) | list }}", "items of a range()"},
      {"{{ [1] | batch(99999999999, 0) | list }}", "characters"},
      {"{{ [1] | batch(600000, 0) | list }}", "characters"},
      {"{{ [1] | slice(99999999999) | list }}", "characters"},
      {"{{ [] | slice(590000) }}", "characters"},
      {"{{ ([1] * 30000) | sort }}", "characters"},
      {"{{ ([1] * 30000) | unique | list }}", "characters"},
      {"{{ ([1] * 30000) | max }}", "characters"},
      {"{{ ([1] * 30000) | groupby(0) }}", "characters"},
      {"{{ ([1] * 20000) | sort(attribute='" + Repeated("a,", 20000) + "a') }}", "characters"},
      {"{{ ('1_' * 400000) | int }}", "characters"},
      {"{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}"
       "{% endfor %}",
       "characters"},
      {"{% set ns = namespace(x='xx') %}{% for i in range(99) %}"
       "{% set ns.x = ns.x.replace('x', ns.x) %}{% endfor %}",
       "characters"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
       "{% endfor %}",
       "characters"},
      {"{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + ['a' ~ i] %}"
       "{% endfor %}",
       "characters"},
      {"{% set t = 'x' * 50000 %}{% for i in range(9999) %}{% if t is sameas t %}{% endif %}"
       "{% endfor %}",
       "characters"},
      {"{% for i in range(9999) %}{{ dict(**{" + named + ": i}) }}{% endfor %}", "characters"},
      {"{% macro m() %}{{ kwargs }}{% endmacro %}{% for i in range(9999) %}{{ m(**{" + named +
           ": i}) }}{% endfor %}",
       "characters"},
      {"{% macro m(" + long_names("", -1) + ") %}{% endmacro %}{% set d = dict(" +
           long_names("=1", 1) + ") %}{% for i in range(2) %}{{ m(**d) }}{% endfor %}",
       "characters"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% for j in range(9) %}"
       "{% set ns.x = [ns.x] %}{% endfor %}{% endfor %}",
       "values inside of values"},
      {"{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x}.get %}"
       "{% endfor %}",
       "characters"}};
  for (const auto& [source, what] : cases) {
    SCOPED_TRACE(source.substr(0, 120));
    const Result<RenderedText> rendered = Render(source, "{}", kTight);
    ASSERT_FALSE(rendered.ok());
    EXPECT_EQ(rendered.status().code(), StatusCode::kResourceExhausted)
        << rendered.status().message();
    EXPECT_NE(rendered.status().message().find(std::string("too many ") + what), std::string::npos)
        << rendered.status().message();
  }
  const std::string product = "{% for a in range(3000) %}{% for b in range(3000) %}";
  EXPECT_EQ(Render(product + end).status().code(), StatusCode::kResourceExhausted);
}

// Nothing that is shared is walked once for each way to it.
TEST(TemplateLimitTest, AGrownNestIsTooDeepToShowOrCompare) {
  const std::string grown =
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% set ns.y = [ns.y, ns.y] %}{% endfor %}";
  for (const char* use : {"{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x == ns.y }}",
                          "{{ ns.x < ns.y }}", "{{ [ns.x] | sort }}{{ {(ns.x, 1): 2} }}"}) {
    SCOPED_TRACE(use);
    EXPECT_EQ(Render(grown + use, "{}", kTight).status().code(), StatusCode::kResourceExhausted);
  }
}

TEST(TemplateLimitTest, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(ErrorOf("{{ 9223372036854775807 + 1 }}"), "line 1: a number grows beyond 64 bits");
  EXPECT_EQ(ErrorOf("{{ 2 ** 64 }}"), "line 1: a number grows beyond 64 bits");
  EXPECT_EQ(ErrorOf("{{ 10 ** 999999999999 }}"), "line 1: a number grows beyond 64 bits");
  EXPECT_EQ(ErrorOf("{{ '%99999999d' % 1 }}"), "line 1: a width in a format is too large");
  EXPECT_EQ(ErrorOf("{{ '{:99999999}'.format(1) }}"),
            "line 1: format(): a width in a format is too large");
}

// What the parser refuses before anything runs.
TEST(TemplateLimitTest, ATemplateIsNotDeepWideOrLong) {
  const auto numbered = [](const std::string& value) {
    std::string names = "a" + value;
    for (int i = 0; i < 300; ++i) names += ", a" + std::to_string(i) + value;
    return names;
  };
  const std::pair<std::string, const char*> cases[] = {
      {"{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}", "too deeply"},
      {"{{ " + std::string(100000, '[') + std::string(100000, ']') + " }}", "too deeply"},
      {"{{ " + std::string(100000, '-') + "1 }}", "too deeply"},
      {"{{ 1" + Repeated("+1", 4000) + " }}", "too deeply"},
      {"{{ x" + Repeated(".a", 5000) + " }}", "too deeply"},
      {Repeated("{% if true %}", 5000), "too deeply"},
      {"{% macro m(" + Repeated("a,", 200000) + "a) %}{% endmacro %}", "the same name"},
      {"{% macro m(" + numbered("") + ") %}{% endmacro %}", "too many parameters"},
      {"{{ m(" + numbered("=1") + ") }}", "too many named arguments"},
      {"{{ m(" + Repeated("a=1,", 200000) + "a=1) }}", "in a wrong order"},
      {"{{ " + std::string(4097, 'n') + " }}", "a name is too long"},
      {std::string((1 << 20) + 1, 'a'), "more than 1 MiB"}};
  for (const auto& [source, what] : cases) {
    SCOPED_TRACE(source.substr(0, 120));
    EXPECT_NE(ErrorOf(source).find(what), std::string::npos) << ErrorOf(source);
  }
}

// 180,000 lookups among names that nobody gave: each name is looked for once.
TEST(TemplateLimitTest, NamesThatAreNotDefinedAreCheap) {
  std::string source = "{% for i in range(2) %}";
  for (int i = 0; i < 90'000; ++i) source += "{{n" + std::to_string(i) + "}}";
  EXPECT_EQ(ErrorOf(source + "{% endfor %}"), "rendered: ");
}

TEST(TemplateLimitTest, WhatAMacroIsCalledIsNotCopied) {
  EXPECT_EQ(ErrorOf("{% macro " + std::string(4000, 'm') +
                    "(a, b) %}{% endmacro %}{% set ns = namespace(l=[]) %}{% for i in range(500) %}"
                    "{% set ns.l = ns.l + [" +
                    std::string(4000, 'm') + ".name, " + std::string(4000, 'm') +
                    ".arguments] %}{% endfor %}{{ ns.l | length }} {{ ns.l[1] }}"),
            "rendered: 1000 ('a', 'b')");
}

TEST(TemplateLimitTest, ALongNestOfNamespacesIsFreedWithoutRecursion) {
  EXPECT_EQ(Render("{% set ns = namespace(x=none) %}{% for i in range(50000) %}"
                   "{% set ns.x = namespace(x=ns.x) %}{% endfor %}{% set ns.x = ns %}ok")
                ->text,
            "ok");
}

TEST(TemplateLimitTest, MacrosAndLoopsOutliveTheirBlocks) {
  EXPECT_EQ(
      Render("{% set ns = namespace() %}{% for i in [7] %}{% macro m() %}{{ i }}{% endmacro %}"
             "{% set ns.m = m %}{% endfor %}{{ ns.m() }}")
          ->text,
      "7");
  EXPECT_EQ(Render("{% set ns = namespace() %}{% for o in [1] %}{% for i in [7, 8, 9] if i > o %}"
                   "{% set ns.l = loop %}{% break %}{% endfor %}{% endfor %}"
                   "{{ ns.l.length }}{{ ns.l.cycle(1, 2) }}{{ ns.l.changed(ns.l) }}")
                ->text,
            "31True");
  EXPECT_EQ(
      Render("{% set ns = namespace() %}{% for o in [1] %}{% for i in [7] recursive %}<{{ i }}"
             "{{ o }}>{% set ns.l = loop %}{% endfor %}{% endfor %}{{ ns.l([8]) }}")
          ->text,
      "<71><81>");
}

TEST(TemplateLimitTest, LimitsAreThoseThatAreGiven) {
  EXPECT_EQ(
      ErrorOf("{% for i in range(100) %}{{ i }}{% endfor %}", "{}", {.limits = {.steps = 50}}),
      "line 1: the template uses too much: too many steps");
  EXPECT_EQ(ErrorOf("{{ x * 9 }}", R"({"x": "0123456789"})", {.limits = {.work = 60}}),
            "line 1: the template uses too much: too many characters");
  EXPECT_EQ(ErrorOf("{{ x * 9 }}", R"({"x": "0123456789"})", {.limits = {.output = 60}}),
            "line 1: the template uses too much: too many output");
}

TEST(TemplateTextTest, BytesThatAreNotUtf8ComeOutAsTheyWere) {
  const Result<ChatTemplate> parsed = ChatTemplate::Parse("{{ x }}|{{ x | length }}|{{ x[::-1] }}");
  ASSERT_TRUE(parsed.ok());
  Dict context;
  ASSERT_TRUE(context.Insert(Value(U"x"), TextFrom("a\xFF\xC3\xE6\x97", Author::kPerson)).ok());
  const Result<RenderedText> rendered = parsed->Render(context, {});
  ASSERT_TRUE(rendered.ok());
  EXPECT_EQ(rendered->text,
            "a\xFF\xC3\xE6\x97|5|\x97\xE6\xC3\xFF"
            "a");
}

TEST(ValueFromJsonTest, KeepsTheOrderOfKeysAndRefusesWhatItCannotHold) {
  const Result<Value> value = ValueFromJson(R"({"b": 1, "a": [true, null, 2.5]})", Author::kPerson);
  ASSERT_TRUE(value.ok());
  int64_t room = 100;
  Text shown;
  AppendShown(*value, &room, &shown);
  EXPECT_EQ(Utf8(shown), "{'b': 1, 'a': [True, None, 2.5]}");
  EXPECT_FALSE(ValueFromJson("{", Author::kPerson).ok());
  EXPECT_FALSE(ValueFromJson("18446744073709551615", Author::kPerson).ok());
  EXPECT_FALSE(ValueFromJson(std::string(99, '[') + std::string(99, ']'), Author::kPerson).ok());
}

}  // namespace
}  // namespace sluice::jinja

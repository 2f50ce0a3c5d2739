#!/usr/bin/env python3
"""Writes templates.json: chat templates and what Transformers' own Jinja environment makes of them.

  python tests/golden/make_template_cases.py tests/golden/templates.json           # write
  python tests/golden/make_template_cases.py tests/golden/templates.json --check   # compare

The templates are made up here (chat_templates.py has the long ones), and use every construct that the
published ones of Qwen3, Qwen3-Coder, gpt-oss, DeepSeek-V3.1, Llama 3.1 and Mistral use.
src/template/golden_test.cc renders every case:

  contexts   {name: variables}
  templates  the long ones
  cases      [[template or its place in templates, name of its context, output]]; null: it fails
"""
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import chat_templates  # noqa: E402

VALUES = {
    "s": "Hello, World", "empty": "", "spaces": "  two  words\t\n", "lines": "one\ntwo\r\n\nthree",
    "uni": "Straße ΑΣ ñ 日本 😀 ﬁ", "quote": "it's \"q\" \\ \n\t\u200b\u0007", "html": "<a href='x'>&</a>",
    "n": 7, "neg": -7, "zero": 0, "big": 123456789012, "f": 2.5, "tiny": 1.5e-7, "huge": 1e22, "half": 0.5,
    "yes": True, "no": False, "nothing": None, "xs": [3, 1, 2], "none_list": [],
    "words": ["pear", "Apple", "fig", "apple"], "mixed": [1, "a", None, True, 2.0, [1, 2], {"k": "v"}],
    "d": {"b": 1, "a": 2, "C": 3}, "nested": {"x": {"y": [{"z": "deep"}]}, "items": "a field", "get": 5},
    "people": [{"name": "Ann", "age": 31, "tags": ["x"]}, {"name": "bob", "age": 25, "tags": []},
               {"name": "Cy", "age": 31}],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}, {"v": 5, "c": []}],
}

# Each becomes "{{ ... }}".
EXPRESSIONS = r"""
s|upper ~ s|lower ~ s.title() ~ s|title ~ s.capitalize() ~ s.swapcase()
uni.upper() ~ uni.lower() ~ uni|title ~ uni|capitalize ~ uni|length ~ uni[::-1]
spaces|trim ~ '|' ~ spaces.strip() ~ '|' ~ spaces.lstrip() ~ '|' ~ spaces.rstrip() ~ '|'
'xxabcxx'.strip('x') ~ 'xyabc'.lstrip('yx') ~ 'abc..'.rstrip('.') ~ '--a'|trim('-') ~ ' a '.strip('')
s.split() ~ s.split(', ') ~ spaces.split() ~ 'a,b,,c'.split(',') ~ 'a b c'.split(' ', 1) ~ ''.split() ~ ''.split(',')
'a,b,c'.rsplit(',', 1) ~ ' a  b '.rsplit(None, 1) ~ ' a  b c '.split(None, 1) ~ 'a-b-c'.rsplit('-') ~ 'aXbX'.rsplit('X')
lines.splitlines() ~ lines.splitlines(true) ~ 'a-b-c'.partition('-') ~ 'a-b-c'.rpartition('-') ~ 'abc'.partition('-')
s.startswith('He') ~ s.startswith(('x', 'H')) ~ s.endswith('ld') ~ s.startswith('W', 7) ~ s.endswith('')
s.find('o') ~ s.rfind('o') ~ s.find('zz') ~ s.index('W') ~ s.count('l') ~ s.find('o', 5) ~ s.find('', 99) ~ 'aaa'.count('aa') ~ s.count('')
s.index('zz')
s.replace('l', 'L') ~ s.replace('l', '', 1) ~ s|replace('o', '0', 1) ~ 'abc'.replace('', '-') ~ 'ab'|replace('', '.', 2) ~ 12|replace(1, 3)
'-'.join(words) ~ words|join(', ') ~ words|join ~ xs|join('+') ~ people|join(', ', attribute='name') ~ uni|join(' ')
'-'.join(xs)
'ab'.isalpha() ~ '12'.isdigit() ~ 'a1'.isalnum() ~ ' '.isspace() ~ 'AB'.isupper() ~ 'ab'.islower() ~ ''.isalpha() ~ '1.5'.isdecimal() ~ '½'.isnumeric()
'7'.zfill(3) ~ '-7'.zfill(4) ~ 'ab'.center(7, '*') ~ 'ab'.center(5, '*') ~ 'abc'.center(6, '*') ~ 'a'.ljust(3, '.') ~ 'a'.rjust(3) ~ '|' ~ 'x'|center(5) ~ '|'
'prefix-x'.removeprefix('prefix-') ~ 'x-suffix'.removesuffix('-suffix') ~ 'ab'.removeprefix('c')
'%s is %d, %5.2f %x %r %%' % ('a', 3, 2.5, 255, 'q') ~ '%(a)s' % {'a': 1} ~ '%-5s|%05d|%+d' % ('ab', 42, 7) ~ '%s' % s ~ '%e %g' % (12345.678, 0.0001)
'%d' % 'x'
'%s %s' % ('a',)
'%s' % ('a', 'b')
'%s-%s'|format('a', 2) ~ '%(x)s'|format(x=3) ~ '{} {}'.format('a', 1) ~ '{1}{0}'.format('a', 'b') ~ '{x[0]}{y.b}'.format(x=xs, y=d) ~ '{{}}'.format()
'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd') ~ '{:05d} {:,} {:.2f} {:x} {:#b} {:+}'.format(42, big, f, 255, 5, 7) ~ '{!r:>6}'.format('a') ~ '{:.3}'.format('abcdef') ~ '{:.1%}'.format(0.256) ~ '{:e}'.format(1234.5)
'{}'.format()
s[0] ~ s[-1] ~ s[1:4] ~ s[:-2] ~ s[::2] ~ s[::-1] ~ s[-3:] ~ s[10:2:-2] ~ s[99:] ~ s[5:2]
xs[0] ~ xs[-1] ~ xs[1:] ~ xs[::-1] ~ xs[:99] ~ xs[-99:1] ~ (1, 2, 3)[1:] ~ xs[none:2] ~ xs[2::-1] ~ xs[:0:-1]
xs[::0]
xs[9] ~ '|' ~ xs['a'] ~ '|' ~ s[99] ~ '|' ~ d['zz'] ~ '|' ~ d.zz ~ '|' ~ nothing.zz ~ '|' ~ n.zz ~ '|' ~ xs[1.5]
nested.x.y[0].z ~ nested['x']['y'][0]['z'] ~ nested.x.y.0.z ~ nested['items'] ~ (nested.items() | list | length) ~ nested['get'] ~ nested.get('get')
undefined_name ~ '|' ~ (undefined_name is defined) ~ undefined_name|default('D') ~ d.nope|default('E', true) ~ ''|default('F') ~ ''|default('G', true) ~ none|d('H') ~ none|d('I', true)
undefined_name.attribute
undefined_name['key']
undefined_name()
undefined_name + 'x'
undefined_name < 1
-undefined_name
undefined_name|int
undefined_name|tojson
undefined_name|list ~ undefined_name|length ~ undefined_name|join(',') ~ undefined_name|upper ~ undefined_name|trim ~ (undefined_name == other_undefined) ~ (undefined_name == none) ~ ('x' in undefined_name) ~ (not undefined_name) ~ undefined_name|items|list ~ undefined_name|first ~ (undefined_name is sequence) ~ (undefined_name is iterable) ~ (undefined_name is mapping) ~ [undefined_name]
nothing.x.y
s.nope()
nothing + 1
d.nope.deeper
1 + 2 * 3 - 4 / 2 ~ '|' ~ 7 // 2 ~ '|' ~ neg // 2 ~ '|' ~ 7 % 3 ~ '|' ~ neg % 3 ~ '|' ~ 7 % -3 ~ '|' ~ 2 ** 10 ~ '|' ~ 2 ** -1 ~ '|' ~ 2 ** 3 ** 2 ~ '|' ~ -2 ** 2 ~ '|' ~ 7.5 // 2 ~ '|' ~ -7.5 % 2 ~ '|' ~ (1 + 2) * 3
1 / 0
1 % 0
0 ** -1
f ~ ' ' ~ tiny ~ ' ' ~ huge ~ ' ' ~ half ~ ' ' ~ 1e16 ~ ' ' ~ 123456789.123 ~ ' ' ~ 0.1 + 0.2 ~ ' ' ~ 1e5 ~ ' ' ~ 1.0 ~ ' ' ~ -0.0 ~ ' ' ~ 5e-5 ~ ' ' ~ 1_000 ~ ' ' ~ 0x1F ~ ' ' ~ 1e-3
true + 1 ~ '|' ~ true ~ false ~ none ~ True ~ None ~ '|' ~ +true ~ '|' ~ -3 ~ '|' ~ not true ~ '|' ~ yes * 3
'ab' * 3 ~ 3 * 'x' ~ [1] * 3 ~ 'x' * -1 ~ 'a' + 'b' ~ [1] + [2] ~ (1,) + (2,) ~ (1,) * 2
'a' + 1
[1] + (2,)
'a' - 'b'
'x' * 99999999999
range(3)|list ~ range(2, 8, 3)|list ~ range(5, 0, -2)|list ~ range(0)|list ~ range(3) ~ range(1, 9, 2) ~ range(5)[1:3]|list ~ range(5)[-1]
range(1000000000)
range('a')
1 < 2 < 3 ~ '|' ~ 3 > 2 > 2 ~ '|' ~ 1 == 1.0 ~ '|' ~ true == 1 ~ '|' ~ 'a' < 'b' ~ '|' ~ [1, 2] < [1, 3] ~ '|' ~ 'a' == 1 ~ '|' ~ 1 != 2 ~ '|' ~ d == {'a': 2, 'b': 1, 'C': 3} ~ '|' ~ (1, 2) == [1, 2] ~ '|' ~ none == none
1 < 'a'
none < 1
'ell' in s ~ 2 in xs ~ 'b' in d ~ 'z' not in d ~ 1 not in xs ~ '' in s ~ (1 in (1, 2)) ~ ('a' in d.keys()) ~ (2 in d.values()) ~ none in mixed
1 in 'abc'
1 in 5
yes and 'a' ~ '|' ~ (no or 'b') ~ '|' ~ (0 or none) ~ '|' ~ ('' and 1) ~ '|' ~ (not '' and not []) ~ '|' ~ (no and undefined_name.x) ~ '|' ~ (yes or undefined_name.x)
('a' if yes else 'b') ~ ('a' if no else 'b') ~ ('a' if no) ~ '|' ~ ('x' if no else 'y' if no else 'z') ~ (1 if xs else 2)
'a' ~ 1 ~ none ~ 2.0 ~ [1] ~ true ~ {} ~ () ~ undefined_name
mixed ~ d ~ (1,) ~ () ~ [] ~ {} ~ {'a': [1, {'b': none}]} ~ quote ~ [quote] ~ [uni] ~ ["it's"] ~ ['"'] ~ ['\'"'] ~ {1: 2, none: 3, true: 4, (1, 2): 5}
'a\n\t\\\'\"\x41\u00e9\U0001F600\101\q\/' ~ "it's" ~ 'say "hi"' ~ 'con' 'cat'
xs|sort ~ xs|sort(reverse=true) ~ words|sort ~ words|sort(case_sensitive=true) ~ people|sort(attribute='age')|map(attribute='name')|list ~ people|sort(attribute='age,name')|map(attribute='name')|join ~ d|dictsort ~ d|dictsort(true) ~ d|dictsort(by='value', reverse=true) ~ d|dictsort(false, 'value')
mixed|sort
xs|first ~ xs|last ~ none_list|first ~ s|first ~ s|last ~ d|first ~ xs|length ~ s|count ~ d|length ~ xs|sum ~ people|sum(attribute='age') ~ xs|min ~ xs|max ~ words|min ~ words|max ~ none_list|max ~ people|max(attribute='age')
xs|reverse|list ~ s|reverse ~ words|unique|list ~ words|unique(true)|list ~ [1, 1.0, true, 2]|unique|list ~ xs|list ~ s|list ~ d|list ~ d|items|list ~ d.items()|list ~ d.keys()|list ~ d.values()|list ~ [[1], [1]]|first
people|map(attribute='name')|list ~ people|map(attribute='tags.0')|list ~ people|map(attribute='tags', default='none')|list ~ words|map('upper')|list ~ words|map('replace', 'p', 'P')|join ~ xs|map('string')|join('-') ~ ['1', 'x']|map('int', 9)|list ~ [[1, 2], [3]]|map('first')|list ~ people|map(attribute='missing')|list
people|selectattr('age', 'equalto', 31)|map(attribute='name')|list ~ people|selectattr('tags')|list|length ~ people|rejectattr('tags', 'defined')|map(attribute='name')|list ~ xs|select('odd')|list ~ xs|reject('gt', 1)|list ~ mixed|select|list ~ mixed|select('string')|list ~ words|select('in', ['fig', 'pear'])|list ~ people|selectattr('name', '==', 'Ann')|first ~ mixed|reject('none')|list ~ undefined_name|selectattr('x')|list
xs|select('nope')|list
xs|map('nope')|list
people|groupby('age')|list ~ people|groupby('missing', default=0)|length ~ xs|batch(2)|list ~ xs|batch(2, 0)|list ~ [1, 2, 3, 4, 5]|slice(3)|list ~ [1, 2, 3, 4]|slice(3, 0)|list
xs|map('string')|length
d|tojson ~ mixed|tojson ~ s|tojson ~ uni|tojson ~ quote|tojson ~ html|tojson ~ none|tojson ~ f|tojson ~ big|tojson ~ huge|tojson ~ (1, 2)|tojson ~ {}|tojson ~ []|tojson ~ yes|tojson
mixed|tojson(indent=2) ~ d|tojson(indent=4) ~ uni|tojson(ensure_ascii=true) ~ uni|tojson(true) ~ d|tojson(sort_keys=true) ~ d|tojson(separators=(',', ':')) ~ {}|tojson(indent=2) ~ [[]]|tojson(indent=0) ~ {'a': {'b': []}}|tojson(indent='--') ~ d|tojson(indent=none) ~ {1: 2, none: 3, true: 4, 2.5: 1}|tojson ~ d|tojson(indent=2, separators=('; ', ' = '))
d.keys()|tojson
xs|map('string')|tojson
range|tojson
s|indent ~ lines|indent(2) ~ lines|indent(2, true) ~ lines|indent('> ', true, true) ~ lines|indent(width=3, blank=true) ~ 'a\n'|indent
5|indent
'3.7'|int ~ ' 42 '|int ~ 'x'|int ~ 'x'|int(5) ~ '0x1A'|int(0, 16) ~ '101'|int(base=2) ~ 2.9|int ~ neg|int ~ true|int ~ none|int ~ '1e3'|int ~ '-5'|int ~ '1_000'|int ~ '2.5'|float ~ 'x'|float ~ 'x'|float(1.5) ~ 3|float ~ ' 1e3 '|float ~ none|float(2) ~ [1]|int
neg|abs ~ -2.5|abs ~ 2.567|round(2) ~ 2.5|round ~ 3.5|round ~ 7|round ~ 2.1|round(0, 'ceil') ~ 2.9|round(method='floor') ~ 2.675|round(2) ~ 1234|round(-2) ~ 0.125|round(2)
'abs'|abs
html|escape ~ html|e ~ html|safe ~ 1|string ~ none|string ~ s|wordcount ~ 'a-b c_d'|wordcount ~ ('x ' * 200)|truncate(20) ~ s|truncate(5) ~ s|truncate(5, true, '', 0) ~ 'a b c'|urlencode ~ 1000000|filesizeformat ~ 1500|filesizeformat(true) ~ 1|filesizeformat ~ 999|filesizeformat
s is string ~ n is string ~ n is number ~ f is number ~ yes is number ~ n is integer ~ yes is integer ~ f is float ~ yes is boolean ~ n is boolean ~ none is none ~ nothing is none ~ undefined_name is none ~ d is mapping ~ xs is mapping ~ xs is sequence ~ s is sequence ~ d is sequence ~ n is sequence ~ xs is iterable ~ n is iterable ~ d.items() is sequence ~ d.items() is iterable ~ (xs|map('string')) is sequence ~ (1, 2) is sequence ~ range(2) is sequence
yes is true ~ no is false ~ n is true ~ 1 is true ~ n is odd ~ n is even ~ n is divisibleby 7 ~ n is divisibleby(2) ~ n is eq 7 ~ n is equalto 8 ~ n is ne 3 ~ n is gt 3 ~ n is lessthan 3 ~ n is ge(7) ~ n is le 7 ~ 'a' is in 'abc' ~ 'a' is in ['b'] ~ 'a' is not in ['b'] ~ s is upper ~ 'AB' is upper ~ 'ab' is lower ~ none is sameas none ~ s is sameas s ~ 1 is sameas true ~ range is callable ~ s is callable ~ 'upper' is filter ~ 'nope' is filter ~ 'odd' is test ~ s is escaped ~ undefined_name is undefined ~ s is not undefined ~ s is not none and n is defined
s is nope
s|nope
n is odd is even
dict(a=1, b=2) ~ dict([('x', 1)]) ~ dict({'q': 1}, r=2) ~ dict() ~ d.copy() ~ d.get('zz') ~ d.get('zz', 9) ~ d.get('a') ~ xs.index(1) ~ xs.count(2) ~ (1, 1).count(1) ~ {'a': 1, 'a': 2}
dict(5)
xs.append(4)
d.update({'x': 1})
d.pop('a')
xs.pop()
xs.sort()
d.pop is defined ~ xs.append is defined ~ s.upper is defined ~ d.items is callable ~ s.__class__ is defined ~ '|' ~ s.__class__ ~ '|' ~ xs.__len__
s.__class__.__mro__
{[1]: 2}
{}[[1]]
namespace(a=1).a ~ namespace(a=1).b ~ namespace({'x': 2}).x ~ namespace(a=[1]).a[0]
namespace(_a=1)
cycler('a', 'b').next() ~ joiner(', ')()
raise_exception('stop: ' ~ n)
s|attr('upper') is callable ~ d|attr('b') is defined
"a" 'b' ~ [1, 2,] ~ (1, 2,) ~ {'a': 1,} ~ [1, 2][0] ~ {'a': 1}['a'] ~ 'abc'[1] ~ (1)
1 if
(1, 2
'open
1 +
a b
s|
s.
foo(a=1, 2)
foo(**d, 1)
x = 1
{'a' 1}
range(*[1, 5]) | list ~ dict(**d) ~ '{}{}'.format(*['a', 'b']) ~ '{a}'.format(**{'a': 1})
'%s' % (none,) ~ '%s' % none ~ '%s' % [1] ~ '%s' % {'a': 1} ~ '%5s|' % 'ab' ~ '%.2s' % 'abc' ~ '%i' % 3.9 ~ '%o' % 8 ~ '%X' % 255
"\u4f60\u597d" ~ '日本語'[1] ~ '日本語'|length ~ 'é'|upper ~ 'ŉ'.upper() ~ 'ΣΑΣ'.lower() ~ 'ǆ'.title()
""" .strip("\n").split("\n")

# Each as it is.
STATEMENTS = [
    "{% if n > 5 %}big{% elif n > 3 %}mid{% else %}small{% endif %}",
    "{% if no %}a{% elif zero %}b{% elif nothing is none %}c{% endif %}{% if undefined_name %}x{% else %}y{% endif %}",
    "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.length }}{{ x }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }};{% endfor %}",
    "{% for x in none_list %}a{% else %}none{% endfor %}{% for x in xs %}a{% else %}b{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}{% for k in d %}{{ k }}{% endfor %}"
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a + b + c }}{% endfor %}{% for k, v in d|dictsort %}{{ k }}{% endfor %}",
    "{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }} {% else %}no{% endfor %}",
    "{% for x in xs if x > 9 %}a{% else %}nothing{% endfor %}{% for c in 'añ😀' %}<{{ c }}>{% endfor %}",
    "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% for y in xs %}{% if y == x %}{% break %}{% endif %}{{ loop.index }}{{ y }},{% endfor %}{{ loop.index }};{% endfor %}",
    "{% for x in tree recursive %}{{ loop.depth }}{{ loop.depth0 }}:{{ x.v }}({{ loop(x.c) }}){% endfor %}",
    "{% for x in xs %}{{ loop(xs) }}{% endfor %}",
    "{% for x in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
    "{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, log='') %}{% for i in xs %}{% set ns.n = ns.n + i %}{% set ns.log = ns.log ~ i %}{% endfor %}{{ ns.n }}{{ ns.log }}{{ ns.missing }}{{ ns['n'] }}",
    "{% set ns = namespace(seen=[]) %}{% for w in [1, 2, 1, 3, 2] if w not in ns.seen %}{% set ns.seen = ns.seen + [w] %}{{ w }}{% endfor %}",
    "{% set s.x = 1 %}", "{% set q.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = [3, 4] %}{{ c }}{{ d2 }}{% set t = 1, %}{{ t }}", "{% set e, = [5] %}{{ e }}", "{% for e, in [[5]] %}{{ e }}{% endfor %}",
    "{% set a, b = [1] %}", "{% set true = 1 %}", "{% set 5 = 1 %}",
    "{% set x %}block {{ n }}{% endset %}[{{ x }}]{% set y | upper | trim %} filtered {% endset %}[{{ y }}]",
    "{% set ns = namespace() %}{% set ns.t %}in {{ s }}{% endset %}{{ ns.t }}",
    "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(c='z', a=0) }}{{ m() }}{{ m(1)|length }}{{ m.name }}{{ m.arguments }}",
    "{% macro m(a) %}x{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}x{% endmacro %}{{ m(b=1) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}{{ m() }}",
    "{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('hi') }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}{% for i in [1] %}{% set x = 5 %}{{ m() }}{% endfor %}",
    "{% macro m(x) %}{% set x = x + 1 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m(5) }}{{ x }}",
    "{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('b') %}in {{ n }}{% endcall %}",
    "{% macro each(xs) %}{% for x in xs %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(v, i) each(xs) %}{{ i }}={{ v }};{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a', 'b') | upper %}banana{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}",
    "{% generation %}answer {{ n }}{% set inside = 1 %}{% endgeneration %}{{ inside }}",
    "{% for x in xs %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% block b %}in{{ n }}{% endblock %}{% print n, s %}",
    "{% raw %}{{ not }} {% run %}{% endraw %}x", "a\n  {%- raw -%}  b {{ }} {%- endraw +%}\nc", "{% raw %}\nx\n{% endraw %}\ny",
    "{# comment #}a{#- c -#}  b {#+ x +#}\nc\n{# line #}\nd", "{#-#}x", "a {#- multi\nline -#} b",
    "  {% if yes %}\n  a\n  {% endif %}\nb\n", "  {%+ if yes %}\n  a\n  {%- endif +%}\nb\n", "a\n\n  {%- if yes -%}\n\n  b  {%- endif %}  c",
    "{{- s -}}  \n  {{ n }}\n{{- n }} \n", "x\n    {{ n }}\n  {{- n -}}\n  y\n\n", "\n\n{% set a = 1 %}\n\n{{ a }}\n\n\n",
    "a\r\nb\rc{{ '\r\n' }}d\r\n", "{% if yes %}\r\nx\r\n{% endif %}\r\n", " \t{% set x = 1 %} \t\n{{ x }}", "{%if yes%}a{%endif%}{%-if yes-%}b{%-endif-%}",
    "<{% for x in xs -%}\n  {{ x }}\n{%- endfor %}>", "{{ {'a': {'b': 1}}['a']['b'] }}{{ {'x': {}} }}", "{{ '}}' }}{{ '{{' }}{{ '%}' }}{% set x = '%}' %}{{ x }}",
    "{{ 1 }}{{ }}", "{% %}", "{% nope %}", "{% if yes %}", "{% endif %}", "{% for x xs %}{% endfor %}", "{{ s", "{% if yes", "{# open", "{% raw %}x",
    "{% break %}", "{% for x in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}",
    "{% for a, b in xs %}{% endfor %}", "{% for x in undefined_name %}a{% endfor %}ok", "{% if undefined_name.x %}{% endif %}", "{% for x in xs if loop.index > 1 %}{% endfor %}",
    "{% set g = xs | map('string') %}{{ g | list }}{{ g | list }}{{ g | first }}", "{% set it = d.items() %}{{ it | list }}{{ it | list }}",
    "{{ x }}{% set x = 1 %}{{ x }}", "{% if yes %}{% set v = 1 %}{% endif %}{{ v }}", "{% for i in xs %}{% if loop.first %}{% set w = 9 %}{% endif %}{{ w }}{% endfor %}{{ w }}",
    "{% set loop = 5 %}{% for x in [1] %}{{ loop.index }}{% endfor %}{{ loop }}", "{% set n = n + 1 %}{{ n }}{% set range = 3 %}{{ range }}",
    "{% set m = s.upper %}{{ m() }}{% set f = d.get %}{{ f('a') }}", "{% for x in xs %}{% set a = loop %}{{ a.index }}{% endfor %}",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% set x = raise_exception('no') if no else 'fine' %}{{ x }}",
    "{{ raise_exception('a ' ~ [1]) }}", "{% if messages[0].role == 'system' %}a{% endif %}", "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = ns.a + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ ns.a }}",
    "{% for x in xs %}{%- if not loop.first %}, {% endif -%}\n  {{ x }}\n{%- endfor %}", "{% macro a(x) %}{{ b(x) }}{% endmacro %}{% macro b(x) %}<{{ x }}>{% endmacro %}{{ a(1) }}",
    "{% call undefined_name() %}{% endcall %}", "{% call n %}{% endcall %}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}",
    "{% for x in xs: %}{{ x }}{% endfor %}{% if yes: %}a{% endif %}", "{{ yes\n  and\n  no }}{%\nset a\n=\n1\n%}{{ a }}",
]


def render(template, context):
    try:
        return _compile_jinja_template(template).render(**context)
    except Exception:  # noqa: BLE001  any failure is the answer
        return None


def all_cases():
    contexts = {"values": VALUES, **chat_templates.CONVERSATIONS}
    cases = [("{{ " + text + " }}", "values") for text in EXPRESSIONS]
    cases += [(text, "values") for text in STATEMENTS]
    rendered = [[text, name, render(text, contexts[name])] for text, name in cases]
    for place, text in enumerate(chat_templates.TEMPLATES):
        for name, context in chat_templates.CONVERSATIONS.items():
            rendered.append([place, name, render(text, context)])
    return contexts, rendered


def main():
    contexts, cases = all_cases()
    failing = sum(output is None for _, _, output in cases)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    text = (f'{{"contexts": {json.dumps(contexts, ensure_ascii=False)},\n'
            f'"templates": {json.dumps(chat_templates.TEMPLATES, ensure_ascii=False)},\n"cases": [\n{lines}\n]}}\n')
    path = pathlib.Path(sys.argv[1])
    if "--check" in sys.argv:
        if path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path}: not what Transformers gives now")
    else:
        path.write_text(text, encoding="utf-8")
    print(f"{len(cases)} cases, {failing} of which fail as they should")


if __name__ == "__main__":
    main()

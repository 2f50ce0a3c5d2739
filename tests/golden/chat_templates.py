"""Chat templates made up for the tests: each a format of its own that nobody trained on, and conversations for them.

Together they use every construct of the templates that models are published with; none follows one of them.
"""

# A transcript with numbered lines: the number of the last question is found from the end, and older thoughts are left out.
TRANSCRIPT = r"""
{%- macro numbered(text, number, mark='|') -%}
    {%- for line in (text or '').split('\n') -%}
        {{- '%03d' % number ~ mark ~ line.rstrip() ~ '\n' -}}
    {%- endfor -%}
{%- endmacro -%}
{%- set seen = namespace(asked=-1, line=0) -%}
{%- for turn in messages[::-1] if turn.role == 'user' and turn.content is string -%}
    {%- if seen.asked < 0 and not turn.content.startswith('#') and not turn.content.endswith('#') -%}
        {%- set seen.asked = messages.index(turn) -%}
    {%- endif -%}
{%- endfor -%}
{{- 'TRANSCRIPT OF ' ~ messages | length ~ ' TURN' ~ ('S' if messages | length != 1) ~ '\n' -}}
{%- for tool in tools or [] -%}
    {{- 'may use ' ~ loop.index ~ '/' ~ loop.length ~ ': ' ~ tool | tojson ~ '\n' -}}
{%- endfor -%}
{%- for turn in messages -%}
    {%- set who = {'user': 'Q', 'assistant': 'A', 'tool': 'T'}.get(turn.role, turn.role | default('?', true) | upper) -%}
    {%- set said = turn.content if turn.content is string else '' -%}
    {%- set thought = turn.thoughts | default('') -%}
    {%- if not thought and '</think>' in said -%}
        {%- set thought = said.split('</think>')[0].replace('<think>', '').strip('\n') -%}
        {%- set said = said.split('</think>')[-1].lstrip('\n') -%}
    {%- endif -%}
    {%- set seen.line = seen.line + 1 -%}
    {{- '== ' ~ who ~ ' ==\n' -}}
    {%- if thought and loop.index0 >= seen.asked -%}
        {{- numbered(thought.strip(), seen.line, mark='~') -}}
    {%- endif -%}
    {%- if who == 'A' -%}
        {%- generation -%}{{- numbered(said, seen.line) -}}{%- endgeneration -%}
    {%- else -%}
        {{- numbered(said, seen.line) -}}
    {%- endif -%}
    {%- for use in turn.tool_calls or [] -%}
        {%- set use = use.function if use.function else use -%}
        {{- '-> ' ~ use.name ~ ' ' -}}
        {{- use.arguments if use.arguments is string else use.arguments | tojson -}}
        {{- '\n' if loop.last else ' ;\n' -}}
    {%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '== A ==\n' -}}
    {%- if think is defined and think is false -%}{{- '(no thoughts)\n' -}}{%- endif -%}
{%- endif -%}
"""

# An outline: any object is written as indented keys by one macro that calls itself. Whitespace control on some lines only.
OUTLINE = r"""
{% macro outline(value, depth, skip=()) %}
{% if value is mapping %}
{% for key, inner in value | items if key not in skip %}
{{ '\n' ~ '  ' * depth ~ '- ' ~ key ~ ':' -}}
{{ outline(inner, depth + 1) }}
{%- endfor %}
{%- elif value is iterable and value is sequence and value is not string %}
{% for inner in value %}
{{ '\n' ~ '  ' * depth ~ loop.index ~ '.' -}}
{{ outline(inner, depth + 1, skip) }}
{%- else %}{{ ' (none)' }}
{%- endfor %}
{%- elif value is none %}{{ ' nil' }}
{%- elif value is string %}{{ ' ' ~ (value | trim | tojson | safe) }}
{%- else %}{{ ' ' ~ (value | string) }}
{%- endif %}
{%- endmacro %}
{%- if tools is iterable and tools is not none and tools | length > 0 -%}
  {%- for tool in tools | map(attribute='function') -%}
    TOOL {{ tool['name'] | upper }}{{ outline(tool, 1, ['name']) }}
{% endfor -%}
{%- endif -%}
{%- for turn in messages %}
  {%- if turn is not mapping or turn.role is not defined %}
    {{- raise_exception('turn ' ~ loop.index ~ ' has nobody who speaks') }}
  {%- endif %}
  {%- if loop.previtem is defined and loop.previtem.role == turn.role %}
    {{- '\n* and ' }}
  {%- elif turn.role in ('system', 'user', 'assistant') %}
    {{- '\n* ' ~ turn.role | title ~ ' ' }}
  {%- elif turn.role == 'tool' %}
    {{- '\n* Result ' }}
  {%- else %}
    {{- raise_exception('nobody is called ' ~ turn.role) }}
  {%- endif %}
  {{- outline(turn, 1, skip=['role', 'tool_calls']) }}
  {%- if turn.tool_calls is defined and turn.tool_calls is iterable and turn.tool_calls is not string %}
    {%- for use in turn.tool_calls %}
      {%- if use.function is defined %}{%- set use = use.function %}{%- endif %}
      {{- '\n  => ' ~ use.name }}{{ outline(use.arguments, 2) }}
    {%- endfor %}
  {%- endif %}
  {%- if loop.last or loop.nextitem.role != turn.role %}{{- '\n.' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '\n* Assistant' }}{%- endif %}
"""

# Tools as declarations of a small typed language, by macros that call each other; letters between people.
DECLARATIONS = r"""
{%- macro one_of(kinds, depth) -%}
    {%- for kind in kinds -%}
        {%- if not loop.first -%}{{- ' or ' -}}{%- endif -%}
        {{- kind_of(kind, depth) if kind is mapping else kind -}}
    {%- endfor -%}
{%- endmacro -%}
{%- macro fields(schema, depth) -%}
    {%- set needed = schema.required or [] -%}
    {%- for name, field in (schema.properties or {}).items() -%}
        {{- '\n' ~ '\t' * depth ~ name ~ (' :: ' if name in needed else ' ?: ') ~ kind_of(field, depth + 1) -}}
        {%- if field.default is defined -%}{{- ' = ' + field.default | tojson -}}{%- endif -%}
        {%- if field.description -%}{{- ' -- ' + field.description | trim -}}{%- endif -%}
    {%- endfor -%}
{%- endmacro -%}
{%- macro kind_of(schema, depth=1) -%}
    {%- set kind = schema.type -%}
    {%- if schema.enum is defined -%}{{- '{' + schema.enum | map('tojson') | join(', ') + '}' -}}
    {%- elif schema.oneOf is defined -%}{{- '(' ~ one_of(schema.oneOf, depth) ~ ')' -}}
    {%- elif kind is iterable and kind is not string and kind is not mapping -%}{{- '(' ~ one_of(kind, depth) ~ ')' -}}
    {%- elif kind == 'object' and schema.properties -%}{{- 'record' ~ fields(schema, depth) -}}
    {%- elif kind == 'array' -%}{{- 'list of ' ~ (kind_of(schema['items'], depth) if schema['items'] else 'anything') -}}
    {%- elif kind in ['number', 'integer', 'string', 'boolean'] -%}{{- kind -}}
    {%- else -%}{{- 'anything' -}}{%- endif -%}
    {%- if schema.nullable -%}{{- ' or nothing' -}}{%- endif -%}
{%- endmacro -%}
{%- set rule, letters = ('', messages) -%}
{%- if messages and messages[0].role in ['system', 'developer'] -%}
    {%- set rule, letters = messages[0].content, messages[1:] -%}
{%- endif -%}
{{- 'to be read with ' + (effort if effort is defined else 'some') + ' care\n' -}}
{%- if rule -%}{{- 'rule: ' ~ rule ~ '\n' -}}{%- endif -%}
{%- for tool in (tools or []) | map(attribute='function') -%}
    {{- 'declare ' + tool.name + ' -- ' + tool.description + fields(tool.parameters, 1) ~ '\n' -}}
{%- endfor -%}
{%- set pending = namespace(calls=[]) -%}
{%- for letter in letters -%}
    {%- if letter.role == 'user' -%}
        {{- 'from the reader: ' + letter.content + '\n' -}}
    {%- elif letter.role == 'assistant' and letter.tool_calls -%}
        {%- if letter.content and letter.thoughts -%}{{- raise_exception('a letter says one thing') -}}{%- endif -%}
        {%- for use in letter.tool_calls -%}
            {%- set pending.calls = pending.calls + [use.function.name] -%}
            {{- 'the writer asks ' + use.function.name + ' ' + use.function.arguments | tojson + '\n' -}}
        {%- endfor -%}
    {%- elif letter.role == 'assistant' -%}
        {%- if 'content' in letter and letter.content is string and 'from the reader' in letter.content -%}
            {{- raise_exception("the writer may not write the reader's letters") -}}
        {%- endif -%}
        {{- 'from the writer' ~ (' (the end)' if loop.last and not add_generation_prompt) + ': ' + letter.content + '\n' -}}
    {%- elif letter.role == 'tool' -%}
        {%- if not pending.calls -%}{{- raise_exception('an answer that nobody asked for') -}}{%- endif -%}
        {{- pending.calls[0] + ' answers ' + letter.content | tojson + '\n' -}}
        {%- set pending.calls = pending.calls[1:] -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
from the writer:
{%- endif -%}
"""

# One line without a break in it: a little machine whose state is a letter, and whose arrows stand in an object.
MACHINE = (
    "{% if not think is defined %}{% set think = false %}{% endif %}"
    "{% set arrows = {'s': {'user': 'q', 'system': 's'}, 'q': {'assistant': 'a', 'user': 'q'}, 'a': {'user': 'q', 'tool': 't'},"
    " 't': {'tool': 't', 'assistant': 'a'}} %}{% set now = namespace(state='s', calls=0, preface='') %}{{ bos_token }}"
    "{%- for m in messages if m['role'] == 'system' -%}{%- set now.preface = now.preface + ('' if loop.first else ' / ') + m['content'] -%}{%- endfor -%}"
    "{{ '[' + now.preface + ']' if now.preface else '' }}"
    "{%- for m in messages -%}{%- set next = arrows[now.state][m['role']] -%}{%- if next is not defined -%}"
    "{{ raise_exception(now.state ~ ' has no way to ' ~ m['role']) }}{%- endif -%}"
    "{%- if next == 'q' -%}{{ '?' + m['content'] }}{%- elif next == 't' -%}{{ '=' + m['content'] }}{%- set now.calls = now.calls - 1 -%}"
    "{%- elif next == 'a' -%}{{ '!' if now.state == 'q' }}{%- if m['tool_calls'] is defined and m['tool_calls'] is not none -%}"
    "{% for c in m['tool_calls'] %}{%- set now.calls = now.calls + 1 -%}{% if m['content'] is not none and loop.first %}{{ m['content'] }}{% endif %}"
    "{{ '(' + c['function']['name'] + ':' + c['function']['arguments']|tojson + ')' }}{% endfor %}{{ '#%d' % now.calls }}"
    "{%- else -%}{%- set parts = m['content'].split('</think>', 1) -%}{{ parts[1] if parts|length == 2 and not think else m['content'] }}{{ eos_token }}"
    "{%- endif -%}{%- endif -%}{%- set now.state = next -%}{%- endfor -%}"
    "{%- if add_generation_prompt is defined and add_generation_prompt and now.state in ('q', 't') -%}{{ '!' + ('<think>' if think else '') }}{%- endif -%}")

# A sheet with a heading: missing fields get their defaults, a list is cut while it is walked, objects are written with four spaces.
SHEET = r"""
{#- What the caller left out. #}
{%- set day = date_string if date_string is defined else 'a year of ' ~ strftime_now('%Y')|length ~ ' digits' %}
{%- set shelf = custom_tools if custom_tools is defined else tools | default(none) %}
{%- if not tools_first is defined %}
    {%- set tools_first = shelf is not none %}
{%- endif %}
{%- set rest = messages %}
{{- bos_token ~ "SHEET (" + day + ")\n" }}
{%- if rest and 'system' == rest[0]['role'] %}
    {{- rest[0]['content'] | trim | indent(4, first=true) ~ "\n" }}
    {%- set rest = rest[1:] %}
{%- endif %}
{%- macro print_shelf() %}
    {%- for tool in shelf %}
        {{- loop.index ~ ") " ~ tool | tojson(indent=4) ~ "\n" }}
    {%- endfor %}
{%- endmacro %}
{%- if shelf and tools_first %}
    {%- if rest | length == 0 %}
        {{- raise_exception("A shelf needs a question under it") }}
    {%- endif %}
    {{- print_shelf() }}
{%- endif %}
{%- for row in rest %}
    {%- set cell = row.content if not (row.content is mapping or (row.content is iterable and row.content is not string)) else row.content | tojson %}
    {%- if 'tool_calls' in row %}
        {%- if row.tool_calls | length > 1 %}
            {{- raise_exception("A row has place for one call, not " ~ row.tool_calls | length) }}
        {%- endif %}
        {%- set asked = (row.tool_calls | first).function %}
        {{- "call | " + asked.name + " | " + asked.arguments | tojson + "\n" }}
    {%- elif row.role == 'tool' or row.role == 'table' %}
        {{- "back | " ~ cell ~ "\n" }}
    {%- else %}
        {{- "%-9s | %s\n" | format(row['role'], cell | trim) }}
    {%- endif %}
{%- endfor %}
{%- if shelf and not tools_first %}
    {{- print_shelf() }}
{%- endif %}
{%- if add_generation_prompt %}
    {{- "%-9s | " | format('assistant') }}
{%- endif %}
"""

# A ledger that is checked before it is written: who speaks how often, in which order, and that each call has an answer.
LEDGER = r"""{%- set head = messages | selectattr("role", "equalto", "system") | list %}
{%- set body = messages | rejectattr("role", "in", ["system"]) | list %}
{%- set questions = body | selectattr("role", "equalto", "user") | list %}

{#- Nothing is written about a ledger that is wrong. #}
{%- if head | length > 1 %}
    {{- raise_exception("two heads: " ~ head | map(attribute="content") | join(" and ")) }}
{%- endif %}
{%- set count = namespace() %}
{%- set count.odd = false %}
{%- for entry in body if entry.role != "tool" and not entry.tool_calls %}
    {%- if (entry["role"] == "assistant") != count.odd %}
        {{- raise_exception("entry " ~ loop.index ~ " is out of turn") }}
    {%- endif %}
    {%- set count.odd = not count.odd %}
{%- endfor %}
{%- for role, entries in body | groupby("role") %}
    {{- role ~ "=" ~ entries | length ~ ("; " if not loop.last else "\n") }}
{%- endfor %}

{%- for entry in body %}
    {%- if entry == questions[-1] and tools is defined and tools is not none %}
        {{- "with {" }}
        {%- for tool in tools %}
            {%- for key, field in tool.function.items() if key != "parameters" %}
                {{- key ~ ": " ~ (field if field is string else field | tojson) }}
                {%- if not loop.last %}{{- ", " }}{%- endif %}
            {%- endfor %}
            {{- "}\n" if loop.last else "} {" }}
        {%- endfor %}
    {%- endif %}
    {%- if entry["role"] == "user" %}
        {{- "debit " + (head[0]["content"] + ": " if loop.last and head else "") + entry["content"] + "\n" }}
    {%- elif entry.tool_calls is defined and entry.tool_calls is not none %}
        {%- for use in entry.tool_calls %}
            {%- if use.id is not defined or use.id | length < 2 %}
                {{- raise_exception("a call without a number") }}
            {%- endif %}
            {%- set written = use.function | tojson %}
            {{- "order " ~ use.id[:3] ~ ".." ~ use.id[-1] ~ " " ~ written[1:-1] ~ "\n" }}
        {%- endfor %}
    {%- elif entry["role"] == "tool" %}
        {%- set goods = entry.content.goods if entry.content.goods is defined else entry.content %}
        {{- "goods " + entry.tool_call_id + " " + goods|string + "\n" }}
    {%- elif entry["role"] == "assistant" %}
        {{- "credit " + entry["content"] + eos_token + "\n" }}
    {%- else %}
        {{- raise_exception("the ledger knows no " + entry["role"]) }}
    {%- endif %}
{%- endfor %}
"""

# Content as a list of parts, whitespace left to trim_blocks and lstrip_blocks.
PARTS = """\
{% for message in messages %}
    {% if message.content is string %}
        {% set parts = [{'type': 'text', 'text': message.content}] %}
    {% else %}
        {% set parts = message.content or [] %}
    {% endif %}
{{ message.role | capitalize }}:
    {% for part in parts if part.type == 'text' %}
  - {{ part.text | replace('\\n', ' ') | truncate(40) }}
    {% else %}
  (nothing)
    {% endfor %}
{% endfor %}
{% if add_generation_prompt %}
Assistant:
{% endif %}
"""

TEMPLATES = [TRANSCRIPT, OUTLINE, DECLARATIONS, MACHINE, SHEET, LEDGER, PARTS]

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "The weather at a place. ", "parameters": {
        "type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": "a town"},
            "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
            "days": {"type": "array", "items": {"type": "integer"}, "nullable": True},
            "options": {"type": "object", "properties": {"wind": {"type": ["number", "null"]},
                                                         "sky": {"oneOf": [{"type": "string"}, {"type": "object"}]}}}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {}}}


def _call(name, arguments):
    return {"id": "abcdefghi", "type": "function", "function": {"name": name, "arguments": arguments}}


_SYSTEM = {"role": "system", "content": " Be brief. "}
_QUESTION = {"role": "user", "content": "How is the weather in 東京?\n<|finish|> it's \"cold\" & wet"}
_CALLED = {"role": "assistant", "content": "", "tool_calls": [_call("weather", {"place": "東京", "days": [1, 2], "deep": {"a": None}})]}
_RESULT = {"role": "tool", "tool_call_id": "abcdefghi", "content": "12 degrees"}
_ANSWER = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nTwelve degrees."}


def _context(messages, **more):
    return {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None,
            "add_generation_prompt": True, **more}


CONVERSATIONS = {
    "question": _context([_QUESTION]),
    "system": _context([_SYSTEM, _QUESTION]),
    "turns": _context([_SYSTEM, _QUESTION, _ANSWER, {"role": "user", "content": "And tomorrow?"}]),
    "finished": _context([_QUESTION, _ANSWER], add_generation_prompt=False),
    "tools": _context([_SYSTEM, _QUESTION], tools=[WEATHER, CLOCK], think=False),
    "called": _context([_SYSTEM, _QUESTION, _CALLED, _RESULT], tools=[WEATHER, CLOCK], think=True),
    "answered": _context([_QUESTION, _CALLED, _RESULT, _ANSWER, {"role": "user", "content": "Thanks."}], tools=[WEATHER]),
    "two results": _context([_QUESTION, {"role": "assistant", "content": None, "tool_calls": [
        _call("weather", {"place": "a"}), _call("clock", {})]}, _RESULT, {**_RESULT, "content": "noon"}], tools=[WEATHER]),
    "text arguments": _context([_QUESTION, {"role": "assistant", "content": "Let me see.", "tool_calls": [
        _call("weather", "{\"place\": \"a\"}")]}, _RESULT], effort="high"),
    "thoughts": _context([_QUESTION, {"role": "assistant", "content": "Yes.", "thoughts": "first\nsecond\n"}]),
    "nobody": _context([]),
    "no content": _context([{"role": "user"}]),
    "no role": _context([{"content": "hello"}]),
    "null content": _context([{"role": "user", "content": None}, {"role": "assistant", "content": None}]),
    "parts": _context([{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image"}]}]),
    "wrong turns": _context([_QUESTION, _QUESTION, _ANSWER]),
    "odd role": _context([{"role": "narrator", "content": "Once"}, _QUESTION]),
    "nothing": {},
    "no tokens": {"messages": [_SYSTEM, _QUESTION, _ANSWER]},
    "empty tools": _context([_QUESTION], tools=[], custom_tools=[CLOCK], tools_first=False, date_string="1 May"),
}

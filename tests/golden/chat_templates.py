"""Chat templates made up for the tests, each in the manner of a family, and conversations for them."""

# Qwen3's manner: tools as JSON lines, thinking that earlier answers lose, tool results grouped.
THINKING = r"""
{%- macro tool_list(tools) %}
{{- 'You may call these tools:\n<tools>' }}
{%- for tool in tools %}
{{- '\n' ~ tool | tojson }}
{%- endfor %}
{{- '\n</tools>\n' }}
{%- endmacro %}
{%- if tools %}
    {{- '<|begin|>system\n' }}
    {%- if messages and messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- tool_list(tools) + '<|finish|>\n' }}
{%- elif messages and messages[0].role == 'system' %}
    {{- '<|begin|>system\n' + messages[0].content + '<|finish|>\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_question=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string and not (message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_question = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|begin|>' + message.role + '\n' + content + '<|finish|>' + '\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thoughts = '' %}
        {%- if message.thoughts is defined and message.thoughts is not none %}
            {%- set thoughts = message.thoughts %}
        {%- elif '</think>' in content %}
            {%- set thoughts = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|begin|>assistant\n' }}
        {%- if loop.index0 > ns.last_question and (loop.last or thoughts) %}
            {{- '<think>\n' ~ thoughts.strip('\n') ~ '\n</think>\n\n' }}
        {%- endif %}
        {%- generation %}{{- content -}}{%- endgeneration %}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}{{- '\n' }}{%- endif %}
            {%- set call = call.function if call.function else call %}
            {{- '<call>\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\n</call>' }}
        {%- endfor %}
        {{- '<|finish|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or (messages[loop.index0 - 1].role != 'tool') %}{{- '<|begin|>user' }}{%- endif %}
        {{- '\n<result>\n' ~ content ~ '\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}{{- '<|finish|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|begin|>assistant\n' }}
    {%- if think is defined and think is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
"""

# Qwen3-Coder's manner: tools as nested tags, walked with items(), with leftovers through a macro.
TAGGED_TOOLS = r"""
{% macro rest(object, known) %}
{% if object is mapping %}
{% for key in object if key not in known %}
{% set value = object[key] %}
{% if value is mapping or (value is sequence and value is not string) %}
{{ '\n<' ~ key ~ '>' ~ (value | tojson | safe) ~ '</' ~ key ~ '>' }}
{% else %}
{{ '\n<' ~ key ~ '>' ~ (value | string) ~ '</' ~ key ~ '>' }}
{% endif %}
{% endfor %}
{% endif %}
{% endmacro %}
{%- set first = messages[0] if messages else none %}
{%- set turns = messages[1:] if first is mapping and first['role'] == 'system' else messages %}
{%- if tools is iterable and tools | length > 0 %}
  {{- '<tools>' }}
  {%- for tool in tools %}
    {%- set tool = tool.function if tool.function is defined else tool %}
    {{- '\n<function>\n<name>' ~ tool.name ~ '</name>' }}
    {%- if tool.description is defined %}{{- '\n<about>' ~ (tool.description | trim) ~ '</about>' }}{%- endif %}
    {%- if tool.parameters is defined and tool.parameters is mapping and tool.parameters.properties is defined %}
      {%- for name, field in tool.parameters.properties | items %}
        {{- '\n<parameter>\n<name>' ~ name ~ '</name>' }}
        {%- if field.type is defined %}{{- '\n<type>' ~ (field.type | string) ~ '</type>' }}{%- endif %}
        {{- rest(field, ['name', 'type', 'description']) }}
        {{- '\n</parameter>' }}
      {%- endfor %}
    {%- endif %}
    {{- rest(tool.parameters, ['type', 'properties']) ~ '\n</function>' }}
  {%- endfor %}
  {{- '\n</tools>\n' }}
{%- endif %}
{%- for message in turns %}
  {%- if message.role == 'assistant' and message.tool_calls is defined and message.tool_calls is iterable and message.tool_calls | length > 0 %}
    {{- '[A]' }}
    {%- if message.content is defined and message.content is string and message.content | trim | length > 0 %}{{- '\n' ~ message.content | trim ~ '\n' }}{%- endif %}
    {%- for call in message.tool_calls %}
      {%- if call.function is defined %}{%- set call = call.function %}{%- endif %}
      {{- '<call=' ~ call.name ~ '>' }}
      {%- if call.arguments is mapping %}
        {%- for key, value in call.arguments | items %}
          {{- '<' ~ key ~ '>' }}{{- value | tojson if value is mapping or (value is sequence and value is not string) else value | string }}
        {%- endfor %}
      {%- endif %}
    {%- endfor %}
    {{- '[/A]\n' }}
  {%- elif message.role in ['user', 'system', 'assistant'] %}
    {{- '[' ~ message.role[0] | upper ~ ']' ~ message.content ~ '[/]\n' }}
  {%- elif message.role == 'tool' %}
    {%- if loop.previtem and loop.previtem.role != 'tool' %}{{- '[R]' }}{%- endif %}
    {{- message.content }}
    {%- if not loop.last and loop.nextitem.role != 'tool' %}{{- '[/R]' }}{%- elif loop.last %}{{- '[/R]\n' }}{%- endif %}
  {%- else %}
    {{- raise_exception('role ' ~ message.role ~ ' is not known') }}
  {%- endif %}
{%- endfor %}
{{- '[A]' if add_generation_prompt }}
"""

# gpt-oss' manner: types written by recursive macros, channels, many refusals.
CHANNELS = r"""
{%- macro type_of(spec, wanted, depth=0) -%}
    {%- if spec.type == 'array' -%}
        {%- if spec['items'] -%}
            {%- if spec['items']['type'] == 'string' -%}{{- 'string[]' }}
            {%- else -%}{{- type_of(spec['items'], wanted, depth + 1) ~ '[]' -}}{%- endif -%}
        {%- else -%}{{- 'any[]' }}{%- endif -%}
        {%- if spec.nullable %}{{- ' | null' }}{%- endif -%}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string and spec.type is not mapping -%}
        {{- spec.type | join(' | ') }}
    {%- elif spec.oneOf -%}
        {%- for variant in spec.oneOf -%}
            {{- type_of(variant, wanted, depth + 1) -}}
            {%- if variant.description %}{{- '// ' + variant.description }}{%- endif -%}
            {%- if variant.default is defined %}{{ '// default: ' + variant.default|tojson }}{%- endif -%}
            {%- if not loop.last %}{{- ' | ' }}{%- endif -%}
        {%- endfor -%}
    {%- elif spec.type == 'string' -%}
        {%- if spec.enum -%}{{- '"' + spec.enum|join('" | "') + '"' -}}{%- else -%}{{- 'string' }}{%- endif -%}
    {%- elif spec.type in ['number', 'integer'] -%}{{- 'number' }}
    {%- elif spec.type == 'object' -%}
        {%- if spec.properties -%}
            {{- '{\n' }}
            {%- for name, inner in spec.properties.items() -%}
                {{- '  ' * (depth + 1) ~ name -}}
                {%- if name not in (wanted or []) -%}{{- '?' }}{%- endif -%}
                {{- ': ' ~ type_of(inner, inner.required or [], depth + 1) }}
                {%- if not loop.last -%}{{- ', ' }}{%- endif -%}
            {%- endfor -%}
            {{- '\n' ~ '  ' * depth ~ '}' }}
        {%- else -%}{{- 'object' }}{%- endif -%}
    {%- else -%}{{- 'any' }}{%- endif -%}
{%- endmacro -%}
{%- macro namespace_of(name, tools) -%}
    {{- 'namespace ' + name + ' {\n' }}
    {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- '// ' + tool.description + '\ntype ' + tool.name + ' = (' }}
        {%- if tool.parameters and tool.parameters.properties %}{{- '_: ' ~ type_of(tool.parameters, tool.parameters.required or []) }}{%- endif %}
        {{- ') => any;\n' }}
    {%- endfor %}
    {{- '}' }}
{%- endmacro -%}
{%- if messages and messages[0].role in ['developer', 'system'] %}
    {%- set instructions, loop_messages = messages[0].content, messages[1:] %}
{%- else %}
    {%- set instructions = '' %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if effort is not defined %}{%- set effort = 'medium' %}{%- endif %}
{{- '<|start|>system<|message|>Effort: ' + effort + '<|end|>' }}
{%- if instructions or tools %}
    {{- '<|start|>developer<|message|>' ~ instructions }}
    {%- if tools -%}{{- '\n\n# Tools\n' ~ namespace_of('functions', tools) }}{%- endif -%}
    {{- '<|end|>' }}
{%- endif %}
{%- set last_call = namespace(name=none) %}
{%- for message in loop_messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if 'content' in message and message.content is string and '<|channel|>' in message.content %}
            {{- raise_exception('a channel tag inside of an answer') }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- set call = message.tool_calls[0] %}
            {%- if call.function %}{%- set call = call.function %}{%- endif %}
            {%- if message.content and message.thoughts %}{{- raise_exception('both content and thoughts') }}
            {%- elif message.content %}{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.content + '<|end|>' }}{%- endif %}
            {{- '<|start|>assistant to=functions.' + call.name + '<|message|>' + call.arguments|tojson + '<|call|>' }}
            {%- set last_call.name = call.name %}
        {%- elif loop.last and not add_generation_prompt %}
            {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}
        {%- else %}
            {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
            {%- set last_call.name = none %}
        {%- endif %}
    {%- elif message.role == 'tool' -%}
        {%- if last_call.name is none %}{{- raise_exception('a result without a call') }}{%- endif %}
        {{- '<|start|>functions.' + last_call.name + ' to=assistant<|message|>' + message.content|tojson + '<|end|>' }}
    {%- elif message.role == 'user' -%}
        {{- '<|start|>user<|message|>' + message.content + '<|end|>' }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}
"""

# DeepSeek's manner: one long line of flags in a namespace.
FLAGS = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% if not think is defined %}{% set think = false %}{% endif %}"
    "{% set ns = namespace(is_first=false, is_tool=false, system='', is_first_system=true, is_last_user=false) %}"
    "{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_system %}"
    "{% set ns.system = ns.system + message['content'] %}{% set ns.is_first_system = false %}{%- else %}"
    "{% set ns.system = ns.system + '\n\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}"
    "{{ bos_token }}{{ ns.system }}"
    "{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{%- set ns.is_first = false -%}"
    "{%- set ns.is_last_user = true -%}{{'<User>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['tool_calls'] is defined and message['tool_calls'] is not none %}"
    "{%- if ns.is_last_user %}{{'<Assistant></think>'}}{%- endif %}{%- set ns.is_last_user = false -%}{%- set ns.is_first = false %}"
    "{%- for tool in message['tool_calls'] %}{%- if not ns.is_first %}{%- if message['content'] is none %}"
    "{{'<calls><call>' + tool['function']['name'] + '<sep>' + tool['function']['arguments']|tojson + '</call>'}}{%- else %}"
    "{{message['content'] + '<calls><call>' + tool['function']['name'] + '<sep>' + tool['function']['arguments']|tojson + '</call>'}}"
    "{%- endif %}{%- set ns.is_first = true -%}{%- else %}{{'<call>' + tool['function']['name'] + '</call>'}}{%- endif %}{%- endfor %}"
    "{{'</calls><end>'}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and (message['tool_calls'] is not defined or message['tool_calls'] is none) %}"
    "{%- if ns.is_last_user %}{{'<Assistant>'}}{%- if message['prefix'] is defined and message['prefix'] and think %}{{'<think>'}}"
    "{%- else %}{{'</think>'}}{%- endif %}{%- endif %}{%- set ns.is_last_user = false -%}{%- if ns.is_tool %}{{message['content'] + '<end>'}}"
    "{%- set ns.is_tool = false -%}{%- else %}{%- set content = message['content'] -%}{%- if '</think>' in content %}"
    "{%- set content = content.split('</think>', 1)[1] -%}{%- endif %}{{content + '<end>'}}{%- endif %}{%- endif %}"
    "{%- if message['role'] == 'tool' %}{%- set ns.is_last_user = false -%}{%- set ns.is_tool = true -%}"
    "{{'<output>' + message['content'] + '</output>'}}{%- endif %}{%- endfor -%}"
    "{%- if add_generation_prompt and ns.is_last_user and not ns.is_tool %}{{'<Assistant>'}}{%- if not think %}{{'</think>'}}{%- else %}{{'<think>'}}{%- endif %}{% endif %}")

# Llama 3.1's manner: defaults, a date, headers, a single call per turn.
HEADERS = r"""
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_first is defined %}
    {%- set tools_first = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system message goes out of the list, so that it can be placed. #}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|head|>system<|/head|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: tools\n" }}
{%- endif %}
{{- "Today: " + date_string + "\n\n" }}
{%- if tools is not none and not tools_first %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot|>" }}
{%- if tools_first and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("There is no first question for the tools to go into") }}
    {%- endif %}
    {{- '<|head|>user<|/head|>\n\n' -}}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot|>"}}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|/head|>\n\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|head|>assistant<|/head|>\n\n' -}}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}<|eot|>" }}
    {%- else %}
        {{- "<|head|>ipython<|/head|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\n\n' }}
{%- endif %}
"""

# Mistral's manner: alternation is checked, tools stand before the last question.
BRACKETS = r"""{%- if messages and messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("questions and answers have to take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS][" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[ASK]" + system_message + "\n\n" + message["content"] + "[/ASK]" }}
        {%- else %}
            {{- "[ASK]" + message["content"] + "[/ASK]" }}
        {%- endif %}
    {%- elif (message.tool_calls is defined and message.tool_calls is not none) %}
        {{- "[CALLS][" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("an id has nine characters") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- message["content"] + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[RESULT]{"content": ' + content|string + ', "id": "' + message.tool_call_id + '"}[/RESULT]' }}
    {%- else %}
        {{- raise_exception("only user and assistant roles, and a first system message") }}
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

TEMPLATES = [THINKING, TAGGED_TOOLS, CHANNELS, FLAGS, HEADERS, BRACKETS, PARTS]

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

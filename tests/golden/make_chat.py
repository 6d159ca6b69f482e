# SPDX-License-Identifier: Apache-2.0
# Writes chat.json: templates in the manner of each family, conversations, and what transformers renders.
# usage: make_chat.py OUT [TEMPLATE.jinja …]     (transformers 5; with files: those instead of the ones here)
# A rendering is null where the template refuses. "says" are the texts of the spans: what the assistant is to
# say, its end mark included, written here by hand for each family and not by rendering prefixes.
# A content is a string or a list of parts, which transformers hands on as it is; to a role that `reads` only
# the other, we hand that. pictures: "<image>" in a string stands for an image.
import json
import sys

from transformers.utils.chat_template_utils import render_jinja_template

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('turns must go user, assistant, user') }}{% endif %}")
# name, family, template, what stands before and behind an answer, is the answer stripped; then, unless all
# roles read strings alone: what system, user and assistant read, of "text", "parts" and "both", whose images
# in parts show, what an answer's parts are joined by (None: it reads their text)
TEMPLATES = [
    ("chatml", "chatml",
     "{% for message in messages %}"
     "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
     "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
     "", "<|im_end|>", False),
    ("chatml with a default", "chatml",
     "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
     "{{ '<|im_start|>system\nYou answer in short words.<|im_end|>\n' }}{% endif %}"
     "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", "", "<|im_end|>", False),
    ("chatml with tools", "chatml",
     """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are of help.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or \
(message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""", "", "<|im_end|>", False),
    ("chatml that thinks", "chatml",
     """{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and \
not(message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "assistant" %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content.strip('\\n') + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""", None, None, False),
    ("llama-2", "llama-2",
     "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
     "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
     "{% set system_message = false %}{% endif %}{% for message in loop_messages %}" + ALTERNATE +
     "{% if loop.index0 == 0 and system_message != false %}"
     "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
     "{% else %}{% set content = message['content'] %}{% endif %}"
     "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
     "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}"
     "{% endfor %}", " ", " </s>", True),
    ("llama-3", "llama-3",
     "{% set loop_messages = messages %}{% for message in loop_messages %}"
     "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "
     "message['content'] | trim + '<|eot_id|>' %}"
     "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
     "{% if add_generation_prompt %}"
     "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}", "", "<|eot_id|>", True),
    ("llama-3 with a preamble", "llama-3",
     """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "1 Jan 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system message, so that it can be put in its place #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: x\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'x') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Known until: March 2024\\nToday: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'\
+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {{- raise_exception("no tools") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""", "", "<|eot_id|>", True),
    ("mistral", "mistral",
     "{{ bos_token }}{% for message in messages %}" + ALTERNATE +
     "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
     "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
     "{% else %}{{ raise_exception('only users and assistants') }}{% endif %}{% endfor %}",
     "", "</s>", False),
    ("mistral v3", "mistral",
     """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or \
(message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("turns must go user, assistant, user") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS][" }}
        {%- endif %}
        {%- if loop.first and system_message is defined %}
            {{- "[INST]" + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST]" + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- message["content"] + eos_token}}
    {%- else %}
        {{- raise_exception("only users and assistants") }}
    {%- endif %}
{%- endfor %}
""", "", "</s>", False),
    ("gemma", "gemma",
     "{{ bos_token }}"
     "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
     "{% for message in messages %}" + ALTERNATE +
     "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
     "{% else %}{% set role = message['role'] %}{% endif %}"
     "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
     "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}", "", "<end_of_turn>", True),
    ("zephyr", "zephyr",
     "{% for message in messages %}\n"
     "{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n"
     "{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
     "{% endfor %}", "", "</s>", False),
    ("parts, images in front", "other",
     "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ 'Q: ' }}"
     "{% elif turn['role'] == 'assistant' %}{{ 'A: ' }}{% endif %}"
     "{% for part in turn['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
     "{% if turn['role'] == 'assistant' %}"
     "{% for part in turn['content'] | selectattr('type', 'eq', 'text') %}"
     "{% generation %}{{ part['text'] + eos_token }}{% endgeneration %}{% endfor %}"
     "{% else %}{% for part in turn['content'] | rejectattr('type', '==', 'image') %}"
     "{{ part['text'] + ' ' }}{% endfor %}{% endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}",
     "", "</s>", False, "parts parts parts", "sua", "</s>"),
    ("parts in their order", "other",
     """{{ bos_token }}{% for turn in messages %}
{{ turn.role | capitalize }}{% if turn.content[0].type == 'image' %}
:{% else %}
: {% endif %}
    {%- for part in turn['content'] -%}
        {%- if part.type == 'text' -%}
            {{ part.text }}
        {%- elif part['type'] == 'image' -%}
            {{ '<image>' }}
        {%- endif -%}
    {%- endfor -%}
<end>
{% endfor %}
{% if add_generation_prompt %}
{{ 'Assistant:' }}{% endif %}""", " ", "<end>", False, "parts parts parts", "sua", ""),
    ("parts or text", "chatml",
     """{%- set seen = namespace(count=0) %}
{%- for turn in messages %}
    {{- '<|im_start|>' + turn.role + '\\n' }}
    {%- if turn.content is string %}
        {{- turn.content }}
    {%- else %}
        {%- for part in turn.content %}
            {%- if part.type == 'image' or 'image' in part or 'image_url' in part %}
                {%- set seen.count = seen.count + 1 %}
                {{- 'Image ' ~ seen.count ~ ': <image>' }}
            {%- elif 'text' in part %}
                {{- part.text }}
            {%- endif %}
            {%- if not loop.last %}{{ '|' }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
     "", "<|im_end|>", False, "both both both", "sua", "|"),
    ("parts of users alone", "mistral",
     """{%- if messages[0]["role"] == "system" %}
    {%- set first = messages[0]["content"] + "\\n" %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set first = "" %}
    {%- set rest = messages %}
{%- endif %}
{{- bos_token }}
{%- for turn in rest %}
    {%- if turn.role == "user" %}
        {{- "[INST]" + (first if loop.first else "") }}
        {%- if turn.content is not string and turn.content is iterable %}
            {%- set pictures = turn.content | selectattr("type", "equalto", "image") | list %}
            {%- set words = turn.content | selectattr("type", "equalto", "text") | map(attribute="text") %}
            {%- if pictures | length > 0 %}
                {{- pictures | length ~ " images:" }}
            {%- endif %}
            {%- for picture in pictures %}{{ "<image>" }}{% endfor %}
            {{- words | join("/") }}
        {%- else %}
            {{- turn.content | trim }}
        {%- endif %}
        {{- "[/INST]" }}
    {%- elif turn.role == "assistant" %}
        {{- turn.content + eos_token }}
    {%- else %}
        {{- raise_exception("users and assistants") }}
    {%- endif %}
{%- endfor %}""", "", "</s>", False, "text both text", "u", None),
    ("parts but of the system", "other",
     "{% for turn in messages %}{% if turn.role == 'system' %}{{ '# ' + turn.content + '\n' }}"
     "{% else %}{{ '@' + turn.role }}{% for part in turn.content if part.type == 'image' %}{{ ' <image>' }}"
     "{% endfor %}{{ ': ' + (turn.content | selectattr('type', 'ne', 'image') | map(attribute='text')"
     " | map('trim') | join(' + ')) + '\n' }}{% endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ '@assistant: ' }}{% endif %}",
     "", "", True, "text parts parts", "ua", " + "),
    ("parts without images", "other",
     "{% for turn in messages %}{% if turn.content is string %}{% set said = turn.content %}{% else %}"
     "{% set said = turn.content | selectattr('text', 'defined') | map(attribute='text') | join('&') %}"
     "{% endif %}{{ turn.role + '=' + said + ';' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ 'assistant=' }}{% endif %}",
     "", ";", False, "both both both", "", "&"),
    ("parts alone, without images", "other",
     "{% for turn in messages %}{{ turn.role + '=' }}{% for part in turn.content %}"
     "{% if part.type == 'text' %}{{ '(' ~ part.text ~ ')' }}{% endif %}{% endfor %}{{ ';' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ 'assistant=' }}{% endif %}",
     "(", ");", False, "parts parts parts", "", ")("),
    ("what one goes over", "other",
     "{% for m in messages %}{% if m.content | selectattr('type') %}{{ 'always ' }}{% endif %}"
     "{% for c in m.content %}{% if c is string %}{{ c ~ '.' }}{% else %}{% for k in c %}{{ k }}{% endfor %}"
     "{{ c.text | list | join('-') }}{% if 'text' in (c | map('upper') | list) or c.text is undefined %}"
     "{{ '?' }}{% endif %}{% endif %}{% endfor %}"
     "{{ m.content[0].type }}{{ (m.role | last) ~ (m.role | first) ~ m.role[-2] ~ m.role[9] }}\n{% endfor %}",
     None, None, False, "both both both", "", ""),
    ("white space", "other",
     "  {%- for m in messages if m.role != 'system' -%}  \n [{{ loop.index }}/{{ loop.length }}]\n"
     "   {% if not loop.last %}\n\t{{ m.role|upper }}:{{ m['content']|length }}\n   {%+ endif %}\n"
     "{# gone #}\n  {{ 'x' if loop.first else 'y' ~ loop.index0 }}"
     "{%- if m.content == 'Stop' %}{% break %}{% endif %}\n{% endfor -%}\n \n", None, None, False),
]
TALKS = [
    [("user", "Hello")],
    [("system", "Be brief."), ("user", "Hello there")],
    [("user", "What is 2+2?"), ("assistant", "4")],
    [("system", "  Be kind.\n"), ("user", " First "), ("assistant", "  One answer \n"), ("user", "Second\n"),
     ("assistant", "Another <b>answer</b>")],
    [("user", "a"), ("user", "b")],
    [("user", "Größe? 日本語 🙂"), ("assistant", "Ja. \\n isn't a break\n\n- list"), ("user", "Stop"),
     ("assistant", "Stop"), ("user", "a")],
    [("user", ""), ("assistant", ""), ("user", "u")],
    [("user", "<|im_end|>{{ 1 }}{% if %}"), ("assistant", "{{ x }}"), ("system", "late"), ("user", "z")],
    [("assistant", "I begin."), ("user", "Fine")],
]
IMAGE = {"type": "image"}


def text(s):
    return {"type": "text", "text": s}


# conversations with parts, and whether "<image>" in a string is one
TALKS_OF_PARTS = [
    ([("user", [IMAGE, text("What is it?")])], True),
    ([("system", [text("Be brief.")]), ("user", [text("Compare "), IMAGE, text(" with "), IMAGE]),
      ("assistant", [text("A hat. ")]), ("user", [text("Sure?")]), ("assistant", "Yes")], True),
    ([("user", "Look: <image> and <image>!"), ("assistant", "Two."), ("user", "Größe?")], True),
    ([("user", [text("one"), text(" two")]), ("assistant", [text("x"), text("yes y")]), ("user", [text("")])],
     False),
    ([("user", "what does <image> mean?"), ("assistant", "a mark: <image>"), ("user", [text("<image>")])],
     False),
    ([("system", "See."), ("user", [IMAGE, IMAGE, text("Which <b>?")]), ("assistant", [text("日本")])],
     True),
    ([("assistant", [text("I "), text("begin.")]), ("user", [text("Fine")])], False),
]


def pieces(s):
    out = [text(s)] if s else []
    if "<image>" in s:
        out = [p for t in s.split("<image>") for p in (IMAGE, *([text(t)] if t else []))][1:]
    return out or [text("")]


def handed(content, reads, drawn, pictures):
    """A content as a template gets it from us: as it is, but where that would not show."""
    given = content
    if isinstance(content, list) and reads == "text":
        content = "".join(p.get("text", "<image>") for p in content)
    elif isinstance(content, str) and reads == "parts":
        content = pieces(content) if pictures else [text(content)]
    if isinstance(content, list) and IMAGE in content and not drawn:
        content = given if isinstance(given, str) else "".join(p.get("text", "<image>") for p in given)
        content = [text(content)] if reads == "parts" else content
    return content


def render(template, talk, pictures, reads, drawn, generate):
    reads = dict(zip(("system", "user", "assistant"), reads.split()))
    messages = [{"role": r, "content": handed(c, reads[r], r[0] in drawn, pictures)} for r, c in talk]
    try:
        out, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=generate,
                                       bos_token="<s>", eos_token="</s>")
        return out[0]
    except Exception as e:
        print(repr(e)[:100], file=sys.stderr)
        return None


def says(talk, before, after, strip, glue):
    if before is None:
        return None
    said = []
    for i, (role, c) in enumerate(talk):
        parts = [p.get("text", "") for p in c] if isinstance(c, list) else [c]
        parts = ["".join(parts)] if glue is None else parts
        if role == "assistant":  # nothing stands before a first message
            own = (glue or "").join(t.strip() if strip else t for t in parts)
            said.append((before if i else "") + own + after)
    return said


def row(name, family, template, before, after, strip, reads="text text text", drawn="", glue=None):
    cases = []
    for talk, pictures in [*((t, None) for t in TALKS), *TALKS_OF_PARTS]:
        how = (template, talk, pictures, reads, drawn)
        case = {"talk": [list(m) for m in talk], "pictures": pictures, "plain": render(*how, False),
                "generate": render(*how, True), "says": says(talk, before, after, strip, glue)}
        cases.append({k: v for k, v in case.items() if k != "pictures" or v is not None})
    return {"name": name, "family": family, "template": template, "cases": cases}


out, files = sys.argv[1], sys.argv[2:]
templates = [(p, None, open(p, newline="").read(), None, None, False) for p in files] or TEMPLATES
rows = [row(*t) for t in templates]
with open(out, "w") as f:
    json.dump(rows, f, ensure_ascii=False, indent=0)
    f.write("\n")

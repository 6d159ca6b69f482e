# SPDX-License-Identifier: Apache-2.0
# Writes chat.json: templates in the manner of each family, conversations, and what transformers renders.
# usage: make_chat.py OUT [TEMPLATE.jinja …]     (transformers 5; with files: those instead of the ones here)
# A rendering is null where the template refuses. "says" are the texts of the spans: what the assistant is to
# say, its end mark included, written here by hand for each family and not by rendering prefixes.
import json
import sys

from transformers.utils.chat_template_utils import render_jinja_template

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('turns must go user, assistant, user') }}{% endif %}")
# name, family, template, what stands before and behind an answer, is the answer stripped
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


def render(template, talk, generate):
    messages = [{"role": r, "content": c} for r, c in talk]
    try:
        out, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=generate,
                                       bos_token="<s>", eos_token="</s>")
        return out[0]
    except Exception as e:
        print(repr(e)[:100], file=sys.stderr)
        return None


def says(talk, before, after, strip):
    if before is None:
        return None
    return [before + (c.strip() if strip else c) + after for r, c in talk if r == "assistant"]


out, files = sys.argv[1], sys.argv[2:]
templates = [(p, None, open(p, newline="").read(), None, None, False) for p in files] or TEMPLATES
rows = [{"name": name, "family": family, "template": t,
         "cases": [{"talk": [list(m) for m in talk], "plain": render(t, talk, False),
                    "generate": render(t, talk, True), "says": says(talk, before, after, strip)}
                   for talk in TALKS]}
        for name, family, t, before, after, strip in templates]
with open(out, "w") as f:
    json.dump(rows, f, ensure_ascii=False, indent=0)
    f.write("\n")

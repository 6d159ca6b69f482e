#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes vlm/chat.json: conversations with images as the processors of the tiny models in vlm/ render and
# expand them, once a chat template lies beside them. Needs transformers, Pillow, torch.
# usage: make_vlm_chat.py      (tests/golden_vlm.c reads it)
"""
A list of {"model", "template", "messages", "images", "ids", "prompt"}. messages: as a data file has them,
images by the names of the model's pictures, in the order of their parts; ids: all of the conversation, the
image token where rows of images stand; prompt: how many there are before the last answer.
"""
import json
import os

from PIL import Image
from transformers import AutoProcessor

HERE = os.path.dirname(os.path.abspath(__file__)) + '/vlm'
# content in parts, images where they stand, an end mark after each turn: as the SmolVLM models have it
PARTS = """<s>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}\
{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}\
{% elif line['type'] == 'image' %}<image>{% endif %}{% endfor %}</s>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""
# images first, then what is said, each turn's end by its role: as the LLaVA models have it
FIRST = """{% for message in messages %}\
{% if message['role'] != 'system' %}{{ message['role'] + ': ' }}{% endif %}\
{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}\
{% endfor %}\
{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}\
{{ content['text'] + ' ' }}{% endfor %}\
{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"""
A, B = ({'type': 'image', 'path': name} for name in ('a.png', 'b.png'))


def text(s):
    return {'type': 'text', 'text': s}


ONE = [('user', [A, text('is it red?')]), ('assistant', [text('no.')])]
TWO = [('system', [text('be brief.')]), ('user', [text('see '), B, text(' and '), A, text('!')]),
       ('assistant', [text('seen.')]), ('user', [text('the hat?')]), ('assistant', [text('in the first')])]
CASES = [('smolvlm', PARTS, ONE), ('smolvlm', PARTS, TWO), ('idefics3_tiles', PARTS, TWO),
         ('llava_clip', FIRST, ONE), ('llava_clip', PARTS, ONE), ('llava_siglip', FIRST, TWO),
         ('llava_tied', FIRST, TWO)]


def make(model, template, talk):
    p = AutoProcessor.from_pretrained(f'{HERE}/{model}', backend='pil')
    messages = [dict(role=r, content=c) for r, c in talk]
    files = [part['path'] for m in messages for part in m['content'] if part['type'] == 'image']
    images = [Image.open(f'{HERE}/{model}/{f}').convert('RGB') for f in files]

    def ids(messages, **more):
        said = p.apply_chat_template(messages, chat_template=template, tokenize=False, **more)
        return p(images=images, text=[said], add_special_tokens='<s>' not in said)['input_ids'][0]

    whole, before = ids(messages), ids(messages[:-1], add_generation_prompt=True)
    assert list(whole[:len(before)]) == list(before), 'a token crosses the border'
    return dict(model=model, template=template, messages=messages, images=files,
                ids=[int(i) for i in whole], prompt=len(before))


with open(f'{HERE}/chat.json', 'w') as f:
    f.write('[\n' + ',\n'.join(json.dumps(make(*c)) for c in CASES) + '\n]\n')

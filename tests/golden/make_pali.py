#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes vlm/pali_*.answers.safetensors: what torch says of a tower and an encoder-decoder of this folder glued
# together as PaLI is, rows of images and embeddings of text into the encoder, where transformers has no such
# model. Keys are make_vlm.py's, but "i.source" for what the encoder reads, with -1 for rows of images,
# "i.ids" for the decoder's targets, and "connector.k" for the connector's numbers. Needs torch, transformers,
# safetensors, Pillow.
# usage: make_pali.py [FOLDER]      (into vlm beside this file by default; tests/golden_vlm.c reads it)
import json
import os
import sys

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (SiglipVisionModel, T5ForConditionalGeneration, ViTImageProcessorPil, ViTModel)
from transformers.modeling_outputs import BaseModelOutput

HERE = os.path.dirname(os.path.abspath(__file__))
RANK, SCALE, NEW, BEAMS = 3, 0.7, 12, 4
# name: tower, its class, encoder-decoder, shuffle, hidden of the connector's two products, or 0: one
CASES = {'pali_linear': ('vit', ViTModel, 't5_gated', 2, 0),
         'pali_mlp2': ('siglip_bare', SiglipVisionModel, 't5_relu', 1, 20)}


def letters(text):
    """The tokenizers beside these models have a letter for each id."""
    return [ord(c) - 33 for c in text]


class Pali:
    def __init__(self, tower, kind, text, shuffle, hidden, g):
        self.tower = kind.from_pretrained(f'{HERE}/{tower}', attn_implementation='eager').eval()
        self.text = T5ForConditionalGeneration.from_pretrained(f'{HERE}/{text}').eval().requires_grad_(False)
        with open(f'{HERE}/{tower}/preprocessor_config.json') as f:
            self.pixels = ViTImageProcessorPil(**json.load(f))
        self.skip, self.shuffle = int(kind is ViTModel), shuffle
        n, d = self.tower.config.hidden_size * shuffle**2, self.text.config.d_model
        sizes = [(n, hidden), (hidden,), (hidden, d), (d,)] if hidden else [(n, d), (d,)]
        self.connector = [torch.randn(s, generator=g) * 0.2 for s in sizes]

    def rows(self, files):
        out = [torch.zeros(0, self.text.config.d_model)]
        for file in files:
            x = self.pixels(Image.open(file).convert('RGB'), return_tensors='pt')['pixel_values']
            e = self.tower(x).last_hidden_state[0, self.skip:]
            side, s = int(len(e)**0.5), self.shuffle
            e = e.reshape(side // s, s, side // s, s, -1).permute(0, 2, 1, 3, 4).reshape((side // s)**2, -1)
            e = e @ self.connector[0] + self.connector[1]
            if len(self.connector) > 2:
                e = torch.nn.functional.gelu(e) @ self.connector[2] + self.connector[3]
            out.append(e)
        return torch.cat(out).detach()

    def encode(self, source, images, adapters):
        here = source < 0
        parts = [self.text.shared(torch.where(here, 0, source)).detach(), images]
        for i, name in enumerate(('text', 'image')):
            if name in adapters:
                down, up = adapters[name]
                parts[i] = parts[i] + SCALE * (parts[i] @ down) @ up
        e = parts[0].masked_scatter(here[:, None], parts[1]) if len(images) else parts[0]
        return self.text.encoder(inputs_embeds=e[None])

    def logits(self, memory, target):
        start = torch.tensor([self.text.config.decoder_start_token_id])
        inputs = torch.cat([start, target[:-1]])[None]
        return self.text(encoder_outputs=memory, decoder_input_ids=inputs).logits[0]

    def say(self, memory, beams):
        n = memory.last_hidden_state.shape[1]
        return self.text.generate(encoder_outputs=BaseModelOutput(last_hidden_state=memory.last_hidden_state),
                                  attention_mask=torch.ones(1, n).long(), num_beams=beams, do_sample=False,
                                  max_new_tokens=NEW, use_cache=False)[0, 1:]


def answers(case, rows, folder, seed):
    g = torch.Generator().manual_seed(seed)
    p = Pali(*case, g)
    d, out, total, targets = p.text.config.d_model, {}, 0, 0
    sizes = (d, RANK), (RANK, d)
    adapters = {name: tuple((torch.randn(s, generator=g) * 0.3).requires_grad_() for s in sizes)
                for name in ('text', 'image')}
    for i, row in enumerate(rows):
        files = [f'{folder}/{f}' for f in row.get('images', [row['image']] if 'image' in row else [])]
        images = p.rows(files)
        text = row['prompt'] if '<image>' in row['prompt'] else '<image>' * len(files) + row['prompt']
        each, source = len(images) // max(1, len(files)), []
        for k, part in enumerate(text.split('<image>')):
            source += [-1] * (each if k else 0) + letters(part)
        source, target = torch.tensor([*source, 1]), torch.tensor([*letters(row['completion']), 1])
        with torch.no_grad():
            plain, adapted = p.encode(source, images, {}), p.encode(source, images, adapters)
            out |= {f'{i}.source': source.int(), f'{i}.ids': target.int(),
                    f'{i}.logits': p.logits(plain, target), f'{i}.greedy': p.say(plain, 1).int(),
                    f'{i}.beam': p.say(plain, BEAMS).int(), f'{i}.adapted': p.say(adapted, 1).int()}
        if len(images):
            out[f'{i}.images'] = images
        logits = p.logits(p.encode(source, images, adapters), target)
        total = total + torch.nn.functional.cross_entropy(logits, target, reduction='sum')
        targets += len(target)
        print(' ', row['prompt'], *(out[f'{i}.{k}'].tolist() for k in ('greedy', 'beam', 'adapted')))
    (total / targets).backward()
    out |= dict(scale=torch.tensor([SCALE]), loss=(total / targets).detach()[None])
    out |= {f'connector.{i}': t for i, t in enumerate(p.connector)}
    for name, pair in adapters.items():
        for which, t in zip(('down', 'up'), pair):
            out |= {f'{name}.{which}': t.detach(), f'{name}.{which}.grad': t.grad}
    return {k: v.contiguous().clone() for k, v in out.items()}


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else f'{HERE}/vlm'
    torch.set_num_threads(1)
    with open(f'{HERE}/vlm/pali.jsonl') as f:
        rows = [json.loads(line) for line in f]
    for seed, (name, case) in enumerate(CASES.items()):
        print(name)
        save_file(answers(case, rows, f'{HERE}/vlm', seed), f'{root}/{name}.answers.safetensors')


if __name__ == '__main__':
    main()

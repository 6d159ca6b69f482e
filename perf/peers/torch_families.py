#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# torch and transformers at the tasks of families.sh: one JSON line {"median", "best", "peak_mib"}, tokens or
# images a second. t5: AdaLink on the encoder's embeddings in f32, U = 0, the loss on every target token,
# forward, backward and optimizer; source and target tokens count. images: random pixels of the tower's own
# size to features. Must not know: our engine. Threads and allocator are the caller's.
import argparse
import json
import os
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from adalink_torch import AdaLink
from transformers import AutoModel, AutoModelForSeq2SeqLM

p = argparse.ArgumentParser()
p.add_argument('task', choices=['t5', 'images'])
p.add_argument('--model', required=True, help='HF folder')
p.add_argument('--dtype', default='float32')
p.add_argument('--rows', type=int, default=4)
p.add_argument('--source', type=int, default=512)
p.add_argument('--target', type=int, default=64)
p.add_argument('--images', type=int, default=16)
p.add_argument('--size', type=int, default=0, help="the images' side; 0: what the tower was trained on")
p.add_argument('--repeat', type=int, default=3)
a = p.parse_args()
torch.manual_seed(0)
torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '2')))
dtype = getattr(torch, a.dtype)


def t5():
    model = AutoModelForSeq2SeqLM.from_pretrained(a.model, dtype=dtype).requires_grad_(False)
    adapter = AdaLink(model.get_input_embeddings().weight)
    ids = torch.randint(model.config.vocab_size, (a.rows, a.source))
    labels = torch.randint(model.config.vocab_size, (a.rows, a.target))

    def step():
        out = model(inputs_embeds=adapter.embed(ids), decoder_input_ids=model._shift_right(labels),
                    use_cache=False)
        adapter.learn(F.cross_entropy(out.logits.flatten(0, 1).float(), labels.flatten()))
        return a.rows * (a.source + a.target)

    return step


def images():
    model = AutoModel.from_pretrained(a.model, dtype=dtype).eval()
    size = a.size or model.config.image_size
    h, w = size if isinstance(size, (list, tuple)) else (size, size)
    pixels = torch.rand(a.images, 3, h, w).to(dtype)

    @torch.inference_mode()
    def step():
        model(pixel_values=pixels)
        return a.images

    return step


step = {'t5': t5, 'images': images}[a.task]()
speed = []
for i in range(a.repeat + 1):
    begun = time.perf_counter()
    n = step()
    if i:
        speed.append(n / (time.perf_counter() - begun))
print(json.dumps({'median': round(statistics.median(speed), 2), 'best': round(max(speed), 2),
                  'peak_mib': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))

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
from transformers import AutoModel, AutoModelForSeq2SeqLM

p = argparse.ArgumentParser()
p.add_argument('task', choices=['t5', 'images'])
p.add_argument('--model', required=True, help='HF folder')
p.add_argument('--dtype', default='float32')
p.add_argument('--rows', type=int, default=4)
p.add_argument('--source', type=int, default=512)
p.add_argument('--target', type=int, default=64)
p.add_argument('--images', type=int, default=16)
p.add_argument('--repeat', type=int, default=3)
a = p.parse_args()
torch.manual_seed(0)
torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '2')))
dtype = getattr(torch, a.dtype)


def t5():
    model = AutoModelForSeq2SeqLM.from_pretrained(a.model, dtype=dtype).requires_grad_(False)
    table, d = model.get_input_embeddings().weight, model.config.d_model
    down = torch.nn.Parameter(torch.randn(d, 64) * d ** -0.5)
    up = torch.nn.Parameter(torch.zeros(64, d))
    optimizer = torch.optim.AdamW([down, up], lr=1e-3, weight_decay=0.0, fused=True)
    ids = torch.randint(model.config.vocab_size, (a.rows, a.source))
    labels = torch.randint(model.config.vocab_size, (a.rows, a.target))

    def step():
        e = F.embedding(ids, table).float()
        out = model(inputs_embeds=(e + e @ down @ up).to(dtype), decoder_input_ids=model._shift_right(labels),
                    use_cache=False)
        F.cross_entropy(out.logits.flatten(0, 1).float(), labels.flatten()).backward()
        torch.nn.utils.clip_grad_norm_([down, up], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return a.rows * (a.source + a.target)

    return step


def images():
    model = AutoModel.from_pretrained(a.model, dtype=dtype).eval()
    size = model.config.image_size
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

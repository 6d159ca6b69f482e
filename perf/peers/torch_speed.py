#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# torch and transformers at the tasks of `adalink bench`: one JSON line {"tok_s": median, "best",
# "peak_mib"}. Owns: the peer's side of perf/peers.sh. AdaLink is put on the token embeddings in f32, U = 0;
# the backbone is in --dtype. train: rows of --row tokens of the rows' text, loss on every token. rows: the
# JSONL rows packed without padding (block-diagonal by position ids), loss on the completion alone, the head
# on those positions alone; tokens count prompt and completion. prefill: logits of the last position.
# decode: greedy with a cache. Must not know: our engine. Threads and allocator are the caller's
# (OMP_NUM_THREADS, LD_PRELOAD).
import argparse
import json
import os
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from adalink_torch import AdaLink
from transformers import AutoModelForCausalLM, AutoTokenizer

p = argparse.ArgumentParser()
p.add_argument('task', choices=['train', 'rows', 'prefill', 'decode'])
p.add_argument('--model', required=True, help='HF folder')
p.add_argument('--data', required=True, help='JSONL rows: text for the shapes, rows to learn')
p.add_argument('--dtype', default='float32')
p.add_argument('--tokens', type=int, default=512)
p.add_argument('--row', type=int, default=512)
p.add_argument('--batch', type=int, default=16)
p.add_argument('--repeat', type=int, default=3)
a = p.parse_args()
torch.manual_seed(0)
torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '2')))
tok = AutoTokenizer.from_pretrained(a.model)
model = AutoModelForCausalLM.from_pretrained(a.model, dtype=getattr(torch, a.dtype),
                                             attn_implementation='sdpa')
model.requires_grad_(False)
rows = [json.loads(line) for line in open(a.data, encoding='utf-8')]
encode = lambda s: tok(s, add_special_tokens=False).input_ids
stream = torch.tensor(encode(' '.join(r['prompt'] for r in rows[:4000])))
adapter = AdaLink(model.get_input_embeddings().weight)


def train(i):
    n = a.tokens
    at = i * (n + 1) % (len(stream) - n - 1)
    ids, target = stream[at:at + n].view(-1, a.row), stream[at + 1:at + n + 1]
    h = model.model(inputs_embeds=adapter.embed(ids), use_cache=False).last_hidden_state
    adapter.learn(F.cross_entropy(model.lm_head(h).flatten(0, 1).float(), target))
    return n


def labelled(i):
    ids, pos, at, target = [], [], [], []
    for r in rows[i * a.batch:(i + 1) * a.batch]:
        q, c = encode(r['prompt']), encode(r['completion'])
        at += range(len(ids) + len(q) - 1, len(ids) + len(q) + len(c) - 1)
        target += c
        pos += range(len(q) + len(c))
        ids += q + c
    h = model.model(inputs_embeds=adapter.embed(torch.tensor([ids])), position_ids=torch.tensor([pos]),
                    use_cache=False).last_hidden_state[0, at]
    adapter.learn(F.cross_entropy(model.lm_head(h).float(), torch.tensor(target)))
    return len(ids)


@torch.inference_mode()
def prefill(i):
    ids = stream[i * a.tokens:(i + 1) * a.tokens].view(1, -1)
    model(input_ids=ids, use_cache=False, logits_to_keep=1).logits.argmax(-1)
    return a.tokens


@torch.inference_mode()
def decode(_):
    out = model(input_ids=stream[:1].view(1, -1), use_cache=True)
    begun = time.perf_counter()
    for _ in range(a.tokens):
        out = model(input_ids=out.logits[:, -1:].argmax(-1), past_key_values=out.past_key_values,
                    use_cache=True)
    decode.seconds = time.perf_counter() - begun
    return a.tokens


task = {'train': train, 'rows': labelled, 'prefill': prefill, 'decode': decode}[a.task]
speed = []
for i in range(a.repeat + 1):
    begun = time.perf_counter()
    n = task(i)
    seconds = getattr(task, 'seconds', time.perf_counter() - begun)
    if i:
        speed.append(n / seconds)
print(json.dumps({'tok_s': round(statistics.median(speed), 1), 'best': round(max(speed), 1),
                  'peak_mib': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))

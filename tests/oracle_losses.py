#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Training in float32 against torch, step by step: from the same adapter, with the same rows in the file's
# order, the losses of the first 20 steps must agree within 1e-4 relative. Training makes any rounding grow,
# so that the reference is torch in float64 (where its norms and softmax stay float32), and torch's float32 is
# told beside. They start from an adapter this engine wrote after a step of START_LR: 1e-12 leaves U at 1e-12,
# so it is a new one. WARMUP is the recipe's 6 % of 93 steps: after a first step of the full rate the losses
# jump. At ten times the default rate torch's own float32 is 5e-3 from its float64 after 20 steps.
# MODEL must hold the folder's float32 values: the folder itself does. Needs torch, transformers, h5py, numpy.
# usage: oracle_losses.py ADALINK MODEL HF_FOLDER ROWS.jsonl [--steps N] [--batch N] [--warmup N] [--lr X]
#        [--start-lr X] [--threads N] [--bar X]
import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import torch

from oracle_common import adalink, attach, load_torch, pad, read_adapter, read_rows, write_rows


def example(tokenizer, r):
    prompt = tokenizer(r['prompt']).input_ids
    return prompt + tokenizer(r['completion'], add_special_tokens=False).input_ids, len(prompt)


def torch_losses(o, rows, adapter, dtype):
    tokenizer, model = load_torch(o.folder, dtype)
    weights, attrs = read_adapter(adapter)
    params = attach(model, weights, float(attrs['scale']))

    def rate(step):
        if step < o.warmup:
            return (step + 1) / o.warmup
        return 0.5 * (1 + math.cos(math.pi * (step - o.warmup) / max(1, o.steps - o.warmup)))

    optimizer = torch.optim.AdamW(params, lr=o.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    losses = []
    for step in range(o.steps):
        part = [example(tokenizer, r) for r in rows[step * o.batch:(step + 1) * o.batch]]
        hidden = model.model(input_ids=pad([ids for ids, _ in part]), use_cache=False).last_hidden_state
        goals = torch.cat([h[n - 1:len(ids) - 1] for h, (ids, n) in zip(hidden, part)])
        wanted = torch.tensor([t for ids, n in part for t in ids[n:]])
        loss = torch.nn.functional.cross_entropy(model.lm_head(goals), wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return losses


def main():
    p = argparse.ArgumentParser()
    for name in ('adalink', 'model', 'folder', 'data'):
        p.add_argument(name)
    p.add_argument('--steps', type=int, default=20)
    p.add_argument('--batch', type=int, default=16)
    p.add_argument('--warmup', type=int, default=6)
    p.add_argument('--lr', type=float, default=3e-4)
    p.add_argument('--start-lr', type=float, default=1e-12)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--bar', type=float, default=1e-4)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    rows = read_rows(o.data, o.steps * o.batch)
    with tempfile.TemporaryDirectory() as folder:
        data, start, run = (Path(folder, x) for x in ('rows.jsonl', 'start', 'run'))
        write_rows(data, rows)
        common = ['-m', o.model, '-d', data, '--dtype', 'f32', '--batch', o.batch, '--no-shuffle',
                  '--threads', o.threads, '-q']
        adalink(o.adalink, 'train', *common, '-o', start, '--steps', 1, '--lr', o.start_lr)
        adalink(o.adalink, 'train', *common, '-o', run, '-a', start / 'adapter.h5', '--steps', o.steps,
                '--lr', o.lr, '--warmup', o.warmup)
        ours = [json.loads(x)['loss'] for x in (run / 'metrics.jsonl').read_text().splitlines()]
        truth, single = (torch_losses(o, rows, start / 'adapter.h5', t)
                         for t in (torch.float64, torch.float32))
    far, theirs, apart = ([abs(a - b) / abs(b) for a, b in zip(x, y)]
                          for x, y in ((ours, truth), (single, truth), (ours, single)))
    good = len(far) == o.steps and max(far) <= o.bar
    for who, x in (('ours', far), ('torch f32', theirs)):
        print(f'{who} from torch f64, step by step:', ' '.join(f'{v:.0e}' for v in x), file=sys.stderr)
    print(f'{"pass" if good else "fail"}: first {len(far)} f32 losses, largest relative difference from '
          f'torch f64 {max(far):.2e} (bar {o.bar:g}); torch f32 from it {max(theirs):.2e}; '
          f'ours from torch f32 {max(apart):.2e}; {ours[0]:.6f} ... {ours[-1]:.6f}, '
          f'torch f64 {truth[0]:.6f} ... {truth[-1]:.6f}')
    sys.exit(int(not good))


if __name__ == '__main__':
    main()

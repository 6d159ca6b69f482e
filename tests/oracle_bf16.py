#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Log-likelihoods of choices in bf16: how far this engine is from transformers in float32, and how far
# transformers' own bf16 is. Ours must not be further away, by the mean and by the largest difference over the
# same rows and choices. Torch's bf16 is slow on a CPU without such instructions: --torch-rows takes fewer
# rows there, and both are then compared on those; ours is also told over all rows. Needs torch, transformers,
# h5py, numpy.
# usage: oracle_bf16.py ADALINK MODEL HF_FOLDER ROWS.jsonl [--rows N] [--torch-rows N] [--threads N]
# MODEL: what the command opens, of the same weights as HF_FOLDER.
import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from oracle_common import adalink, load_torch, pad, read_rows, write_rows

BATCH = 16


@torch.inference_mode()
def transformers_loglik(folder, dtype, rows):
    """[rows, choices], the sum over a choice's tokens, each encoded on its own."""
    tokenizer, model = load_torch(folder, dtype)
    inputs, goals = {}, []  # what the model reads, each once; where each choice's tokens stand in it
    for r in rows:
        prompt = tokenizer(r['prompt']).input_ids
        for text in r['choices']:
            choice = tokenizer(text, add_special_tokens=False).input_ids
            ids = (*prompt, *choice[:-1])
            goals.append((inputs.setdefault(ids, len(inputs)), len(prompt) - 1, choice))
    order, states = sorted(inputs, key=len), {}
    for at in range(0, len(order), BATCH):
        part = order[at:at + BATCH]
        hidden = model.model(input_ids=pad([list(x) for x in part]), use_cache=False).last_hidden_state
        states |= {inputs[ids]: h for ids, h in zip(part, hidden)}
    out = np.zeros(len(goals))
    for i, (owner, first, choice) in enumerate(goals):
        logp = model.lm_head(states[owner][first:first + len(choice)]).float().log_softmax(-1)
        out[i] = sum(float(logp[k, t]) for k, t in enumerate(choice))
    return out.reshape(len(rows), -1)


def main():
    p = argparse.ArgumentParser()
    for name in ('adalink', 'model', 'folder', 'data'):
        p.add_argument(name)
    p.add_argument('--rows', type=int, default=200)
    p.add_argument('--torch-rows', type=int)
    p.add_argument('--threads', type=int, default=2)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    rows = read_rows(o.data, o.rows)
    few = min(o.torch_rows or len(rows), len(rows))
    with tempfile.TemporaryDirectory() as folder:
        data, told = Path(folder, 'rows.jsonl'), Path(folder, 'told.jsonl')
        write_rows(data, rows)
        adalink(o.adalink, 'eval', '-m', o.model, '-d', data, '--predictions', told, '--dtype', 'bf16',
                '--threads', o.threads, '-q')
        ours = np.array([r['loglik'] for r in read_rows(told)])
    truth = transformers_loglik(o.folder, torch.float32, rows)
    theirs = transformers_loglik(o.folder, torch.bfloat16, rows[:few])
    a, b = np.abs(ours - truth), np.abs(theirs - truth[:few])
    good = a[:few].mean() <= b.mean() and a[:few].max() <= b.max()
    print(f'{"pass" if good else "fail"}: |d| of log-likelihoods from transformers float32, mean and max: '
          f'ours {a[:few].mean():.4f} {a[:few].max():.4f}, transformers bf16 {b.mean():.4f} {b.max():.4f} '
          f'({few} rows); ours over {len(rows)} rows {a.mean():.4f} {a.max():.4f}')
    sys.exit(int(not good))


if __name__ == '__main__':
    main()

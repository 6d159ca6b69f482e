#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Greedy output in float32, token for token, against transformers: COUNT tokens after each of 20 prompts, past
# the end mark. Where they part, the reference's lead of its first choice over its second there is told: a
# lead of the size of rounding is a tie, but counts as a difference all the same. Needs torch, transformers,
# h5py, numpy.
# usage: oracle_greedy.py ADALINK MODEL HF_FOLDER [--count N] [--threads N]
import argparse
import json
import sys

import torch

from oracle_common import adalink, load_torch

PROMPTS = [
    'The river rose fourteen feet in', 'To bake bread, first', 'def fibonacci(n):\n',
    'The capital of France is',
    'Once upon a time there was a', 'Q: What is 12 times 7?\nA:', 'In 1907 the bridge',
    'import numpy as np\n\n',
    'The three laws of motion are', 'Dear Sir or Madam,', '1, 1, 2, 3, 5, 8,', 'A short poem about rain:\n',
    'Water boils at', '# Installing\n\n', 'Der Hund läuft', 'SELECT name FROM users WHERE',
    'The opposite of hot is', 'She opened the door and', 'Photosynthesis is the process by which',
    '<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n',
]


@torch.inference_mode()
def greedy(tokenizer, model, prompt, count):
    """Token ids, and the lead of each over the runner-up."""
    ids, cache, out, lead = torch.tensor([tokenizer(prompt).input_ids]), None, [], []
    for _ in range(count):
        step = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        top = step.logits[0, -1].topk(2)
        out.append(int(top.indices[0]))
        lead.append(float(top.values[0] - top.values[1]))
        ids = top.indices[:1][None]
    return out, lead


def main():
    p = argparse.ArgumentParser()
    for name in ('adalink', 'model', 'folder'):
        p.add_argument(name)
    p.add_argument('--count', type=int, default=64)
    p.add_argument('--threads', type=int, default=2)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    tokenizer, model = load_torch(o.folder, torch.float32)
    same, parted = 0, []
    for prompt in PROMPTS:
        said = json.loads(adalink(o.adalink, 'generate', '-m', o.model, '-p', prompt, '-n', o.count,
                                  '--ignore-eos', '--dtype', 'f32', '--threads', o.threads, '--json', '-q'))
        got = [t['id'] for t in said['tokens']]
        want, lead = greedy(tokenizer, model, prompt, o.count)
        same += got == want
        if got != want:
            at = next((i for i, (x, y) in enumerate(zip(got, want)) if x != y), min(len(got), len(want)))
            parted.append(f'{prompt!r} at token {at}, lead {lead[min(at, len(lead) - 1)]:.2g}')
    print(f'{"fail" if parted else "pass"}: the same {o.count} greedy tokens in f32 on {same} of '
          f'{len(PROMPTS)} prompts' + ''.join(f'; parted: {x}' for x in parted))
    sys.exit(int(bool(parted)))


if __name__ == '__main__':
    main()

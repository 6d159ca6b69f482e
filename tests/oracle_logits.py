#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Logits of a model here against transformers in float32: the largest difference of a row, relative to the
# spread (max - min) of the reference's logits. The bar of f32 is 2e-4. bf16 is told by the median row: a
# token here and there is chaotic in the reference itself (random ids, SmolLM2: noise of 1e-3 on the
# embeddings moves one row 50 times as far as the others). Needs torch, transformers, numpy.
# usage: oracle_logits.py DRIVER HF_FOLDER [--model PATH] [--type f32|bf16] [--rows N] [--length T] [--bar X]
# DRIVER: build/logits_driver. --model: what the driver opens (a .gguf, an .h5); the HF folder by default.
import argparse
import subprocess
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = ("The frozen model is opened once, and what is trained goes into it. In 1907 the river rose 14 "
        "feet; nobody had seen the like, and the bridge (built of oak) was gone by noon.\n\n"
        "def add(a, b):\n    return a + b\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument('driver')
    p.add_argument('folder')
    p.add_argument('--model')
    p.add_argument('--type', default='f32')
    p.add_argument('--rows', type=int, default=3)
    p.add_argument('--length', type=int, default=96)
    p.add_argument('--bar', type=float, default=2e-4)
    o = p.parse_args()
    rng = np.random.default_rng(0)
    tokenizer = AutoTokenizer.from_pretrained(o.folder)
    model = AutoModelForCausalLM.from_pretrained(o.folder, dtype=torch.float32,
                                                 attn_implementation='eager').eval()
    vocab = model.config.vocab_size
    rows = [tokenizer.encode(TEXT)[:o.length]]
    rows += [rng.integers(0, vocab, o.length).tolist() for _ in range(o.rows - 1)]
    done = subprocess.run([o.driver, o.model or o.folder, o.type], stdout=subprocess.PIPE, check=True,
                          input='\n'.join(' '.join(map(str, r)) for r in rows).encode())
    ours = np.frombuffer(done.stdout, np.float32).reshape(-1, vocab)
    at, far, rms, same = 0, [], 0.0, 0
    for r in rows:
        with torch.no_grad():
            want = model(input_ids=torch.tensor([r])).logits[0].numpy()
        got = ours[at:at + len(r)]
        at += len(r)
        far += list(np.abs(got - want).max(1) / (want.max() - want.min()))
        rms = max(rms, np.sqrt(((got - want) ** 2).mean()) / want.std())
        same += (got.argmax(1) == want.argmax(1)).sum()
    print(f'{o.type}: max|d| / (max - min) {max(far):.3g}, of the median row {np.median(far):.3g}, '
          f'rms / std {rms:.3g}, same argmax {same} of {at}')
    sys.exit(int(max(far) > o.bar))


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Features of a vision tower here against transformers in float32, on random pixels, its own size and others:
# the largest difference relative to the spread (max - min) of the reference's. The bar of f32 is 2e-4.
# Needs torch, transformers, numpy.
# usage: oracle_tower.py DRIVER HF_FOLDER [--model PATH] [--type f32|bf16] [--images N] [--sizes HxW,HxW]
#        [--bar X]
# DRIVER: build/tower_driver. --model: what the driver opens (an .h5, a .gguf); the HF folder by default.
import argparse
import inspect
import subprocess
import sys

import numpy as np
import torch
from transformers import AutoModel


def main():
    p = argparse.ArgumentParser()
    p.add_argument('driver')
    p.add_argument('folder')
    p.add_argument('--model')
    p.add_argument('--type', default='f32')
    p.add_argument('--images', type=int, default=2)
    p.add_argument('--sizes')
    p.add_argument('--bar', type=float, default=2e-4)
    o = p.parse_args()
    model = AutoModel.from_pretrained(o.folder, dtype=torch.float32, attn_implementation='eager').eval()
    c = model.config
    h, w = (np.ones(2, int) * c.image_size).tolist()
    sizes = [tuple(map(int, s.split('x'))) for s in o.sizes.split(',')] if o.sizes else [(h, w)]
    flag = 'interpolate_pos_encoding' in inspect.signature(model.forward).parameters
    rng, worst = np.random.default_rng(0), 0.0
    for h, w in sizes:
        x = rng.standard_normal((o.images, c.num_channels, h, w)).astype(np.float32)
        with torch.no_grad():
            y = model(torch.tensor(x), output_hidden_states=True,
                      **(dict(interpolate_pos_encoding=True) if flag else {}))
        for layer, want in ((0, y.last_hidden_state), (-2, y.hidden_states[-2])):
            want = want.numpy()
            args = [o.driver, o.model or o.folder, o.type, layer, o.images, h, w]
            done = subprocess.run([str(a) for a in args], input=x.tobytes(), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=True)
            got = np.frombuffer(done.stdout, np.float32).reshape(want.shape)
            off = np.abs(got - want).max() / (want.max() - want.min())
            worst = max(worst, off)
            told = done.stderr.decode().strip()
            print(f'{h}x{w}, layer {layer or "last"}: {off:.3g} of the spread; {told}')
    print(f'{"pass" if worst <= o.bar else "fail"}: {o.type} is off by {worst:.3g}, allowed {o.bar:.3g}')
    sys.exit(int(worst > o.bar))


if __name__ == '__main__':
    main()

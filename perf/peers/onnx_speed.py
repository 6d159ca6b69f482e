#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# onnxruntime on a vision tower's own file: onnx_speed.py FILE.onnx: one JSON line {"median", "best"}, images
# a second, of the faster of one batch and of single images. Owns: the peer's side of families.sh.
import argparse
import json
import os
import statistics
import time

import numpy
import onnxruntime

p = argparse.ArgumentParser()
p.add_argument('file')
p.add_argument('--images', type=int, default=16)
p.add_argument('--size', type=int, default=224, help="the images' side, where the file leaves it open")
p.add_argument('--repeat', type=int, default=3)
a = p.parse_args()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get('OMP_NUM_THREADS', '2'))
session = onnxruntime.InferenceSession(a.file, options, providers=['CPUExecutionProvider'])
what = session.get_inputs()[0]
h, w = (x if isinstance(x, int) else a.size for x in what.shape[2:])
pixels = numpy.random.default_rng(0).random((a.images, 3, h, w), dtype=numpy.float32)
results = []
for batch in {1, a.images} if not isinstance(what.shape[0], int) else {what.shape[0]}:
    speed = []
    for i in range(a.repeat + 1):
        begun = time.perf_counter()
        for at in range(0, a.images, batch):
            session.run(None, {what.name: pixels[at:at + batch]})
        if i:
            speed.append(a.images / (time.perf_counter() - begun))
    results.append(speed)
best = max(results, key=statistics.median)
print(json.dumps({'median': round(statistics.median(best), 2), 'best': round(max(best), 2)}))

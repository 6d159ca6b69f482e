#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# llama.cpp through llama-cpp-python at prefill and decode: one JSON line {"tok_s": median, "best",
# "peak_mib"}. Owns: the peer's side of perf/peers.sh; the same random ids as prompt each time, the cache
# emptied between.
import argparse
import json
import random
import resource
import statistics
import time

from llama_cpp import Llama

p = argparse.ArgumentParser()
p.add_argument('task', choices=['prefill', 'decode'])
p.add_argument('--model', required=True, help='GGUF')
p.add_argument('--tokens', type=int, default=512)
p.add_argument('--threads', type=int, default=2)
p.add_argument('--repeat', type=int, default=3)
a = p.parse_args()
m = Llama(a.model, n_ctx=a.tokens + 8, n_batch=512, n_threads=a.threads, n_threads_batch=a.threads,
          verbose=False)
ids = [random.Random(0).randrange(100, m.n_vocab()) for _ in range(a.tokens)]
speed = []
for i in range(a.repeat + 1):
    m.reset()
    if a.task == 'decode':
        m.eval(ids[:1])
    begun = time.perf_counter()
    if a.task == 'prefill':
        m.eval(ids)
    else:
        for t in ids:
            m.eval([t])
    if i:
        speed.append(a.tokens / (time.perf_counter() - begun))
print(json.dumps({'tok_s': round(statistics.median(speed), 1), 'best': round(max(speed), 1),
                  'peak_mib': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))

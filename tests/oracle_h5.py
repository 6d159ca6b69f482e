#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# An adapter as other programs see it: a file that training wrote is opened by h5py and by h5dump, and must
# hold /adapter/text/down [d, r] and /adapter/text/up [r, d] in float32, finite, and the attributes of
# /adapter that say what it belongs to; the values of both readers are the same. A checkpoint of the same run
# holds moments and a step too. Needs h5py, numpy, and h5dump of hdf5-tools.
# usage: oracle_h5.py ADALINK MODEL ROWS.jsonl [--rank R] [--h5dump PROGRAM]
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from oracle_common import adalink, read_adapter, read_rows, write_rows

TEXTS = ('method', 'activation', 'base_name', 'base_sha256', 'template_sha256', 'notes')


def dump(program, path, *what):
    return subprocess.run([program, *what, str(path)], capture_output=True, text=True, check=True).stdout


def faults(o, path):
    """Yields what is wrong with an adapter or a checkpoint."""
    weights, attrs = read_adapter(path)
    down, up = weights['down'], weights['up']
    if down.dtype != np.float32 or up.dtype != np.float32:
        yield f'types {down.dtype} {up.dtype}'
    if down.shape[1] != o.rank or up.shape != down.shape[::-1]:
        yield f'shapes {down.shape} {up.shape}'
    if not (np.isfinite(down).all() and np.isfinite(up).all() and up.any()):
        yield 'values that are not finite, or an up of zeros'
    for name in (*TEXTS, 'rank', 'scale', 'bias', 'init_std', 'seed'):
        if name not in attrs:
            yield f'no attribute {name}'
    for name in TEXTS:
        if not isinstance(attrs.get(name), str):
            yield f'attribute {name} reads as {type(attrs.get(name)).__name__}'
    for name in ('base_sha256', 'template_sha256'):
        if not re.fullmatch('[0-9a-f]{64}', str(attrs.get(name))):
            yield f'attribute {name} is {attrs.get(name)!r}'
    if (attrs.get('method'), attrs.get('rank'), attrs.get('scale')) != ('adalink', o.rank, 1.0):
        yield f'method, rank, scale {attrs.get("method")} {attrs.get("rank")} {attrs.get("scale")}'
    text = dump(o.h5dump, path, '-A')
    for name in (*TEXTS[:5], 'rank', 'scale'):
        if f'ATTRIBUTE "{name}"' not in text:
            yield f'h5dump shows no attribute {name}'
    for name, want in weights.items():
        values = dump(o.h5dump, path, '-y', '-w', '0', '-m', '%.9g', '-d', f'/adapter/text/{name}')
        body = re.search(r'DATA \{([^}]*)\}', values).group(1)
        got = np.array(re.findall(r'[-+0-9.e]+', body), np.float32).reshape(want.shape)
        if 'H5T_IEEE_F32LE' not in values or not np.array_equal(got, want):
            yield f'h5dump reads another {name}'


def main():
    p = argparse.ArgumentParser()
    for name in ('adalink', 'model', 'data'):
        p.add_argument(name)
    p.add_argument('--rank', type=int, default=8)
    p.add_argument('--h5dump', default='h5dump')
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder, 'rows.jsonl'), Path(folder, 'out')
        write_rows(data, read_rows(o.data, 8))
        adalink(o.adalink, 'train', '-m', o.model, '-d', data, '-o', out, '--steps', 2, '--batch', 2,
                '--rank', o.rank, '--save-every', 1, '-q')
        wrong = list(faults(o, out / 'adapter.h5'))
        checkpoints = sorted(x for x in out.glob('*.h5') if x.name != 'adapter.h5')
        if not checkpoints:
            wrong.append('no checkpoint')
        for path in checkpoints:
            wrong += [f'{path.name}: {x}' for x in faults(o, path)]
            with h5py.File(path) as f:
                if 'step' not in f['state'].attrs or f['state/m/text/up'].shape != f['state/v/text/up'].shape:
                    wrong.append(f'{path.name}: no step, or no moments')
    print(f'{"fail" if wrong else "pass"}: adapter and {len(checkpoints)} checkpoints read by h5py and h5dump'
          + ''.join(f'; {x}' for x in wrong))
    sys.exit(int(bool(wrong)))


if __name__ == '__main__':
    main()

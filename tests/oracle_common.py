# SPDX-License-Identifier: Apache-2.0
# What the oracle_*.py programs share: running the command, reading rows and adapters, and the method's
# mathematics once more, in torch: e' = e + s (e D) U on the token embeddings of a frozen model. Must not
# know: any path, or what is compared. Rows are {"prompt", "completion", "choices"}.
import json
import subprocess

import h5py
import numpy as np


def adalink(*args, fails=False):
    """What the command says on stdout; its own words are the error when it fails."""
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode and not fails:
        raise SystemExit(f'{args[0]} {args[1]} ended with {done.returncode}: {done.stderr.strip()[-600:]}')
    return done.stdout


def read_rows(path, n=None):
    with open(path, encoding='utf-8') as f:
        return [json.loads(line) for line in f][:n]


def write_rows(path, rows):
    with open(path, 'w', encoding='utf-8') as f:
        f.writelines(json.dumps(r, ensure_ascii=False) + '\n' for r in rows)


def read_adapter(path):
    with h5py.File(path) as f:
        arrays = {name: np.array(f[f'adapter/text/{name}']) for name in ('down', 'up')}
        return arrays, dict(f['adapter'].attrs)


def load_torch(folder, dtype, attention='eager'):
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()
    return AutoTokenizer.from_pretrained(folder), model.requires_grad_(False)


def attach(model, weights, scale):
    """Puts the adapter before the model's layers; returns its two parameters."""
    import torch

    class Embedding(torch.nn.Module):
        def __init__(self, table):
            super().__init__()
            self.table = table
            kind = torch.float64 if table.weight.dtype == torch.float64 else torch.float32
            self.down = torch.nn.Parameter(torch.from_numpy(weights['down']).to(kind, copy=True))
            self.up = torch.nn.Parameter(torch.from_numpy(weights['up']).to(kind, copy=True))

        def forward(self, ids):
            e = self.table(ids)
            x = e.to(self.down.dtype)
            return (x + scale * ((x @ self.down) @ self.up)).to(e.dtype)

    e = Embedding(model.get_input_embeddings())
    model.set_input_embeddings(e)
    return [e.down, e.up]


def pad(rows):
    """[B, longest]: filled on the right, where causal attention does not look."""
    import torch
    longest = max(map(len, rows))
    return torch.tensor([r + [0] * (longest - len(r)) for r in rows])

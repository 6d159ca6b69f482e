# SPDX-License-Identifier: Apache-2.0
# AdaLink in torch, as the peers train it: rank 64, no activation, D ~ N(0, 1/d), U = 0, AdamW, clip 1.
# Owns: the adapter and its step. Must not know: models, tasks.
import torch
import torch.nn.functional as F


class AdaLink:
    def __init__(self, table):
        self.table, d = table, table.shape[1]
        self.down = torch.nn.Parameter(torch.randn(d, 64) * d ** -0.5)
        self.up = torch.nn.Parameter(torch.zeros(64, d))
        self.optimizer = torch.optim.AdamW([self.down, self.up], lr=1e-3, weight_decay=0.0, fused=True)

    def embed(self, ids):
        """ids [...] to rows [..., d] of the table's type; the adapter's product is in f32."""
        e = F.embedding(ids, self.table).float()
        return (e + e @ self.down @ self.up).to(self.table.dtype)

    def learn(self, loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_([self.down, self.up], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

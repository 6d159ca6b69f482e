#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes the tiny models beside this file, and what transformers in float32 says of each: logits, the loss of
# an AdaLink adapter on some targets, and the adapter's gradients. Needs torch, transformers, safetensors,
# gguf, numpy.
# usage: make_golden.py [FOLDER]      (written into this folder by default; tests/golden.c reads it)
import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

RANK, SCALE, T = 4, 0.7, 24
BASE = dict(vocab_size=80, hidden_size=32, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, initializer_range=0.25,
            tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)
LLAMA3 = dict(rope_type='llama3', rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=48)
CASES = {
    'tied_gqa': (LlamaConfig, {}),
    'untied_bias': (LlamaConfig, dict(tie_word_embeddings=False, num_key_value_heads=4, attention_bias=True,
                                      mlp_bias=True, hidden_act='gelu_pytorch_tanh')),
    'rope_llama3': (LlamaConfig, dict(rope_parameters=LLAMA3)),
    'rope_linear': (LlamaConfig, dict(rope_parameters=dict(rope_type='linear', rope_theta=10000.0,
                                                           factor=2.5))),
    'rope_yarn': (LlamaConfig, dict(rope_parameters=dict(rope_type='yarn', rope_theta=1000.0, factor=4.0,
                                                         original_max_position_embeddings=16))),
    'window': (MistralConfig, dict(sliding_window=5, num_hidden_layers=3, tie_word_embeddings=False)),
    'head_dim': (LlamaConfig, dict(head_dim=14, num_attention_heads=4, num_key_value_heads=1)),
}
SHARDED = 'rope_linear'
GGUFS = ('tied_gqa', 'rope_llama3')  # as GGUF too, for the same answers


def answers(model, seed):
    """Random tokens, an adapter that does something, and what follows from both."""
    g = torch.Generator().manual_seed(seed)
    d = model.config.hidden_size
    ids = torch.randint(3, model.config.vocab_size, (T,), generator=g)
    down = (torch.randn(d, RANK, generator=g) * 0.3).requires_grad_()
    up = (torch.randn(RANK, d, generator=g) * 0.3).requires_grad_()
    wanted = torch.tensor([4, 5, 9, 15, T - 2])
    with torch.no_grad():
        logits = model(input_ids=ids[None]).logits[0]
    e = model.get_input_embeddings()(ids).detach()
    adapted = model(inputs_embeds=(e + SCALE * (e @ down) @ up)[None]).logits[0]
    loss = torch.nn.functional.cross_entropy(adapted[wanted], ids[wanted + 1])
    loss.backward()
    return dict(ids=ids.int(), wanted=wanted.int(), scale=torch.tensor([SCALE]), down=down.detach(),
                up=up.detach(), logits=logits, loss=loss.detach()[None], grad_down=down.grad, grad_up=up.grad)


def save_hf(model, folder, sharded):
    os.makedirs(folder)
    model.save_pretrained(folder, max_shard_size=30000 if sharded else '1GB')
    config = json.load(open(f'{folder}/config.json'))
    config.pop('transformers_version')
    json.dump(config, open(f'{folder}/config.json', 'w'), indent=1, sort_keys=True)
    if os.path.exists(f'{folder}/generation_config.json'):
        os.remove(f'{folder}/generation_config.json')


NAMES = {'input_layernorm': 'attn_norm', 'post_attention_layernorm': 'ffn_norm', 'self_attn.q_proj': 'attn_q',
         'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output',
         'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down'}


def side_by_side(w, heads):
    """llama.cpp's order of a head's rows: rotary pairs beside each other."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def save_gguf(model, path):
    c = model.config
    w = gguf.GGUFWriter(path, 'llama')
    w.add_name('golden ' + os.path.basename(path))
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_dimension_count(c.head_dim)
    w.add_rope_freq_base(c.rope_parameters['rope_theta'])
    w.add_vocab_size(c.vocab_size)
    if c.rope_parameters['rope_type'] == 'llama3':
        dim = torch.arange(0, c.head_dim, 2).float() / c.head_dim
        plain = 1.0 / c.rope_parameters['rope_theta'] ** dim
        w.add_tensor('rope_freqs.weight', (plain / model.model.rotary_emb.inv_freq).numpy())
    for name, p in model.state_dict().items():
        a = p.numpy()
        if name == 'lm_head.weight':
            if not c.tie_word_embeddings:
                w.add_tensor('output.weight', a)
        elif name == 'model.embed_tokens.weight':
            w.add_tensor('token_embd.weight', a)
        elif name == 'model.norm.weight':
            w.add_tensor('output_norm.weight', a)
        else:
            _, _, layer, part = name.split('.', 3)
            part, kind = part.rsplit('.', 1)
            if part == 'self_attn.q_proj':
                a = side_by_side(a, c.num_attention_heads)
            if part == 'self_attn.k_proj':
                a = side_by_side(a, c.num_key_value_heads)
            w.add_tensor(f'blk.{layer}.{NAMES[part]}.{kind}', np.ascontiguousarray(a))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make(kind, changes, seed):
    torch.manual_seed(seed)
    config = kind(**(BASE | changes))
    config._attn_implementation = 'eager'
    model = (MistralForCausalLM if kind is MistralConfig else LlamaForCausalLM)(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if 'norm' in name:
                p.copy_(1 + 0.3 * torch.randn_like(p))
            if name.endswith('.bias'):
                p.copy_(0.2 * torch.randn_like(p))
    return model.requires_grad_(False)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for seed, (name, (kind, changes)) in enumerate(CASES.items()):
        model = make(kind, changes, seed)
        shutil.rmtree(f'{root}/{name}', ignore_errors=True)
        save_hf(model, f'{root}/{name}', name == SHARDED)
        result = answers(model, 100 + seed)
        save_file({k: v.contiguous() for k, v in result.items()}, f'{root}/{name}.answers.safetensors')
        if name in GGUFS:
            save_gguf(model, f'{root}/{name}.gguf')


if __name__ == '__main__':
    main()

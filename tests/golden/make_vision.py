#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes the tiny vision towers beside this file, and what transformers in float32 says of some pixels: hidden
# states after so many layers, and the last one after the final norm. Needs torch, transformers, safetensors,
# gguf, numpy.
# usage: make_vision.py [FOLDER]      (written into this folder by default; tests/t_tower.c reads it)
import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model,
                          Dinov2WithRegistersConfig, Dinov2WithRegistersModel, SiglipVisionConfig,
                          SiglipVisionModel, SmolVLMVisionConfig, ViTConfig, ViTModel)
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer

from make_golden import finish

BASE = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40, image_size=16,
            patch_size=4)
DINO = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, mlp_ratio=2, image_size=16,
            patch_size=4)
# name: class of config, of model, changes, sizes [images, height, width]
CASES = {
    'vit': (ViTConfig, ViTModel, {}, [(2, 16, 16), (1, 24, 12)]),
    'vit_wide': (ViTConfig, ViTModel, dict(image_size=[8, 16], patch_size=[4, 2], qkv_bias=False,
                                           hidden_act='gelu_new', num_attention_heads=2), [(2, 8, 16)]),
    'vit_oblong': (ViTConfig, ViTModel, dict(image_size=[8, 16], num_hidden_layers=1), [(1, 8, 16)]),
    'clip': (CLIPVisionConfig, CLIPVisionModel, {}, [(2, 16, 16), (1, 20, 28)]),
    'clip_gelu': (CLIPVisionConfig, CLIPVisionModel, dict(hidden_act='gelu', num_hidden_layers=2,
                                                          image_size=12), [(1, 12, 12), (1, 8, 8)]),
    'siglip': (SiglipVisionConfig, SiglipVisionModel, {}, [(2, 16, 16), (1, 12, 32)]),
    'siglip_bare': (SiglipVisionConfig, SiglipVisionModel, dict(vision_use_head=False, patch_size=5,
                                                                image_size=17), [(1, 17, 17)]),
    'smolvlm': (SmolVLMVisionConfig, SmolVLMVisionTransformer, dict(image_size=28),
                [(2, 28, 28), (1, 12, 20), (1, 24, 24)]),
    'dinov2': (Dinov2Config, Dinov2Model, {}, [(2, 16, 16), (1, 8, 32), (1, 24, 20)]),
    'dinov2_swiglu': (Dinov2Config, Dinov2Model, dict(use_swiglu_ffn=True, use_mask_token=False,
                                                      qkv_bias=False), [(1, 16, 16), (2, 12, 8)]),
    'dinov2_registers': (Dinov2WithRegistersConfig, Dinov2WithRegistersModel, dict(num_register_tokens=2),
                         [(2, 16, 16), (1, 24, 28), (1, 8, 12)]),
    'dinov2_registers_swiglu': (Dinov2WithRegistersConfig, Dinov2WithRegistersModel,
                                dict(use_swiglu_ffn=True, image_size=12), [(1, 12, 12)]),
    'dinov2_oblong': (Dinov2Config, Dinov2Model, dict(image_size=[8, 32], num_hidden_layers=1), [(1, 8, 32)]),
}
PREFIXED = {'clip': 'vision_model.', 'dinov2': 'dinov2.'}  # as files of larger models hold them
# as llama.cpp's files of towers and projectors; those of old converters have the ffn's products swapped
GGUFS = {'clip': True, 'siglip': False}


def answers(model, sizes, seed):
    g = torch.Generator().manual_seed(seed)
    out = {}
    for i, (n, h, w) in enumerate(sizes):
        pixels = torch.randn(n, 3, h, w, generator=g)
        resized = [h, w] != (np.ones(2, int) * model.config.image_size).tolist()
        flags = dict(interpolate_pos_encoding=True) if resized and isinstance(
            model, (ViTModel, CLIPVisionModel, SiglipVisionModel)) else {}
        with torch.no_grad():
            o = model(pixels, output_hidden_states=True, **flags)
        out[f'pixels.{i}'] = pixels
        out[f'last.{i}'] = o.last_hidden_state
        for layer in range(1, model.config.num_hidden_layers + 1):
            out[f'hidden.{i}.{layer}'] = o.hidden_states[layer]
    return {k: v.contiguous().clone() for k, v in out.items()}


def save_hf(model, folder, name):
    os.makedirs(folder)
    model.save_pretrained(folder)
    config = json.load(open(f'{folder}/config.json'))
    config.pop('transformers_version')
    json.dump(config, open(f'{folder}/config.json', 'w'), indent=1, sort_keys=True)
    if name in PREFIXED:
        weights = load_file(f'{folder}/model.safetensors')
        save_file({PREFIXED[name] + k: v for k, v in weights.items()}, f'{folder}/model.safetensors')
    h, w = (np.ones(2, int) * config['image_size']).tolist()
    json.dump(dict(image_processor_type='ViTImageProcessor', do_resize=True, resample=3, do_rescale=True,
                   rescale_factor=1 / 255, do_normalize=True, size=dict(height=h, width=w),
                   image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]),
              open(f'{folder}/preprocessor_config.json', 'w'), indent=1)


NAMES = {'layer_norm1': 'ln1', 'layer_norm2': 'ln2', 'self_attn.q_proj': 'attn_q',
         'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.out_proj': 'attn_out',
         'mlp.fc1': 'ffn_up', 'mlp.fc2': 'ffn_down'}
OTHERS = {'embeddings.class_embedding': 'v.class_embd',
          'embeddings.patch_embedding.weight': 'v.patch_embd.weight',
          'embeddings.patch_embedding.bias': 'v.patch_embd.bias',
          'embeddings.position_embedding.weight': 'v.position_embd.weight',
          'pre_layrnorm.weight': 'v.pre_ln.weight', 'pre_layrnorm.bias': 'v.pre_ln.bias',
          'post_layernorm.weight': 'v.post_ln.weight', 'post_layernorm.bias': 'v.post_ln.bias'}


HEAD = {'_proj': '', 'layernorm': 'ln', 'mlp.fc1': 'ffn_down', 'mlp.fc2': 'ffn_up'}


def add_tower(w, c, weights, swapped, blocks):
    """A tower's keys and tensors, of its first so many blocks."""
    w.add_bool('clip.has_vision_encoder', True)
    w.add_uint32('clip.vision.image_size', c.image_size)
    w.add_uint32('clip.vision.patch_size', c.patch_size)
    w.add_uint32('clip.vision.embedding_length', c.hidden_size)
    w.add_uint32('clip.vision.feed_forward_length', c.intermediate_size)
    w.add_uint32('clip.vision.projection_dim', c.hidden_size)
    w.add_uint32('clip.vision.attention.head_count', c.num_attention_heads)
    w.add_float32('clip.vision.attention.layer_norm_epsilon', c.layer_norm_eps)
    w.add_uint32('clip.vision.block_count', blocks)
    w.add_bool('clip.use_gelu', c.hidden_act == 'gelu_pytorch_tanh')
    for name, p in weights.items():
        if name.startswith('head.'):
            for new, old in HEAD.items():
                name = name.replace(new, old)
            if 'post_layernorm.weight' not in weights:  # the converter that leaves that out keeps the head
                w.add_tensor(f'v.{name}', np.ascontiguousarray(p.numpy()))
            continue
        a = np.ascontiguousarray(p.numpy())
        if name in OTHERS:
            w.add_tensor(OTHERS[name], a)
            continue
        _, _, layer, part = name.split('.', 3)
        if int(layer) >= blocks:
            continue
        part, kind = part.rsplit('.', 1)
        part = NAMES[part]
        if swapped and part.startswith('ffn'):
            part = 'ffn_down' if part == 'ffn_up' else 'ffn_up'
        w.add_tensor(f'v.blk.{layer}.{part}.{kind}', a)


def save_gguf(model, path, swapped):
    w = gguf.GGUFWriter(path, 'clip')
    w.add_string('clip.projector_type', 'mlp')
    w.add_array('clip.vision.image_mean', [0.5, 0.5, 0.5])
    w.add_array('clip.vision.image_std', [0.5, 0.5, 0.5])
    w.add_tensor('mm.0.weight', np.zeros((8, model.config.hidden_size), np.float32))
    add_tower(w, model.config, model.state_dict(), swapped, model.config.num_hidden_layers)
    finish(w)


def make(kind, model, changes, seed):
    torch.manual_seed(seed)
    config = kind(**((DINO if 'Dino' in kind.__name__ else BASE) | changes))
    config._attn_implementation = 'eager'
    m = model(config).float().eval()
    with torch.no_grad():
        for name, p in m.named_parameters():
            scale, shift = 0.25, 0
            if 'norm' in name or 'layrnorm' in name or 'lambda1' in name:
                scale, shift = 0.3, 1
            if name.endswith('.bias'):
                scale, shift = 0.2, 0
            if 'position' in name or 'token' in name or 'class_embedding' in name:
                scale = 0.6
            p.copy_(shift + scale * torch.randn_like(p))
    return m.requires_grad_(False)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for seed, (name, (kind, model, changes, sizes)) in enumerate(CASES.items()):
        m = make(kind, model, changes, seed)
        shutil.rmtree(f'{root}/{name}', ignore_errors=True)
        save_hf(m, f'{root}/{name}', name)
        save_file(answers(m, sizes, 100 + seed), f'{root}/{name}.answers.safetensors')
        if name in GGUFS:
            save_gguf(m, f'{root}/{name}.gguf', GGUFS[name])


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes the tiny encoder-decoders beside this file, and what transformers in float32 says of each: logits, the
# loss of an AdaLink adapter at the encoder's input, at the decoder's, at both, its gradients, and what greedy
# and beam search say. Needs torch, transformers, safetensors, gguf, numpy.
# usage: make_t5.py [FOLDER]      (written into this folder by default; tests/golden_t5.c reads it)
import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration,
                          UMT5Config,
                          UMT5ForConditionalGeneration)

RANK, SCALE, SOURCE, TARGET, NEW = 3, 0.7, 41, 11, 14
BASE = dict(vocab_size=64, d_model=32, d_ff=44, num_layers=2, num_decoder_layers=2, num_heads=4, d_kv=8,
            pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, dropout_rate=0.0)
T5, MT5, UMT5 = ((T5Config, T5ForConditionalGeneration), (MT5Config, MT5ForConditionalGeneration),
                 (UMT5Config, UMT5ForConditionalGeneration))
# name: (family, changes, whether the head has weights of its own)
CASES = {
    't5_relu': (T5, dict(feed_forward_proj='relu'), False),
    't5_gated': (T5, dict(feed_forward_proj='gated-gelu', num_heads=3, d_kv=10, num_layers=1,
                          num_decoder_layers=3, d_ff=28,
                          relative_attention_num_buckets=8,
                          tie_word_embeddings=False), True),
    't5_silu': (T5, dict(feed_forward_proj='gated-silu', num_heads=2, d_kv=20, num_layers=1,
                         num_decoder_layers=1, decoder_start_token_id=3, relative_attention_num_buckets=12,
                         relative_attention_max_distance=17), False),
    'mt5': (MT5, dict(num_heads=6, d_kv=4, num_layers=3, num_decoder_layers=1, d_ff=36,
                      tie_word_embeddings=False), True),
    'umt5': (UMT5, dict(num_heads=5, d_kv=6, relative_attention_num_buckets=16,
                        relative_attention_max_distance=30), False),
}


def shift(model, labels):
    return torch.cat([torch.tensor([model.config.decoder_start_token_id]), labels[:-1]])


def adapted(model, ids, down, up):
    e = model.shared(ids).detach()
    return (e + SCALE * (e @ down) @ up)[None]


def answers(model, seed):
    g = torch.Generator().manual_seed(seed)
    d, vocab = model.config.d_model, model.config.vocab_size
    source = torch.cat([torch.randint(4, vocab, (SOURCE - 1,), generator=g), torch.tensor([1])])
    target = torch.cat([torch.randint(4, vocab, (TARGET - 1,), generator=g), torch.tensor([1])])
    a = dict(source=source.int(), target=target.int(), scale=torch.tensor([SCALE]))
    with torch.no_grad():
        a['logits'] = model(input_ids=source[None], decoder_input_ids=shift(model, target)[None]).logits[0]
    for site in ('encoder', 'decoder', 'both'):
        params = {}
        for at in ('encoder', 'decoder'):
            if site in (at, 'both'):
                params[f'{site}.{at}.down'] = (torch.randn(d, RANK, generator=g) * 0.3).requires_grad_()
                params[f'{site}.{at}.up'] = (torch.randn(RANK, d, generator=g) * 0.3).requires_grad_()
        none = torch.zeros(d, RANK), torch.zeros(RANK, d)
        pair = {at: (params.get(f'{site}.{at}.down', none[0]), params.get(f'{site}.{at}.up', none[1]))
                for at in ('encoder', 'decoder')}
        out = model(inputs_embeds=adapted(model, source, *pair['encoder']),
                    decoder_inputs_embeds=adapted(model, shift(model, target), *pair['decoder']))
        loss = torch.nn.functional.cross_entropy(out.logits[0], target)
        loss.backward()
        a[f'{site}.loss'] = loss.detach()[None]
        for name, p in params.items():
            a[name] = p.detach()
            a[f'{name}.grad'] = p.grad
    for name, beams in (('greedy', 1), ('beam', 4)):
        a[name] = model.generate(source[None], attention_mask=torch.ones(1, SOURCE).long(), num_beams=beams,
                                 do_sample=False, max_new_tokens=NEW, use_cache=False)[0, 1:].int()
    return a


def save_hf(model, folder, own_head):
    os.makedirs(folder)
    c = model.config.to_dict()
    keep = [k for k in BASE if k != 'dropout_rate'] + [
        'model_type', 'feed_forward_proj', 'relative_attention_num_buckets',
        'relative_attention_max_distance',
        'layer_norm_epsilon']
    config = {k: c[k] for k in keep}
    config['tie_word_embeddings'] = not own_head
    with open(f'{folder}/config.json', 'w') as f:
        json.dump(config, f, indent=1)
        f.write('\n')
    save_file(tensors(model, own_head), f'{folder}/model.safetensors', metadata={'format': 'pt'})


def save_tokenizer(model, folder):
    """A letter for each id, so that the source may be written as text; the end is the tokenizer's to add."""
    special = {0: '<pad>', 1: '</s>'}
    vocab = {special.get(i, chr(33 + i)): i for i in range(model.config.vocab_size)}
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False,
                  special=True)
             for i, t in special.items()]
    post = dict(type='TemplateProcessing', single=[{'Sequence': {'id': 'A', 'type_id': 0}},
                                                   {'SpecialToken': {'id': '</s>', 'type_id': 0}}],
                pair=[], special_tokens={'</s>': dict(id='</s>', ids=[1], tokens=['</s>'])})
    level = dict(type='ByteLevel', add_prefix_space=False, trim_offsets=True, use_regex=True)
    model_part = dict(type='BPE', unk_token=None, merges=[], vocab=vocab)
    with open(f'{folder}/tokenizer.json', 'w') as f:
        json.dump(dict(version='1.0', added_tokens=added, normalizer=None, pre_tokenizer=level,
                       post_processor=post, decoder=level, model=model_part), f)
    with open(f'{folder}/tokenizer_config.json', 'w') as f:
        json.dump(dict(eos_token='</s>', pad_token='<pad>'), f)


def tensors(model, own_head):
    skip = ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight')
    skip += () if own_head else ('lm_head.weight',)
    return {k: v.contiguous() for k, v in model.state_dict().items() if k not in skip}


def save_gguf(model, path, own_head):
    c = model.config
    w = gguf.GGUFWriter(path, 't5')
    w.add_name('tiny')
    w.add_context_length(512)
    w.add_embedding_length(c.d_model)
    w.add_feed_forward_length(c.d_ff)
    w.add_block_count(c.num_layers)
    w.add_decoder_block_count(c.num_decoder_layers)
    w.add_head_count(c.num_heads)
    w.add_key_length(c.d_kv)
    w.add_value_length(c.d_kv)
    w.add_layer_norm_rms_eps(c.layer_norm_epsilon)
    w.add_relative_attn_buckets_count(c.relative_attention_num_buckets)
    w.add_decoder_start_token_id(c.decoder_start_token_id)
    w.add_vocab_size(c.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, max(c.num_layers, c.num_decoder_layers))
    for k, v in tensors(model, own_head).items():
        w.add_tensor(names.get_name(k, try_suffixes=('.weight',)), v.numpy().astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make(family, changes, own_head, seed):
    torch.manual_seed(seed)
    model = family[1](family[0](**(BASE | changes))).eval().float()
    if own_head:
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(model.config.vocab_size, model.config.d_model))
    for name, p in model.named_parameters():
        p.requires_grad_(False)
        if p.dim() == 1:
            p.copy_(1 + 0.2 * torch.randn(p.shape))
        else:
            std = (1.0 if 'relative' in name else 0.35 if 'shared' in name else
                   0.1 if '.q.' in name else 0.25)
            p.copy_(std * torch.randn(p.shape))
            if 'shared' in name or 'lm_head' in name:
                p[1] *= 1.5  # so that some answers end before they must
    return model


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for seed, (name, (family, changes, own_head)) in enumerate(CASES.items()):
        shutil.rmtree(f'{root}/{name}', ignore_errors=True)
        model = make(family, changes, own_head, 100 + seed)
        save_hf(model, f'{root}/{name}', own_head)
        save_tokenizer(model, f'{root}/{name}')
        if family is T5 and 'silu' not in name and 'relative_attention_max_distance' not in changes:
            save_gguf(model, f'{root}/{name}.gguf', own_head)
        result = answers(model, seed)
        save_file({k: v.contiguous() for k, v in result.items()}, f'{root}/{name}.answers.safetensors')
        print(name, result['encoder.loss'].item(), result['greedy'].tolist(), result['beam'].tolist())


main()

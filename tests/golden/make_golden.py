#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes the tiny models beside this file, and what transformers in float32 says of each: logits, the tokens
# it goes on with, by greed and of some by a search of 4 beams, the loss of an AdaLink adapter on some
# targets, and the adapter's gradients. Needs torch, transformers, safetensors, gguf, numpy.
# usage: make_golden.py [FOLDER]      (written into this folder by default; tests/golden.c reads it)
import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GemmaConfig, GPT2Config,
                          GPTNeoXConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)

RANK, SCALE, T = 4, 0.7, 24
PROMPT, NEW = 8, 20
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
# Of other families: each more than one configuration, so that none is only the convenient one.
GEMMA = dict(num_hidden_layers=3, sliding_window=5, head_dim=12, query_pre_attn_scalar=12,
             hidden_activation='gelu_pytorch_tanh')
NEOX = dict(tie_word_embeddings=False, layer_norm_eps=1e-5)
GPT2 = dict(vocab_size=80, n_embd=32, n_layer=2, n_head=4, n_positions=48, initializer_range=0.25,
            bos_token_id=1, eos_token_id=2)
CASES |= {
    'qwen2': (Qwen2Config, {}),
    'qwen2_window': (Qwen2Config, dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=5,
                                       max_window_layers=1, num_key_value_heads=4,
                                       tie_word_embeddings=False)),
    'qwen3': (Qwen3Config, dict(head_dim=10)),
    'qwen3_bias': (Qwen3Config, dict(head_dim=8, attention_bias=True, num_key_value_heads=1,
                                     tie_word_embeddings=False)),
    'gemma2': (Gemma2Config, GEMMA | dict(attn_logit_softcapping=4.0, final_logit_softcapping=3.0)),
    'gemma2_plain': (Gemma2Config, GEMMA | dict(num_key_value_heads=4, query_pre_attn_scalar=20,
                                                attn_logit_softcapping=None, attention_bias=True,
                                                final_logit_softcapping=None)),
    'gemma3': (Gemma3TextConfig, GEMMA | dict(
        num_hidden_layers=6, intermediate_size=20,
        rope_parameters=dict(sliding_attention=dict(rope_type='default', rope_theta=100.0),
                             full_attention=dict(rope_type='linear', factor=3.0, rope_theta=3000.0)))),
    'gemma3_full': (Gemma3TextConfig, GEMMA | dict(
        num_hidden_layers=2, num_key_value_heads=1, query_pre_attn_scalar=20, final_logit_softcapping=2.5,
        layer_types=['full_attention'] * 2)),
    'gpt2': (GPT2Config, GPT2),
    'gpt2_inner': (GPT2Config, GPT2 | dict(n_inner=44, n_head=2, activation_function='relu',
                                           scale_attn_weights=False, tie_word_embeddings=False)),
    'gptneox': (GPTNeoXConfig, NEOX | dict(rope_parameters=dict(rope_type='default', rope_theta=500.0,
                                                                partial_rotary_factor=0.5))),
    'gptneox_serial': (GPTNeoXConfig, NEOX | dict(use_parallel_residual=False, num_attention_heads=2,
                                                  hidden_act='gelu_pytorch_tanh', attention_bias=False,
                                                  tie_word_embeddings=True)),
    'gemma': (GemmaConfig, dict(head_dim=12, num_key_value_heads=1)),
    'gemma_bias': (GemmaConfig, dict(head_dim=8, attention_bias=True, num_key_value_heads=4,
        hidden_act='gelu',
                                     tie_word_embeddings=False)),
}
SPELT = {'gemma_bias': dict(hidden_act='gelu')}  # what transformers reads, and writes otherwise
SHARDED = 'rope_linear'
GGUFS = ('tied_gqa', 'rope_llama3', 'qwen2', 'qwen3', 'gemma2', 'gemma3', 'gpt2',
         'gptneox', 'gemma')  # as GGUF too, same answers


SEARCHED = ('head_dim', 'window', 'qwen3', 'gemma', 'gemma2', 'gemma3_full', 'gpt2', 'gptneox')


def beam(model, ids):
    return model.generate(ids[None, :PROMPT], attention_mask=torch.ones(1, PROMPT).long(), num_beams=4,
                          do_sample=False, max_new_tokens=NEW, eos_token_id=2,
                          pad_token_id=0)[0, PROMPT:].int()


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
        greedy = ids[:PROMPT]
        for _ in range(NEW):
            greedy = torch.cat([greedy, model(input_ids=greedy[None]).logits[0, -1].argmax()[None]])
    e = model.get_input_embeddings()(ids).detach()
    adapted = model(inputs_embeds=(e + SCALE * (e @ down) @ up)[None]).logits[0]
    loss = torch.nn.functional.cross_entropy(adapted[wanted], ids[wanted + 1])
    loss.backward()
    return dict(ids=ids.int(), wanted=wanted.int(), scale=torch.tensor([SCALE]), down=down.detach(),
                up=up.detach(), logits=logits, loss=loss.detach()[None], grad_down=down.grad, grad_up=up.grad,
                greedy=greedy.int())


def save_hf(model, folder, sharded):
    os.makedirs(folder)
    model.save_pretrained(folder, max_shard_size=30000 if sharded else '1GB')
    config = json.load(open(f'{folder}/config.json'))
    config.pop('transformers_version')
    config.update(SPELT.get(os.path.basename(folder), {}))
    json.dump(config, open(f'{folder}/config.json', 'w'), indent=1, sort_keys=True)
    if os.path.exists(f'{folder}/generation_config.json'):
        os.remove(f'{folder}/generation_config.json')


NAMES = {'input_layernorm': 'attn_norm', 'post_attention_layernorm': 'ffn_norm', 'self_attn.q_proj': 'attn_q',
         'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output',
         'self_attn.q_norm': 'attn_q_norm', 'self_attn.k_norm': 'attn_k_norm', 'mlp.gate_proj': 'ffn_gate',
         'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down'}
OTHERS = {'gemma2': {'post_attention_layernorm': 'post_attention_norm',
                     'pre_feedforward_layernorm': 'ffn_norm',
                     'post_feedforward_layernorm': 'post_ffw_norm'},
          'gpt2': {'ln_1': 'attn_norm', 'ln_2': 'ffn_norm', 'attn.c_attn': 'attn_qkv',
                   'attn.c_proj': 'attn_output', 'mlp.c_fc': 'ffn_up', 'mlp.c_proj': 'ffn_down'},
          'gptneox': {'attention.query_key_value': 'attn_qkv', 'attention.dense': 'attn_output',
                      'mlp.dense_h_to_4h': 'ffn_up', 'mlp.dense_4h_to_h': 'ffn_down'}}
TOPS = {'lm_head': 'output', 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm',
        'transformer.wte': 'token_embd', 'transformer.wpe': 'position_embd',
        'transformer.ln_f': 'output_norm',
        'gpt_neox.embed_in': 'token_embd', 'gpt_neox.final_layer_norm': 'output_norm', 'embed_out': 'output'}


def side_by_side(w, heads):
    """llama.cpp's order of a head's rows: rotary pairs beside each other."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def gguf_keys(w, c, arch):
    """What llama.cpp's converter writes for the architecture."""
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.n_inner or 4 * c.n_embd if arch == 'gpt2' else c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    if arch == 'gpt2':
        w.add_layer_norm_eps(c.layer_norm_epsilon)
        w.add_vocab_size(c.vocab_size)
        return
    if arch == 'gptneox':
        w.add_rope_dimension_count(int(c.hidden_size // c.num_attention_heads *
                                       c.rope_parameters['partial_rotary_factor']))
        w.add_rope_freq_base(c.rope_parameters['rope_theta'])
        w.add_layer_norm_eps(c.layer_norm_eps)
        w.add_parallel_residual(c.use_parallel_residual)
        w.add_vocab_size(c.vocab_size)
        return
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    if arch == 'llama':
        w.add_rope_dimension_count(c.head_dim)
    elif arch != 'qwen2':
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)
    rope = c.rope_parameters.get('full_attention', c.rope_parameters)
    w.add_rope_freq_base(rope['rope_theta'])
    w.add_vocab_size(c.vocab_size)
    if arch in ('gemma2', 'gemma3'):
        w.add_sliding_window(c.sliding_window)
    if arch == 'gemma2':
        w.add_attn_logit_softcapping(c.attn_logit_softcapping)
        w.add_final_logit_softcapping(c.final_logit_softcapping)
    if arch == 'gemma3':
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope['factor'])
        w.add_float32('gemma3.rope.freq_base_swa', c.rope_parameters['sliding_attention']['rope_theta'])


def gguf_tensor(model, arch, name, a):
    """Name and values of a tensor as llama.cpp's converter writes them; no name: left out."""
    c = model.config
    part, kind = name.rsplit('.', 1)
    if part == 'lm_head' and c.tie_word_embeddings:
        return None, None
    if arch.startswith('gemma') and 'norm' in part:
        a = a + 1
    if part in TOPS:
        return f'{TOPS[part]}.{kind}', a
    _, _, layer, part = part.split('.', 3)
    if arch == 'gpt2' and kind == 'weight' and a.ndim == 2:
        a = a.T
    if arch == 'gptneox' and part == 'attention.query_key_value':  # heads of 3 to 3 of heads
        a = a.reshape(c.num_attention_heads, 3, -1, *a.shape[1:]).swapaxes(0, 1).reshape(a.shape)
    if arch == 'llama' and part == 'self_attn.q_proj':
        a = side_by_side(a, c.num_attention_heads)
    if arch == 'llama' and part == 'self_attn.k_proj':
        a = side_by_side(a, c.num_key_value_heads)
    return f'blk.{layer}.{(NAMES | OTHERS.get(arch.replace("3", "2"), {}))[part]}.{kind}', a


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def save_gguf(model, path, more=lambda w: None):
    """more: adds keys, as those of a tokenizer."""
    c = model.config
    arch = {'gemma3_text': 'gemma3', 'gpt_neox': 'gptneox'}.get(c.model_type, c.model_type)
    w = gguf.GGUFWriter(path, arch)
    w.add_name('golden ' + os.path.basename(path))
    gguf_keys(w, c, arch)
    more(w)
    if arch == 'llama' and c.rope_parameters['rope_type'] == 'llama3':
        dim = torch.arange(0, c.head_dim, 2).float() / c.head_dim
        plain = 1.0 / c.rope_parameters['rope_theta'] ** dim
        w.add_tensor('rope_freqs.weight', (plain / model.model.rotary_emb.inv_freq).numpy())
    for name, p in model.state_dict().items():
        name, a = gguf_tensor(model, arch, name, p.numpy())
        if name:
            w.add_tensor(name, np.ascontiguousarray(a))
    finish(w)


def make(kind, changes, seed):
    torch.manual_seed(seed)
    config = kind(**(changes if kind is GPT2Config else BASE | changes))
    config._attn_implementation = 'eager'
    model = AutoModelForCausalLM.from_config(config).float().eval()
    whole = 0 if config.model_type.startswith('gemma') else 1  # what a norm's weight of 1 is stored as
    with torch.no_grad():
        for name, p in model.named_parameters():
            if 'norm' in name or '.ln_' in name:
                p.copy_((whole if name.endswith('weight') else 0) + 0.3 * torch.randn_like(p))
            elif name.endswith('.bias'):
                p.copy_(0.2 * torch.randn_like(p))
    return model.requires_grad_(False)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for seed, (name, (kind, changes)) in enumerate(CASES.items()):
        model = make(kind, changes, seed)
        shutil.rmtree(f'{root}/{name}', ignore_errors=True)
        save_hf(model, f'{root}/{name}', name == SHARDED)
        result = answers(model, 100 + seed)
        if name in SEARCHED:
            result['beam'] = beam(model, result['ids'].long())
            print(name, result['beam'].tolist())
        save_file({k: v.contiguous() for k, v in result.items()}, f'{root}/{name}.answers.safetensors')
        if name in GGUFS:
            save_gguf(model, f'{root}/{name}.gguf')


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes tests/cli/tiny: a Llama of random weights with a byte-level tokenizer and a ChatML template, small
# enough to commit and to train in a second. Needs nothing but Python. usage: python3 make_tiny.py
import json, os, random, struct

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'tiny')
D, LAYERS, HEADS, KV, FFN = 32, 2, 4, 2, 64
rng = random.Random(7)


def bytes_to_letters():
    """GPT-2's letters for bytes: printable ones stand for themselves, others come after U+0100."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for b in range(256):
        table[b] = chr(b) if b in kept else chr(256 + extra)
        extra += b not in kept
    return table


def tokenizer():
    letters = bytes_to_letters()
    special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
    vocab = {s: i for i, s in enumerate(special)}
    for b in range(256):
        vocab[letters[b]] = len(vocab)
    space = letters[32]
    merges = [('a', 'n'), ('t', 'h'), (space, 'a'), (space, 't'), ('th', 'e'), (space + 't', 'h')]
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    added = [dict(id=i, content=s, single_word=False, lstrip=False, rstrip=False, normalized=False,
                  special=True) for i, s in enumerate(special)]
    byte_level = dict(type='ByteLevel', add_prefix_space=False, trim_offsets=True, use_regex=True)
    model = dict(type='BPE', dropout=None, unk_token=None, continuing_subword_prefix=None,
                 end_of_word_suffix=None, fuse_unk=False, byte_fallback=False, vocab=vocab,
                 merges=[f'{a} {b}' for a, b in merges])
    return dict(version='1.0', truncation=None, padding=None, added_tokens=added, normalizer=None,
                pre_tokenizer=byte_level, post_processor=None, decoder=byte_level, model=model)


def bf16(n, std, mean=0.0):
    """n random numbers, rounded towards zero: exact enough for noise."""
    return b''.join(struct.pack('<f', rng.gauss(mean, std))[2:] for _ in range(n))


def tensors(vocab):
    kv = D // HEADS * KV
    yield 'model.embed_tokens.weight', (vocab, D), 0.5, 0.0
    for i in range(LAYERS):
        p = f'model.layers.{i}.'
        yield p + 'input_layernorm.weight', (D,), 0.05, 1.0
        yield p + 'self_attn.q_proj.weight', (D, D), 0.15, 0.0
        yield p + 'self_attn.k_proj.weight', (kv, D), 0.15, 0.0
        yield p + 'self_attn.v_proj.weight', (kv, D), 0.15, 0.0
        yield p + 'self_attn.o_proj.weight', (D, D), 0.15, 0.0
        yield p + 'post_attention_layernorm.weight', (D,), 0.05, 1.0
        yield p + 'mlp.gate_proj.weight', (FFN, D), 0.15, 0.0
        yield p + 'mlp.up_proj.weight', (FFN, D), 0.15, 0.0
        yield p + 'mlp.down_proj.weight', (D, FFN), 0.15, 0.0
    yield 'model.norm.weight', (D,), 0.05, 1.0


def write(name, data):
    with open(os.path.join(here, name), 'wb') as f:
        f.write(data)


def main():
    os.makedirs(here, exist_ok=True)
    tok = tokenizer()
    vocab = len(tok['model']['vocab'])
    config = dict(architectures=['LlamaForCausalLM'], model_type='llama', hidden_size=D,
                  intermediate_size=FFN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                  num_key_value_heads=KV, vocab_size=vocab, hidden_act='silu', max_position_embeddings=512,
                  rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True, bos_token_id=0,
                  eos_token_id=2, torch_dtype='bfloat16')
    template = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
                "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
                "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
    tok_config = dict(tokenizer_class='GPT2Tokenizer', bos_token='<|endoftext|>', eos_token='<|im_end|>',
                      pad_token='<|im_end|>', add_bos_token=False, chat_template=template,
                      clean_up_tokenization_spaces=False)
    for name, tree in ('config', config), ('tokenizer', tok), ('tokenizer_config', tok_config):
        write(name + '.json', (json.dumps(tree, ensure_ascii=False, indent=None) + '\n').encode())
    header, body = {}, b''
    for name, shape, std, mean in tensors(vocab):
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = dict(dtype='BF16', shape=list(shape), data_offsets=[len(body), len(body) + 2 * n])
        body += bf16(n, std, mean)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    write('model.safetensors', struct.pack('<Q', len(text)) + text + body)


main()

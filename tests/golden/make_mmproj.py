#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes vlm/mmproj_*/: tiny vision-language models as llama.cpp keeps them, text.gguf beside mmproj.gguf, with
# pictures and rows, and what transformers says in float32 of the models they are made of. Names and keys are
# those of llama.cpp's converters. Needs what make_vlm.py needs, and gguf.
# usage: make_mmproj.py [FOLDER]      (written into vlm beside this file by default)
# NAME.answers.safetensors is as make_vlm.py says.
import os
import shutil
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, CLIPVisionConfig, GenerationConfig, Idefics3Config,
                          Idefics3ForConditionalGeneration, Idefics3ImageProcessorPil, LlamaConfig,
                          LlavaImageProcessorPil, Qwen2Config, SiglipVisionConfig)

import make_golden
import make_vision
import make_vlm as vlm


def padded(side):
    return LlavaImageProcessorPil(do_pad=True, size=dict(shortest_edge=side),
                                  crop_size=dict(height=side, width=side))


# Each gives make_vlm's model, config, processor and rows; how the tower stands in the file (blocks, whether
# the ffn's products have each other's name, whether it has its last norm); the projector's keys.


def mmproj_clip():
    """LLaVA 1.5 as the first converter wrote it: the last block and norm left out, one layer named."""
    tok = vlm.tokenizer('pieces', ['<image>'])
    vision = CLIPVisionConfig(**vlm.VISION | dict(num_hidden_layers=3, projection_dim=16))
    text = LlamaConfig(vocab_size=len(tok) + 5, **vlm.TEXT)
    made = vlm.llava(vision, text, tok, -2, 'default', padded(12), [vlm.NO_IMAGE, vlm.ONE, vlm.TWO])
    return *made, (2, True, False), {'clip.projector_type': 'mlp', 'clip.vision.feature_layer': [2],
                                     'clip.vision.mm_patch_merge_type': 'flat'}


def mmproj_layers():
    """Features of several layers, as Granite's."""
    tok = vlm.tokenizer('bytes', ['<image>'])
    vision = CLIPVisionConfig(**vlm.VISION | dict(num_hidden_layers=4, projection_dim=16))
    text = LlamaConfig(vocab_size=len(tok), **vlm.TEXT | dict(num_key_value_heads=1,
                                                              tie_word_embeddings=True))
    made = vlm.llava(vision, text, tok, [1, 3], 'default', padded(12), [vlm.FRONT, vlm.ONE, vlm.BOTH])
    return *made, (3, False, False), {'clip.vision.projector_type': 'mlp',
                                      'clip.vision.feature_layer': [1, 3],
                                      'clip.vision.image_aspect_ratio': 'pad'}


def mmproj_siglip():
    """Nothing said of projector or layers: what is behind the last block of the file, as it is."""
    tok = vlm.tokenizer('bytes', ['<image>'], bos=False)
    vision = SiglipVisionConfig(**vlm.VISION | dict(image_size=8))
    text = Qwen2Config(vocab_size=len(tok) + 3, **vlm.TEXT | dict(num_key_value_heads=4, bos_token_id=None))
    made = vlm.llava(vision, text, tok, -1, 'full', padded(8), [vlm.NO_IMAGE, vlm.FRONT, vlm.TWO])
    return *made, (2, False, False), {}


def mmproj_tiles():
    """As SmolVLM's."""
    images = Idefics3ImageProcessorPil(size=dict(longest_edge=32), max_image_size=dict(longest_edge=16))
    made = vlm.idefics(Idefics3Config, LlamaConfig, Idefics3ForConditionalGeneration, images, 4, 16, 2,
                       [*vlm.MERGES, ('Ċ', 'Ċ')], [vlm.NO_IMAGE, vlm.ONE, vlm.TWO], num_key_value_heads=4)
    return *made, (2, False, True), {'clip.projector_type': 'idefics3',
                                     'clip.vision.projector.scale_factor': 4,
                                     'clip.vision.preproc_image_size': 32}


CASES = (mmproj_clip, mmproj_layers, mmproj_siglip, mmproj_tiles)


def add_keys(w, keys):
    for key, v in keys.items():
        {str: w.add_string, int: w.add_uint32, list: w.add_array}[type(v)](key, v)


def add_tokenizer(w, tok, vocab):
    """A BPE vocabulary as converters write it, filled up to the embedding table's rows."""
    inner = tok.backend_tokenizer
    words = inner.get_vocab()
    tokens = sorted(words, key=words.get)
    special = set(tok.all_special_tokens) | {t.content for t in tok.added_tokens_decoder.values()}
    types = [gguf.TokenType.CONTROL if t in special else gguf.TokenType.BYTE if t.startswith('<0x') else
             gguf.TokenType.NORMAL for t in tokens]
    merges = [tuple(m) for m in vlm.json.loads(inner.to_str())['model']['merges']]
    bytes_style = 'Ċ' in words
    if bytes_style:
        w.add_tokenizer_pre('gpt-2')
        w.add_token_merges([' '.join(m) for m in merges])
    else:
        rank = {a + b: -float(i) for i, (a, b) in enumerate(merges)}
        scores = [rank.get(t, -1000.0) for t in tokens]
    w.add_tokenizer_model('gpt2' if bytes_style else 'llama')
    more = vocab - len(tokens)
    w.add_token_list(tokens + [f'[PAD{i}]' for i in range(more)])
    w.add_token_types(types + [gguf.TokenType.UNUSED] * more)
    if not bytes_style:
        w.add_token_scores(scores + [-1000.0] * more)
    w.add_eos_token_id(2)
    w.add_bos_token_id(1)
    w.add_pad_token_id(0)
    w.add_add_bos_token(tok('a').input_ids[0] == 1)


def save_text(m, inner, tok, path):
    text = AutoModelForCausalLM.from_config(m.config.text_config).float()
    text.model.load_state_dict(inner.state_dict())
    text.lm_head.load_state_dict(m.lm_head.state_dict())
    make_golden.save_gguf(text, path, lambda w: add_tokenizer(w, tok, text.config.vocab_size))


def save_mmproj(m, tower, images, stands, keys, path):
    blocks, swapped, normed = stands
    w = gguf.GGUFWriter(path, 'clip')
    w.add_array('clip.vision.image_mean', [float(v) for v in images.image_mean])
    w.add_array('clip.vision.image_std', [float(v) for v in images.image_std])
    add_keys(w, keys)
    weights = {k: v for k, v in tower.state_dict().items() if normed or 'post_layernorm' not in k}
    make_vision.add_tower(w, tower.config, weights, swapped, blocks)
    if hasattr(m.model, 'connector'):
        names = {'mm.model.fc.weight': m.model.connector.modality_projection.proj.weight}
    else:
        p = m.model.multi_modal_projector
        names = {'mm.0.weight': p.linear_1.weight, 'mm.0.bias': p.linear_1.bias,
                 'mm.2.weight': p.linear_2.weight, 'mm.2.bias': p.linear_2.bias}
    for name, v in names.items():
        w.add_tensor(name, np.ascontiguousarray(v.detach().numpy()))
    make_golden.finish(w)


def make(case, folder, seed):
    torch.manual_seed(seed)
    kind, config, p, rows, stands, keys = case()
    config._attn_implementation = 'eager'
    m = kind(config).float().eval()
    with torch.no_grad():
        vlm.fill(m)
    m.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    llava = hasattr(m.model, 'vision_tower')
    save_text(m, m.model.language_model if llava else m.model.text_model, p.tokenizer, f'{folder}/text.gguf')
    save_mmproj(m, m.model.vision_tower if llava else m.model.vision_model, p.image_processor, stands, keys,
                f'{folder}/mmproj.gguf')
    vlm.pictures(folder)
    vlm.save_rows(rows, folder)
    return vlm.answers(m, p, rows, folder, 100 + seed)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)) + '/vlm'
    torch.set_num_threads(1)
    for seed, case in enumerate(CASES):
        print(case.__name__)
        save_file(make(case, f'{root}/{case.__name__}', seed), f'{root}/{case.__name__}.answers.safetensors')


if __name__ == '__main__':
    main()

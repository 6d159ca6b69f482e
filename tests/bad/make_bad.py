# SPDX-License-Identifier: Apache-2.0
"""Makes the malformed files of this folder and their rows of manifest.txt: python3 make_bad.py (needs h5py).

Each row: file, kind (how it is opened, see t_bad.c), the status wanted, words of the message; tabs between.
Rows of kinds that are not made here stay as they are. Each file is wrong in one way only.
"""
import hashlib
import json
import os
import struct
import zlib

import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = {"json", "yaml", "safetensors", "gguf", "hdf5", "hdf5-read", "model", "tokenizer", "jsonl", "chat",
         "image", "preprocess", "tower", "mmproj", "spiece"}
rows = []


def put(name, kind, status, words, data):
    os.makedirs(os.path.dirname(os.path.join(HERE, name)) or HERE, exist_ok=True)
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    if kind:
        rows.append((name, kind, status, words))


# ---- json ----
def bad_json(name, words, data):
    put(f"{name}.json", "json", "EFORMAT", words, data)


bad_json("empty", "empty.json:1:0: ", "")
bad_json("nan", "nan.json:1:9: ", '{"a": NaN}')
bad_json("twice", "twice.json:2:4: duplicate object key", '{"a": 1,\n "a": 2}')
bad_json("trailing", "end of file expected", '{"a": 1} {}')
bad_json("surrogate", "invalid Unicode", '["\\ud800x"]')
bad_json("utf8", "unable to decode byte 0xc3", b'["\xc3("]')
bad_json("deep", "maximum parsing depth", "[" * 2500)
bad_json("cut", "cut.json:3:", '{"a": [1,\n2,\n"x')
bad_json("comment", "comment.json:1:", '{"a": 1 /* no */}')
bad_json("nul_key", "NUL byte in object key", '{"a\\u0000": 1}')
bad_json("huge_real", "overflow", "[1e999]")
bad_json("single_quotes", "single_quotes.json:1:", "{'a': 1}")

# ---- yaml ----
bomb = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdef", "bcdefg"))
put("bomb.yaml", "yaml", "EUNSUPPORTED", "bomb.yaml:1:4: anchors", bomb)
put("twice.yaml", "yaml", "EFORMAT", "twice.yaml:2:1: ", "lr: 1\nlr: 2\n")
put("tag.yaml", "yaml", "EUNSUPPORTED", "tag.yaml:1:4: tags", "a: !!python/object:os.system {}\n")
put("tab.yaml", "yaml", "EFORMAT", "tab.yaml:2:1: ", "a:\n\tb: 1\n")
put("two.yaml", "yaml", "EUNSUPPORTED", "two.yaml:2:1: a second document", "--- {}\n--- {}\n")
put("deep.yaml", "yaml", "EFORMAT", "nested too deeply", "[" * 500)
put("utf8.yaml", "yaml", "EFORMAT", "UTF-8", b"a: \xff\n")
put("infinite.yaml", "yaml", "EFORMAT", "infinite.yaml:1:5: ", "lr: -.inf\n")
put("indent.yaml", "yaml", "EFORMAT", "indent.yaml:2:", "a: 1\n  b: 2\n")


# ---- safetensors ----
def bad_st(name, words, header, data=b"", status="EFORMAT", length=None):
    if not isinstance(header, bytes):
        header = (header if isinstance(header, str) else json.dumps(header)).encode()
    put(f"{name}.safetensors", "safetensors", status, words,
        struct.pack("<Q", len(header) if length is None else length) + header + data)


def t(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


four, eight = b"\0" * 4, b"\0" * 8
put("short.safetensors", "safetensors", "EFORMAT", "in no format known", b"\1\0\0\0\0\0\0\0")
bad_st("header_absurd", "more than the format's limit", "{", length=1 << 60)
bad_st("header_past_end", "ends at byte", "{}", length=1000)
bad_st("header_cut", "header_cut.safetensors:1:", '{"a": ')
bad_st("header_utf8", "unable to decode byte", b'{"\xff": 1}')
bad_st("no_tensor", "holds no tensor", {"__metadata__": {"format": "pt"}})
bad_st("hole", "take 4 bytes", {"a": t(4, 8)}, eight)
bad_st("overlap", "overlap", {"a": t(0, 8, (2,)), "b": t(4, 8)}, eight + four)
bad_st("past_end", "wrong data_offsets", {"a": t(0, 8, (2,))}, four)
bad_st("backwards", "wrong data_offsets", {"a": t(4, 0)}, four)
bad_st("offsets_real", "wrong data_offsets", {"a": t(0.5, 4)}, four)
bad_st("offsets_absurd", "wrong data_offsets", {"a": t(1 << 62, (1 << 62) + 4)}, four)
bad_st("shape_disagrees", "wants 12 bytes by its shape", {"a": t(0, 4, (3,))}, four)
bad_st("shape_negative", "wrong shape", {"a": t(0, 4, (-1,))}, four)
bad_st("shape_overflows", "overflows", {"a": t(0, 4, (1 << 62, 1 << 62))}, four)
bad_st("shape_missing", "has no shape", {"a": {"dtype": "F32", "data_offsets": [0, 4]}}, four)
bad_st("dtype_missing", "has no dtype", {"a": {"shape": [1], "data_offsets": [0, 4]}}, four)
bad_st("dtype_unknown", "has dtype 'F8_E4M3'", {"a": t(0, 1, (1,), "F8_E4M3")}, b"\0", "EUNSUPPORTED")
bad_st("dtype_block", "has dtype 'Q4_0'", {"a": t(0, 18, (32,), "Q4_0")}, b"\0" * 18, "EUNSUPPORTED")
bad_st("five_dims", "5 dimensions", {"a": t(0, 4, (1,) * 5)}, four, "EUNSUPPORTED")
bad_st("name_twice", "duplicate object key", '{"a": %s, "a": %s}' % ((json.dumps(t(0, 4)),) * 2), four)
bad_st("name_empty", "name is empty", {"": t(0, 4)}, four)
bad_st("trailing_bytes", "but it has 8 bytes of data", {"a": t(0, 4)}, eight)
bad_st("tensor_no_object", "has no dtype", {"a": 1})

# ---- gguf ----
F32, IQ2_S, Q4_K = 0, 22, 12


def s(x):
    x = x.encode() if isinstance(x, str) else x
    return struct.pack("<Q", len(x)) + x


def kv(key, kind, raw):
    return s(key) + struct.pack("<I", kind) + raw


def info(name, dims, kind=F32, offset=0):
    return s(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, offset)


def gguf(kvs=(), infos=(), data=b"\0" * 64, version=3, tensors=None, pairs=None):
    head = b"GGUF" + struct.pack("<IQQ", version, len(infos) if tensors is None else tensors,
                                 len(kvs) if pairs is None else pairs)
    body = head + b"".join(kvs) + b"".join(infos)
    return body + b"\0" * (-len(body) % 32) + data


def bad_gguf(name, words, data, status="EFORMAT"):
    put(f"{name}.gguf", "gguf", status, words, data)


ok = [info("a", [4])]
u32 = struct.pack("<I", 1)
bad_gguf("magic_only", "ends at byte 4", b"GGUF")
bad_gguf("version_1", "version 1", gguf(infos=ok, version=1), "EUNSUPPORTED")
bad_gguf("version_9", "version 9", gguf(infos=ok, version=9), "EUNSUPPORTED")
bad_gguf("big_endian", "big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "EUNSUPPORTED")
bad_gguf("pairs_absurd", "key-values, but only", gguf(infos=ok, pairs=1 << 60))
bad_gguf("tensors_absurd", "tensors, but only", gguf(infos=ok, tensors=1 << 60))
bad_gguf("key_past_end", "bytes are wanted", gguf([struct.pack("<Q", 1 << 40) + b"k" * 32], ok))
bad_gguf("key_nul", "holds NUL", gguf([kv("a\0b", 4, u32)], ok))
bad_gguf("key_empty", "key 0 of", gguf([kv("", 4, u32)], ok))
bad_gguf("key_utf8", "not UTF-8", gguf([kv(b"\xff", 4, u32)], ok))
bad_gguf("key_twice", "is twice", gguf([kv("k", 4, u32)] * 2, ok))
bad_gguf("value_unknown", "unknown type 99", gguf([kv("k", 99, u32)], ok))
bad_gguf("value_cut", "ends at byte", gguf([kv("k", 10, b"")], [], b"", pairs=1)[:37])
bad_gguf("array_nested", "array of arrays", gguf([kv("k", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 4, 0))], ok),
         "EUNSUPPORTED")
bad_gguf("array_unknown", "unknown type 77", gguf([kv("k", 9, struct.pack("<IQ", 77, 1))], ok))
bad_gguf("array_absurd", "elements, but only", gguf([kv("k", 9, struct.pack("<IQ", 0, 1 << 50))], ok))
bad_gguf("string_absurd", "bytes are wanted", gguf([kv("k", 8, struct.pack("<Q", (1 << 64) - 1))], ok))
bad_gguf("no_dims", "has 0 dimensions", gguf(infos=[info("a", [])]))
bad_gguf("nine_dims", "has 9 dimensions", gguf(infos=[info("a", [1] * 9)]))
bad_gguf("dims_overflow", "overflows", gguf(infos=[info("a", [1 << 40, 1 << 40])]))
bad_gguf("dim_absurd", "overflows", gguf(infos=[info("a", [1 << 63])]))
bad_gguf("type_unknown", "unknown type 200", gguf(infos=[info("a", [4], 200)]), "EUNSUPPORTED")
bad_gguf("type_iq", "type IQ2_S", gguf(infos=[info("a", [256], IQ2_S)]), "EUNSUPPORTED")
bad_gguf("block_rows", "no multiple of the 256 values", gguf(infos=[info("a", [128, 2], Q4_K)], data=b"\0" * 144))
bad_gguf("offset_odd", "no multiple of 32", gguf(infos=[info("a", [4], offset=8)]))
bad_gguf("offset_past_end", "ends at", gguf(infos=[info("a", [4], offset=1 << 40)]))
bad_gguf("offset_absurd", "is at", gguf(infos=[info("a", [4], offset=(1 << 64) - 32)]))
bad_gguf("data_cut", "ends at", gguf(infos=[info("a", [32])], data=b"\0" * 100))
bad_gguf("tensors_overlap", "overlap", gguf(infos=[info("a", [16]), info("b", [8], offset=32)]))
bad_gguf("tensor_twice", "is twice", gguf(infos=[info("a", [8]), info("a", [8], offset=32)]))
bad_gguf("tensor_unnamed", "name is empty", gguf(infos=[info("", [4])]))
bad_gguf("no_tensors", "holds no tensor", gguf([kv("k", 4, u32)]))
bad_gguf("alignment_3", "no power of two", gguf([kv("general.alignment", 4, struct.pack("<I", 3))], ok))
bad_gguf("alignment_0", "no power of two", gguf([kv("general.alignment", 4, struct.pack("<I", 0))], ok))
bad_gguf("alignment_absurd", "no power of two", gguf([kv("general.alignment", 10, struct.pack("<Q", 1 << 40))], ok))


# ---- towers: a tiny one of llama.cpp's kind, wrong in one way each ----
def tower_file(drop, replace, keys, more=()):
    d, ffn, image, patch = 4, 8, 4, 2
    sizes = dict(embedding_length=d, block_count=1, feed_forward_length=ffn, image_size=image, patch_size=patch)
    sizes["attention.head_count"] = 2
    kvs = [kv("general.architecture", 8, s(keys.get("_arch", "clip"))), *more]
    kvs += [kv(f"clip.vision.{k}", 4, struct.pack("<I", v)) for k, v in (sizes | keys).items() if k[0] != "_"]
    kvs += [kv("clip.has_vision_encoder", 7, bytes([keys.get("_encoder", 1)]))]
    tensors = {"v.patch_embd.weight": ([patch, patch, 3, d], F32), "v.position_embd.weight": ([d, 4], F32),
               "v.post_ln.weight": ([d], F32), "v.post_ln.bias": ([d], F32)}
    for part, shape in (("ln1", [d]), ("ln2", [d]), ("attn_q", [d, d]), ("attn_k", [d, d]), ("attn_v", [d, d]),
                        ("attn_out", [d, d]), ("ffn_up", [d, ffn]), ("ffn_down", [ffn, d])):
        tensors[f"v.blk.0.{part}.weight"] = (shape, F32)
        tensors[f"v.blk.0.{part}.bias"] = (shape[-1:], F32)
    tensors.update(replace)
    tensors.pop(drop, None)
    infos, at = [], 0
    for key, (shape, kind) in tensors.items():
        infos.append(info(key, shape, kind, at))
        at += -(-4 * int(np.prod(shape)) // 32) * 32
    return gguf(kvs, infos, b"\0" * at)


def tower(name, words, status="EMISMATCH", drop=None, replace=(), **keys):
    put(f"{name}.gguf", "tower", status, words, tower_file(drop, replace, keys))


I32 = 26
tower("tower_good", "", "OK")
tower("tower_no_positions", "missing from the model: 'position_embd.weight'", drop="v.position_embd.weight")
tower("tower_no_patches", "missing from the model", drop="v.patch_embd.weight")
tower("tower_no_layer", "'blk.1.", block_count=2)
tower("tower_half_layer", "'blk.0.attn_k.bias'", drop="v.blk.0.attn_k.bias")
tower("tower_stranger", "do not have: 'v.blk.0.rest'", replace={"v.blk.0.rest": ([4], F32)})
tower("tower_patch_shape", "has shape [4, 1, 2, 2], wanted [4, 3, 2, 2]",
      replace={"v.patch_embd.weight": ([2, 2, 1, 4], F32)})
tower("tower_positions_short", "has shape [3, 4], wanted [4, 4]", replace={"v.position_embd.weight": ([4, 3], F32)})
tower("tower_type", "holds I32", "EUNSUPPORTED", replace={"v.patch_embd.weight": ([2, 2, 3, 4], I32)})
tower("tower_heads", "wanted [3, 4]", **{"attention.head_count": 3})
tower("tower_no_heads", "number of heads is 0", "EFORMAT", **{"attention.head_count": 0})
tower("tower_patch_0", "patches of no height", "EFORMAT", patch_size=0)
tower("tower_patch_large", "patch height is 5", "EFORMAT", patch_size=5)
tower("tower_image_absurd", "image height is 60000", "EFORMAT", image_size=60000)
tower("tower_layers_absurd", "number of layers is", "EFORMAT", block_count=1 << 30)
tower("tower_no_encoder", "holds no vision tower", "EUNSUPPORTED", _encoder=0)


# ---- the same with a projector, for a text model of width 32 ----
def mmproj(name, words, status, drop=None, replace=(), projector="mlp", reals=(), strings=(), lists=(), cut=None, **keys):
    tensors = {"mm.0.weight": ([4, 32], F32), "mm.0.bias": ([32], F32), "mm.2.weight": ([32, 32], F32),
               "mm.2.bias": ([32], F32)}
    tensors = {k: v for k, v in (tensors | dict(replace)).items() if v and k != drop}
    colours = dict(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5)) | dict(reals)
    more = [kv("clip.projector_type", 8, s(projector))] if projector else []
    more += [kv(f"clip.vision.{k}", 8, s(v)) for k, v in dict(strings).items()]
    more += [kv(f"clip.vision.{k}", 9, struct.pack("<IQ", 5, len(v)) + struct.pack(f"<{len(v)}i", *v))
             for k, v in dict(lists).items()]
    more += [kv(f"clip.vision.{k}", 9, struct.pack("<IQ", 6, len(v)) + struct.pack(f"<{len(v)}f", *v))
             for k, v in colours.items() if v]
    put(f"{name}.gguf", "mmproj", status, words, tower_file(drop, tensors, keys, more)[:cut])


TILES = {"mm.model.fc.weight": ([16, 32], F32), "mm.0.weight": None, "mm.0.bias": None, "mm.2.weight": None,
         "mm.2.bias": None}
mmproj("mmproj_good", "", "OK")
mmproj("mmproj_unsaid", "", "OK", projector=None)
mmproj("mmproj_arch", "whose architecture is 'clip'", "EINVAL", _arch="llama")
mmproj("mmproj_audio", "holds no vision tower", "EUNSUPPORTED", _encoder=0)
mmproj("mmproj_projector", "projector 'gemma3' is not known here (known: mlp, idefics3)", "EUNSUPPORTED", projector="gemma3")
mmproj("mmproj_merge", "'clip.vision.mm_patch_merge_type' is not 'flat'", "EUNSUPPORTED",
       strings={"mm_patch_merge_type": "spatial_unpad"})
mmproj("mmproj_ratio", "'clip.vision.image_aspect_ratio' is not 'pad'", "EUNSUPPORTED",
       strings={"image_aspect_ratio": "anyres"})
mmproj("mmproj_grid", "images in tiles of several sizes (LLaVA 1.6)", "EUNSUPPORTED",
       lists={"image_grid_pinpoints": [8, 4]})
mmproj("mmproj_mean", "without 'clip.vision.image_mean'", "EFORMAT", reals={"image_mean": None})
mmproj("mmproj_std", "'clip.vision': 'image_std' is not a number for each", "EFORMAT", reals={"image_std": (0.5, 0.5)})
mmproj("mmproj_std_zero", "'image_std' is not a deviation", "EFORMAT", reals={"image_std": (0.5, 0, 0.5)})
mmproj("mmproj_side", "'size' is not a size of 1", "EFORMAT", image_size=0)
mmproj("mmproj_layer", "a tower of 1 layers has no features at layer 2", "EFORMAT", lists={"feature_layer": [2]})
mmproj("mmproj_layers", "lists 0 layers", "EFORMAT", lists={"feature_layer": []})
mmproj("mmproj_layer_text", "'vision_feature_layer' is no layer", "EFORMAT", strings={"feature_layer": "last"})
mmproj("mmproj_width", "'mm.2.weight' of the connector has not the shape [32, 32]", "EMISMATCH",
       replace={"mm.2.weight": ([32, 16], F32), "mm.2.bias": ([16], F32)})
mmproj("mmproj_in", "'mm.0.weight' of the connector has not the shape [32, 4]", "EMISMATCH",
       replace={"mm.0.weight": ([8, 32], F32)})
mmproj("mmproj_half", "tensor 'mm.2.weight' is missing", "EMISMATCH", drop="mm.2.weight")
mmproj("mmproj_norm", "'mm.3.weight' belongs to no part", "EMISMATCH", replace={"mm.3.weight": ([32, 32], F32)})
mmproj("mmproj_no_tower", "missing from the model", "EMISMATCH", drop="v.patch_embd.weight")
mmproj("mmproj_ints", "holds I32", "EUNSUPPORTED", replace={"mm.0.bias": ([32], I32)})
mmproj("mmproj_twin", "'text.output.weight' is twice", "EFORMAT", replace={"text.output.weight": ([4], F32)})
mmproj("mmproj_other", "'mm.0.weight' belongs to no part", "EMISMATCH", projector="idefics3")
mmproj("mmproj_fc", "'mm.model.fc.weight' belongs to no part", "EMISMATCH", replace={"mm.model.fc.weight": ([16, 32], F32)})
mmproj("mmproj_no_fc", "tensor 'mm.model.fc.weight' is missing", "EMISMATCH", projector="idefics3", replace=TILES | {"mm.model.fc.weight": None})
mmproj("mmproj_scale_0", "pixel shuffle 0", "EFORMAT", projector="idefics3", replace=TILES, **{"projector.scale_factor": 0})
mmproj("mmproj_scale", "pixel shuffle 65", "EFORMAT", projector="idefics3", replace=TILES, **{"projector.scale_factor": 65})
mmproj("mmproj_longest", "'clip.vision.preproc_image_size'", "EFORMAT", projector="idefics3", replace=TILES,
       strings={"preproc_image_size": "large"})
mmproj("mmproj_cut", "ends at", "EFORMAT", cut=-40)


def tower_folder(name, status, words, config):
    header = json.dumps({"a": t(0, 4)}).encode()
    put(f"{name}/model.safetensors", None, None, None, struct.pack("<Q", len(header)) + header + four)
    put(f"{name}/config.json", None, None, None, json.dumps(config))
    rows.append((name, "tower", status, words))


tower_folder("tower_sides", "EFORMAT", "no whole number 'patch_size'", {"model_type": "vit", "patch_size": [16]})
tower_folder("tower_act", "EUNSUPPORTED", "activation 'mish'", {"model_type": "vit", "hidden_act": "mish"})
tower_folder("tower_ratio", "EFORMAT", "makes no ffn", {"model_type": "dinov2", "mlp_ratio": 1 << 30})
tower_folder("tower_registers", "EFORMAT", "number of registers is",
             {"model_type": "dinov2_with_registers", "num_register_tokens": 1 << 20})
tower_folder("tower_of_nothing", "EFORMAT", "no config.json with a 'model_type'",
             {"model_type": "llava", "vision_config": {}})
tower_folder("tower_other", "EUNSUPPORTED", "unknown architecture 'sam'",
             {"model_type": "llava", "vision_config": {"model_type": "sam"}})


# ---- hdf5: adapters and checkpoints, opened by their digest ----
def h5(make, libver="earliest"):
    path = os.path.join(HERE, "made.tmp")
    with h5py.File(path, "w", libver=libver) as f:
        make(f)
    with open(path, "rb") as f:
        data = f.read()
    os.remove(path)
    return data


PREFIX = b"adalink:sha256:"


def sealed(make):
    def with_seal(f):
        f.attrs.create("digest", np.bytes_(PREFIX + b"0" * 64))
        make(f)
    data = h5(with_seal)
    at = data.index(PREFIX) + len(PREFIX)
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + 64:]


def bad_h5(name, words, data, status="EFORMAT", kind="hdf5"):
    put(f"{name}.h5", kind, status, words, data)


def small(f):
    f["adapter/text/down"] = np.arange(6, dtype="<f4").reshape(2, 3)


good = sealed(small)
put("good.h5", "hdf5", "OK", "", good)  # shows that what is wrong below is the one change
bad_h5("empty", "is no HDF5 file", b"")
bad_h5("garbage", "is no HDF5 file", b"\x89HDF\r\n\x1a\r" + b"x" * 500)
bad_h5("cut", "do not agree with its digest", good[: len(good) * 3 // 4])
bad_h5("cut_early", "has no digest", good[:100])
bad_h5("grown", "do not agree with its digest", good + b"\0")
bad_h5("unsealed", "has no digest", h5(small))
for name, at in (("flip_first", 9), ("flip_middle", len(good) // 2), ("flip_last", len(good) - 1),
                 ("flip_digest", good.index(PREFIX) + len(PREFIX) + 5)):
    bad_h5(name, "do not agree with its digest", good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])


# ---- hdf5-read: /x is read as 4 floats, whatever the digest says ----
def read_h5(name, words, status, make):
    bad_h5(name, words, h5(make), status, "hdf5-read")


four_floats = np.zeros(4, "<f4")


def soft(f):
    f["y"] = four_floats
    f["x"] = h5py.SoftLink("/y")


def outside(f):
    f["x"] = h5py.ExternalLink("other.h5", "/x")


def chunked(f):
    f.create_dataset("x", data=four_floats, chunks=(2,))


def zipped(f):
    f.create_dataset("x", data=four_floats, chunks=(4,), compression="gzip", shuffle=True)


def external(f):
    f.create_dataset("x", (4,), "<f4", external=[("/etc/passwd", 0, 16)])


def virtual(f):
    layout = h5py.VirtualLayout((4,), "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    f.create_virtual_dataset("x", layout)


def dataset(*args, **kwargs):
    def make(f):
        f.create_dataset("x", *args, **kwargs)
    return make


read_h5("soft_link", "soft or external link", "EUNSUPPORTED", soft)
read_h5("external_link", "soft or external link", "EUNSUPPORTED", outside)
read_h5("chunked", "chunked, filtered", "EUNSUPPORTED", chunked)
read_h5("zipped", "chunked, filtered", "EUNSUPPORTED", zipped)
read_h5("external_data", "virtual or external", "EUNSUPPORTED", external)
bad_h5("virtual", "virtual or external", h5(virtual, ("earliest", "v110")), "EUNSUPPORTED", "hdf5-read")
bad_h5("superblock_cut", "cannot open", h5(small)[:64], "EFORMAT", "hdf5-read")
bad_h5("unread_cut", "cannot open", h5(small)[:3000], "EFORMAT", "hdf5-read")
read_h5("integers", "does not hold real numbers", "EFORMAT", dataset(data=np.zeros(4, "<i4")))
read_h5("three", "has 3 values, where 4 are wanted", "EMISMATCH", dataset(data=np.zeros(3, "<f4")))
read_h5("claims", "claims more bytes", "EFORMAT", dataset((1 << 40,), "<f4"))
read_h5("null_space", "has 0 values", "EMISMATCH", dataset(data=h5py.Empty("<f4")))
read_h5("group", "is no dataset", "EMISMATCH", lambda f: f.create_group("x"))
read_h5("absent", "has no '/x'", "EMISMATCH", small)


# ---- model: an imported .h5 is found by its seal and index; HDF5 itself is not asked ----
def model(index=None, meta_text=b'{"config": {}}', seal=None, cut=0, index_sha=None, **change):
    head, data = b"\x89HDF\r\n\x1a\n".ljust(256, b"\0"), b"\0" * 16
    if index is None:
        index = {"version": 1, "source_sha256": "0" * 64, "sha256": "0" * 64,
                 "meta": {"offset": 272, "bytes": len(meta_text), "sha256": hashlib.sha256(meta_text).hexdigest()},
                 "tensors": [{"name": "a", "dtype": "F32", "shape": [4], "offset": 256}]}
        index.update(change)
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    at = len(head) + len(data) + len(meta_text)
    seal = seal or f"adalink:index:{at:016x}:{len(text):016x}:{index_sha or hashlib.sha256(text).hexdigest()}"
    whole = head[:64] + seal.encode() + head[64 + len(seal):] + data + meta_text + text
    return whole[: len(whole) - cut]


def bad_model(name, words, data, status="EFORMAT"):
    put(f"model_{name}.h5", "model", status, words, data)


def tensors(**change):
    return {"tensors": [{"name": "a", "dtype": "F32", "shape": [4], "offset": 256, **change}]}


put("model_good.h5", "model", "OK", "", model())
bad_model("unsealed", "no imported model, or not a finished one", model(seal="x" * 112))
bad_model("unfinished", "no imported model, or not a finished one", model(seal="0" * 112))
bad_model("is_adapter", "no imported model", good)
bad_model("seal", "seal cannot be read", model(seal="adalink:index:" + "z" * 98))
bad_model("cut", "ends at byte", model(cut=10))
bad_model("index_absurd", "before its index", model(seal=f"adalink:index:{1 << 60:016x}:{9:016x}:" + "0" * 64))
bad_model("index_digest", "index does not agree with its digest", model(index_sha="0" * 64))
bad_model("index_json", "model_index_json.h5:1:", model(b'{"version": '))
bad_model("version", "version 2 of a model's .h5", model(version=2), "EUNSUPPORTED")
bad_model("meta_digest", "metadata does not agree", model(meta={"offset": 272, "bytes": 14, "sha256": ""}))
bad_model("meta_place", "before its metadata", model(meta={}))
bad_model("meta_json", "model_meta_json.h5:1:", model(meta_text=b"{'a'}"))
bad_model("dtype", "wrong row in the index", model(**tensors(dtype="F31")))
bad_model("offset", "ends at", model(**tensors(offset=1 << 40)))
bad_model("shape", "has an extent of -1", model(**tensors(shape=["x"])))
bad_model("no_tensor", "holds no tensor", model(tensors=[]))
put("neither.bin", "model", "EFORMAT", "in no format known here", b"PK\3\4" + b"\0" * 60)


# ---- model: folders ----
def folder(name, words, files, status="EFORMAT"):
    for f, data in files.items():
        put(f"{name}/{f}", None, None, None, data if isinstance(data, (bytes, str)) else json.dumps(data))
    rows.append((name, "model", status, words))


def st_file(*names):
    header = json.dumps({n: t(4 * i, 4 * i + 4) for i, n in enumerate(names)}).encode()
    return struct.pack("<Q", len(header)) + header + four * len(names)


def index(**where):
    return {"weight_map": where}


folder("no_config", "has no config.json", {"model.safetensors": st_file("a")})
folder("no_weights", "neither model.safetensors nor", {"config.json": {}})
folder("config_array", "is no JSON object", {"config.json": []})
folder("tokenizer_cut", "tokenizer.json:1:", {"config.json": {}, "model.safetensors": st_file("a"), "tokenizer.json": "{"})
INDEX = "model.safetensors.index.json"
folder("shard_outside", "no file of its folder", {"config.json": {}, INDEX: index(a="../good.h5")})
folder("shard_up", "cannot map", {"config.json": {}, INDEX: index(a="..")}, "EIO")
folder("shard_absent", "No such file", {"config.json": {}, INDEX: index(a="s1.safetensors")}, "EIO")
folder("shard_number", "no file of its folder", {"config.json": {}, INDEX: index(a=3)})
folder("no_map", "has no weight_map", {"config.json": {}, INDEX: {}})
folder("shard_extra", "but the index places it in ''",
       {"config.json": {}, INDEX: index(a="s1.safetensors"), "s1.safetensors": st_file("a", "b")})
folder("shard_short", "tensor 'b' is not in 's1.safetensors'",
       {"config.json": {}, INDEX: index(a="s1.safetensors", b="s1.safetensors"), "s1.safetensors": st_file("a")})
folder("shard_swapped", "but the index places it in 's2.safetensors'",
       {"config.json": {}, INDEX: index(a="s1.safetensors", b="s2.safetensors"), "s1.safetensors": st_file("b"),
        "s2.safetensors": st_file("a")})

# ---- SentencePiece models: protobuf, by hand ----
def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def piece(text, score=0.0, kind=1):
    return block(1, block(1, text) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))


SPIECE = piece(b"<unk>", 0, 2) + piece(b"a", -1.0)
put("spiece_empty.model", "spiece", "EFORMAT", "it has no piece", b"")
put("spiece_text.model", "spiece", "EFORMAT", "spiece_text.model", b"<html>not a model</html>")
put("spiece_cut.model", "spiece", "EFORMAT", "bytes are wanted", SPIECE[:-3])
put("spiece_varint.model", "spiece", "EFORMAT", "more than 64 bits", b"\xff" * 12)
put("spiece_long.model", "spiece", "EFORMAT", "bytes are wanted", varint(1 << 3 | 2) + varint(1 << 60))
put("spiece_bits.model", "spiece", "EFORMAT", "more than 64 bits", SPIECE + number(4, 1 << 64))
put("spiece_inner.model", "spiece", "EFORMAT", "bytes are wanted", SPIECE + block(1, b"\x0a\x7fabc"))
put("spiece_utf8.model", "spiece", "EFORMAT", "is not UTF-8", SPIECE + piece(b"\xff"))
put("spiece_nul.model", "spiece", "EFORMAT", "holds NUL", SPIECE + piece(b"a\0b"))
put("spiece_group.model", "spiece", "EFORMAT", "is no SentencePiece model: field of kind 3", varint(1 << 3 | 3))
put("spiece_blank.model", "spiece", "EFORMAT", "no text for piece 1", SPIECE[:len(piece(b"<unk>", 0, 2))] + piece(b""))
put("spiece_score.model", "spiece", "EFORMAT", "a score that is no number", SPIECE + piece(b"b", float("nan")))
put("spiece_unk.model", "spiece", "EFORMAT", "unknown piece 9 of 2", SPIECE + block(2, number(40, 9)))
put("spiece_word.model", "spiece", "EUNSUPPORTED", "model of kind 3", SPIECE + block(2, number(3, 3)))
put("spiece_bpe_map.model", "spiece", "EUNSUPPORTED", "rewrites characters",
    SPIECE + block(2, number(3, 2)) + block(3, block(2, b"xx")))
put("spiece_spaces.model", "spiece", "EUNSUPPORTED", "keeps extra spaces", SPIECE + block(3, number(4, 0)))
put("spiece_map.model", "spiece", "EFORMAT", "holds no trie", SPIECE + block(3, block(2, b"\x10\0\0\0")))

# ---- tokenizers: a good one, wrong in one place each ----
GOOD = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
        "added_tokens": [{"id": 3, "content": "<s>", "special": True}]}


def bad_tok(name, words, status="EFORMAT", model=None, **change):
    tree = dict(GOOD, **change)
    if model is not None:
        tree["model"] = dict(GOOD["model"], **model)
    put(f"tok_{name}.json", "tokenizer", status, words, json.dumps(tree, ensure_ascii=False))


def split(**pattern):
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated"}


def roberta(cls):
    return {"type": "RobertaProcessing", "cls": ["a", cls], "sep": ["b", 1]}


def sequence(depth):
    return {"type": "Sequence", "normalizers": [sequence(depth - 1)] if depth else []}


bad_tok("good", "", "OK")
put("tok_cut.json", "tokenizer", "EFORMAT", "tok_cut.json:1:", '{"model": {"type": "BPE", "vocab"')
put("tok_array.json", "tokenizer", "EFORMAT", "tokenizer has no 'model'", "[]")
put("tok_model_null.json", "tokenizer", "EFORMAT", "tokenizer has no 'model'", '{"model": null}')
bad_tok("wordpiece", "model 'WordPiece'", "EUNSUPPORTED", {"type": "WordPiece"})
bad_tok("vocab_array", "no 'vocab'", model={"vocab": ["a", "b"]})
bad_tok("id_negative", "'b' has no id", model={"vocab": {"a": 0, "b": -1}})
bad_tok("id_text", "'b' has no id", model={"vocab": {"a": 0, "b": "1"}})
bad_tok("id_absurd", "larger than", "EUNSUPPORTED", {"vocab": {"a": 0, "b": 2147483647}})
bad_tok("id_twice", "share id 1", model={"vocab": {"a": 1, "b": 1}})
bad_tok("merge_unknown", "which is not in the vocabulary", model={"merges": ["a c"]})
bad_tok("merge_product", "'ba', which is not in the vocabulary", model={"merges": ["b a"]})
bad_tok("merge_three", "merge 1 is not a pair", model={"merges": ["a b", "a b a"]})
bad_tok("merge_number", "merge 0 is not a pair", model={"merges": [[1, 2]]})
bad_tok("merges_object", "no list 'merges'", model={"merges": {}})
bad_tok("unk", "unknown token '<unk>'", model={"unk_token": "<unk>"})
bad_tok("dropout", "'dropout'", "EUNSUPPORTED", {"dropout": 0.1})
bad_tok("suffix", "'end_of_word_suffix'", "EUNSUPPORTED", {"end_of_word_suffix": "</w>"})
bad_tok("added_no_id", "added token 0 has no content or no id", added_tokens=[{"content": "x"}])
bad_tok("added_place", "added token 'x' has id 9, its place is 3", added_tokens=[{"id": 9, "content": "x"}])
bad_tok("added_twice", "is there twice", added_tokens=[{"id": 0, "content": "a"}] * 2)
bad_tok("normalizer", "normalizer 'Nmt'", "EUNSUPPORTED", normalizer={"type": "Nmt"})
bad_tok("no_type", "normalizer has no type", normalizer=["NFC"])
bad_tok("nests", "nests 'Sequence' too deep", "EUNSUPPORTED", normalizer=sequence(12))
bad_tok("charsmap", "is not base64", normalizer={"type": "Precompiled", "precompiled_charsmap": "!"})
bad_tok("charsmap_cut", "holds no trie", normalizer={"type": "Precompiled", "precompiled_charsmap": "AAEAAA=="})
bad_tok("regex", "missing closing parenthesis", "EUNSUPPORTED", pre_tokenizer=split(Regex="(?:a"))
bad_tok("no_pattern", "neither a string nor", pre_tokenizer=split(Glob="a"))
bad_tok("flag", "'use_regex' of tokenizer step 'ByteLevel'", pre_tokenizer={"type": "ByteLevel", "use_regex": 1})
bad_tok("metaspace", "is not one character", pre_tokenizer={"type": "Metaspace", "replacement": "__"})
bad_tok("strip", "wants content, start and stop", decoder={"type": "Strip", "content": " ", "start": -1, "stop": 0})
bad_tok("post_id", "post-processor adds id 77", post_processor=roberta(77))
bad_tok("post_hole", "post-processor adds id 77", model={"vocab": {"a": 0, "b": 81, "ab": 2}},
        post_processor=roberta(77))
bad_tok("post_no_text", "leaves the text out", "EUNSUPPORTED", post_processor={"type": "TemplateProcessing",
                                                                               "single": []})


def bad_unigram(name, words, status="EFORMAT", **change):
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1]]}
    put(f"tok_unigram_{name}.json", "tokenizer", status, words, json.dumps({"model": dict(model, **change)}))


bad_unigram("good", "", "OK")
bad_unigram("unk", "unknown token's id", unk_id=2)
bad_unigram("unk_negative", "unknown token's id", unk_id=-1)
bad_unigram("score", "entry 1 is not a string with a score", vocab=[["<unk>", 0], ["a", "-1"]])
bad_unigram("scoreless", "entry 0 is not a string with a score", vocab=[["<unk>"]])
bad_unigram("object", "no 'vocab'", vocab={"<unk>": 0})
bad_unigram("empty", "no 'vocab'", vocab=[])


# ---- JSONL: the second of three lines is wrong ----
def bad_jsonl(name, words, line, around=('{"text": "a"}\n', '\n{"text": "b"}\n')):
    data = line if isinstance(line, bytes) else line.encode()
    put(f"{name}.jsonl", "jsonl", "EFORMAT", words, around[0].encode() + data + around[1].encode())


put("good.jsonl", "jsonl", "OK", "", b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"prompt": "p", "completion": "c"}')
bad_jsonl("rows_none", "rows_none.jsonl' has no rows", "\n\n", ("", ""))
bad_jsonl("rows_cut", "rows_cut.jsonl:2: column ", '{"text": "a', ('{"text": "a"}\n', ""))
bad_jsonl("rows_array", "rows_array.jsonl:1: the row is an array", '[{"text": "a"}]', ("", ""))
bad_jsonl("rows_pretty", "rows_pretty.jsonl:1: column ", '{\n "text": "a"\n}\n', ("", ""))
bad_jsonl("rows_joined", "rows_joined.jsonl:2: column 14: end of file expected", '{"text": "a"}{"text": "b"}')
bad_jsonl("rows_utf8", "rows_utf8.jsonl:2: column 11: byte 0xe9 is not UTF-8", b'{"text": "\xe9"}')
bad_jsonl("rows_utf16", "rows_utf16.jsonl:1: column 4: a NUL byte", b"\xff\xfe{\0}\0", ("", ""))
bad_jsonl("rows_nul", "rows_nul.jsonl:2: column 3: a NUL byte", b'{"\0text": "a"}')
bad_jsonl("rows_nul_escaped", "rows_nul_escaped.jsonl:2: key 'text' holds a NUL", '{"text": "a\\u0000"}')
bad_jsonl("rows_key_twice", "rows_key_twice.jsonl:2: column 20: duplicate object key", '{"text": "a", "text": "b"}')
bad_jsonl("rows_typo", "is 'promt' meant for it?", '{"promt": "a", "completion": "b"}')
bad_jsonl("rows_both", "keys 'prompt' and 'text' found", '{"prompt": "a", "text": "b"}')
bad_jsonl("rows_no_completion", "key 'completion' wanted", '{"prompt": "a"}')
bad_jsonl("rows_number", "rows_number.jsonl:2: key 'completion' is a number", '{"prompt": "a", "completion": 1}')
bad_jsonl("rows_choice", "'c' found, one of 'choices'", '{"prompt": "a", "completion": "c", "choices": ["x", "y"]}')
bad_jsonl("rows_role", "role 'bot' found", '{"messages": [{"role": "bot", "content": "a"}]}')
bad_jsonl("rows_null", "rows_null.jsonl:2: key 'completion' is null", '{"prompt": "a", "completion": null}')
bad_jsonl("rows_array_lines", "rows_array_lines.jsonl:1: an array of several lines", '[\n{"text": "a"}\n]', ("", ""))
bad_jsonl("rows_part", "a part of type 'video' in 'content'",
          '{"messages": [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "video"}]}]}')
bad_jsonl("rows_part_bare", "a part of type 'none' in 'content'", '{"messages": [{"role": "assistant", "content": ["a"]}]}')
bad_jsonl("rows_part_text", "key 'type' found, key 'text' wanted",
          '{"messages": [{"role": "assistant", "content": [{"type": "text"}]}]}')
bad_jsonl("rows_image_empty", "rows_image_empty.jsonl:2: key 'image' is empty", '{"text": "a", "image": ""}')
bad_jsonl("rows_image_type", "key 'image' is an object, a string is wanted",
          '{"text": "a", "image": {"bytes": null, "path": "i.png"}}')
bad_jsonl("rows_images_type", "key 'images' is null, a string is wanted", '{"text": "a", "images": ["i.png", null]}')
bad_jsonl("rows_image_both", "keys 'image' and 'images' found", '{"text": "a", "image": "i", "images": ["i"]}')
bad_jsonl("rows_image_address", "in 'image' is an address", '{"text": "a", "image": "https://host/i.png"}')
bad_jsonl("rows_image_data", "in 'image' is an address", '{"text": "a", "image": "data:image/png;base64,iVBORw0"}')
bad_jsonl("rows_image_nul", "key 'image' holds a NUL", '{"text": "a", "image": "i\\u0000.png"}')
bad_jsonl("rows_image_marks", "2 of '<image>' in 'prompt' found, 1 wanted",
          '{"prompt": "<image> <image>", "completion": "a", "image": "i.png"}')
bad_jsonl("rows_image_said", "'<image>' in 'completion' found",
          '{"prompt": "a", "completion": "<image>", "image": "i.png"}')
bad_jsonl("rows_image_part", "key 'image' (or 'path' or 'url') wanted",
          '{"messages": [{"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "a"}]}')
bad_jsonl("rows_image_no_user", "no message of role 'user'",
          '{"image": "i.png", "messages": [{"role": "assistant", "content": "a"}]}')
bad_jsonl("rows_deep", "maximum parsing depth", '{"text": ' + "[" * 2500)

# ---- chat templates, opened and rendered ----
put("good.jinja", "chat", "OK", "", "{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
for name, words, text in [("no_end", "where 'endfor'", "{% for m in messages %}{{ m.content }}"),
                          ("string", "a string without its end", "{{ 'a"),
                          ("tag", "a tag without its end", "{{ messages"),
                          ("comment", "a comment without its end", "a {# b"),
                          ("include", "'include'", "{% include 'other' %}"),
                          ("filter", "'tojson'", "{{ messages | tojson }}"),
                          ("nests", "nests too deep", "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"),
                          ("loops", "does not come to an end",
                           "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"),
                          ("range", "counts to", "{% for a in range(1000000000) %}{% endfor %}"),
                          ("grows", "does not come to an end", "{% set n = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}"
                                        "{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}")]:
    put(f"{name}.jinja", "chat", "EUNSUPPORTED", words, text)


# ---- pictures: PNG made here, the others from golden/pixels ----
def picture(name):
    with open(os.path.join(HERE, "..", "golden", "pixels", name), "rb") as f:
        return f.read()


def bad_image(name, words, data, status="EFORMAT"):
    put(f"picture_{name}", "image", status, words, data)


def png_chunk(kind, data, flip=0):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ flip)


def png(w, h, depth=8, kind=2, data=None, flip=0, end=True):
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, 0), flip)
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 100) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + head + body + (png_chunk(b"IEND", b"") if end else b"")


def frame(jpeg, at, data):
    """A JPEG with bytes of its frame header replaced: precision at 0, height at 1, width at 3, components at 5."""
    sof = jpeg.index(b"\xff\xc0") + 4 + at
    return jpeg[:sof] + data + jpeg[sof + len(data) :]


jpeg, webp = picture("half_colours.jpg"), picture("lossy.webp")
bad_image("empty.png", "picture_empty.png' is empty", b"")
bad_image("text.jpg", "no picture of a format known here: png jpeg webp", "not a picture\n")
bad_image("gif.png", "no picture of a format known here", b"GIF89a\1\0\1\0\0\0\0;")
bad_image("suffix.webp", "", picture("one.png"), "OK")
bad_image("cut_magic.png", "picture_cut_magic.png' ends at byte 8", png(5, 6)[:8])
bad_image("cut_head.png", "picture_cut_head.png' ends at byte 20", png(5, 6)[:20])
bad_image("cut_data.png", "picture_cut_data.png' ends at byte 50", png(5, 6)[:50])
bad_image("cut_end.png", "picture_cut_end.png' ends at byte", png(5, 6, end=False))
bad_image("cut_rows.png", "no good PNG: Not enough image data", png(50, 60))
bad_image("huge.png", "60000 × 60000 pixels, more than the limit", png(60000, 60000), "EUNSUPPORTED")
# The largest allowed, for refused.c; among the fuzzers' seeds it would take all their time.
with open(os.path.join(HERE, "..", "cli", "largest.png"), "wb") as f:
    f.write(png(8192, 8192, 1, 0, zlib.compress(b"\0" * (1025 * 8192), 9)))
bad_image("zero.png", "no good PNG: Invalid IHDR data", png(0, 6))
bad_image("depth.png", "no good PNG: Invalid IHDR data", png(5, 6, depth=3))
bad_image("crc.png", "no good PNG: IHDR: CRC error", png(5, 6, flip=1))
bad_image("zlib.png", "no good PNG: IDAT: ", png(5, 6, data=b"garbage, not deflate"))
bad_image("palette.png", "no good PNG: IDAT: Missing PLTE before IDAT", png(5, 6, kind=3))
bad_image("cut_magic.jpg", "picture_cut_magic.jpg' ends at byte 3", jpeg[:3])
bad_image("cut_head.jpg", "picture_cut_head.jpg' ends at byte 100", jpeg[:100])
bad_image("cut_data.jpg", "picture_cut_data.jpg' ends at byte 900", jpeg[:900])
bad_image("cut_end.jpg", "but the picture goes on", jpeg[:-2])
bad_image("huge.jpg", "60000 × 60000 pixels, more than", frame(jpeg, 1, b"\xea\x60\xea\x60"), "EUNSUPPORTED")
bad_image("zero.jpg", "no good JPEG: ", frame(jpeg, 3, b"\0\0"))
bad_image("precision.jpg", "a kind that libjpeg does not read", frame(jpeg, 0, b"\x0c"), "EUNSUPPORTED")
bad_image("no_frame.jpg", "no good JPEG: ", b"\xff\xd8\xff\xd9")
bad_image("garbage.jpg", "picture_garbage.jpg", b"\xff\xd8\xff" + bytes(range(200)))
bad_image("cut.webp", "picture_cut.webp' ends at byte 300", webp[:300])
bad_image("cut_head.webp", "picture_cut_head.webp' ends at byte 14", webp[:14])
bad_image("garbage.webp", "picture_garbage.webp' is no good WebP", webp[:20] + b"garbage" * 80)
bad_image("animated.webp", "is animated", b"RIFF\x16\0\0\0WEBPVP8X\n\0\0\0\2" + b"\0" * 9, "EUNSUPPORTED")
bad_image("huge.webp", "16384 × 16384 pixels, more than",
          b"RIFF\x16\0\0\0WEBPVP8X\n\0\0\0" + b"\0" * 4 + b"\xff\x3f\0" * 2, "EUNSUPPORTED")


# ---- configurations of vision models ----
def bad_pre(name, words, data, kind="ViT", status="EFORMAT"):
    text = data if kind is None else json.dumps({"image_processor_type": kind + "ImageProcessor", **data})
    put(f"pre_{name}.json", "preprocess", status, words, text)


bad_pre("empty", "pre_empty.json:1:0: ", "", None)
bad_pre("cut", "pre_cut.json:1:", '{"image_processor_type": "ViTIm', None)
bad_pre("array", "has no 'image_processor_type'", "[]", None)
bad_pre("no_type", "has no 'image_processor_type'", '{"size": 224}', None)
bad_pre("type", "'LayoutLMImageProcessor' is not handled", {}, "LayoutLM", "EUNSUPPORTED")
bad_pre("key", "'do_flip_channel_order' is not handled", {"do_flip_channel_order": True}, status="EUNSUPPORTED")
bad_pre("flag", "'do_resize' is not true or false", {"do_resize": "yes"})
bad_pre("size_zero", "'size' is not a size of 1", {"size": {"height": 0, "width": 5}})
bad_pre("size_text", "'size' is not a height and a width", {"size": "224"})
bad_pre("size_half", "'size' is not a height and a width", {"size": {"height": 224}})
bad_pre("size_real", "'size' is not a size of 1", {"size": {"height": 224.5, "width": 5}})
bad_pre("size_absurd", "'size' is not a size of 1", {"size": 10**12})
bad_pre("size_mixed", "keys beside its edges", {"size": {"shortest_edge": 9, "height": 9}}, status="EUNSUPPORTED")
bad_pre("size_longest", "a longest edge only", {"size": {"longest_edge": 9}}, status="EUNSUPPORTED")
bad_pre("size_shortest", "a shortest edge, which", {"size": {"shortest_edge": 9}}, "Idefics3", "EUNSUPPORTED")
bad_pre("tile_zero", "'max_image_size' is not a size", {"max_image_size": {"longest_edge": 0}}, "Idefics3")
bad_pre("tile_type", "'max_image_size' is not for ViT", {"max_image_size": 9}, status="EUNSUPPORTED")
bad_pre("split_type", "'do_image_splitting' is not for ViT", {"do_image_splitting": True}, status="EUNSUPPORTED")
bad_pre("crop_type", "'do_center_crop' is not for SmolVLM", {"do_center_crop": True}, "SmolVLM", "EUNSUPPORTED")
bad_pre("crop_none", "'do_center_crop' has no 'crop_size'", {"do_center_crop": True})
bad_pre("filter", "'resample' is not one of Pillow's filters", {"resample": 6})
bad_pre("factor", "'rescale_factor' is not a number", {"rescale_factor": "1/255"})
bad_pre("mean", "'image_mean' is not a number for each", {"image_mean": [0.5, 0.5]})
bad_pre("mean_text", "'image_mean' is not a number for each", {"image_mean": [0.5, "0.5", 0.5]})
bad_pre("mean_colour", "'image_mean' is no colour", {"image_mean": [9, 9, 9], "do_pad": True}, "Llava")
bad_pre("std_zero", "'image_std' is not a deviation", {"image_std": [0.5, 0, 0.5]})

# ---- the manifest: rows made here, then those of others ----
manifest = os.path.join(HERE, "manifest.txt")
others = []
if os.path.exists(manifest):
    with open(manifest, encoding="utf-8") as f:
        others = [line for line in f if line.strip() and line.split("\t")[1] not in KINDS]
with open(manifest, "w", encoding="utf-8") as f:
    f.writelines("\t".join(row) + "\n" for row in rows)
    f.writelines(others)
print(len(rows), "rows,", max(os.path.getsize(os.path.join(HERE, r[0])) for r in rows), "bytes at most")

# SPDX-License-Identifier: Apache-2.0
# Makes quants.gguf, a tensor of each type that is read, and quants.safetensors, the same widened to float32
# by the gguf package: python3 make_gguf.py (needs gguf, safetensors, numpy).
# Blocks hold random bits, but for their float16 scales, which are small: every code of every type is met.
import os

import gguf
import numpy as np
from gguf.quants import dequantize
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
T = gguf.GGMLQuantizationType
rng = np.random.default_rng(4)
# offsets of the float16 scales in a block
SCALES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q4_K: [0, 2],
          T.Q5_K: [0, 2], T.Q6_K: [208]}
ROWS, COLUMNS = 3, 512


def blocks(kind):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (ROWS, COLUMNS // values, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = rng.normal(0, 0.05, raw.shape[:2]).astype("<f2")
        raw[:, :, at:at + 2] = scale[:, :, None].view(np.uint8)
    return raw.reshape(ROWS, -1)


w = gguf.GGUFWriter(os.path.join(HERE, "quants.gguf"), "llama")
w.add_string("general.name", "quants")
w.add_uint8("t.u8", 255)
w.add_int8("t.i8", -128)
w.add_uint16("t.u16", 65535)
w.add_int16("t.i16", -32768)
w.add_uint32("t.u32", 4294967295)
w.add_int32("t.i32", -2147483648)
w.add_uint64("t.u64", 18446744073709551615)
w.add_int64("t.i64", -9223372036854775808)
w.add_float32("t.f32", 0.1)
w.add_float64("t.f64", 0.1)
w.add_bool("t.bool", True)
w.add_string("t.text", "zwei\0drei €")
w.add_array("t.numbers", [1, 2, 3])
w.add_array("t.reals", [0.5, -1.5])
w.add_array("t.words", ["a", "", "ß"])
wide = {}
plain = rng.normal(0, 1, (ROWS, COLUMNS)).astype("<f4")
for name, kind, data in (("f32", T.F32, plain), ("f16", T.F16, plain.astype("<f2"))):
    w.add_tensor(name, data)
    wide[name] = data.astype("<f4")
brain = (plain.view("<u4") >> 16).astype("<u2")
w.add_tensor("bf16", brain.view(np.uint8), raw_dtype=T.BF16)
wide["bf16"] = (brain.astype("<u4") << 16).view("<f4")
for kind in SCALES:
    raw = blocks(kind)
    w.add_tensor(kind.name.lower(), raw, raw_dtype=kind)
    wide[kind.name.lower()] = dequantize(raw, kind).astype("<f4")
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
save_file(wide, os.path.join(HERE, "quants.safetensors"), metadata={"format": "np"})

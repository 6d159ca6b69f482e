#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A GGUF with its matrices widened to BF16, for llama.cpp: widen_gguf.py IN.gguf OUT.gguf
# Owns: nothing but the copy; keys stay as they are, vectors become F32.
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize

reader = GGUFReader(sys.argv[1])
writer = GGUFWriter(sys.argv[2], reader.fields['general.architecture'].contents())
for key, field in reader.fields.items():
    if key.startswith('GGUF.') or key in ('general.architecture', 'general.file_type'):
        continue
    array = field.types[0] == GGUFValueType.ARRAY
    writer.add_key_value(key, field.contents(), field.types[0], field.types[-1] if array else None)
writer.add_uint32('general.file_type', 32)
for t in reader.tensors:
    w = np.ascontiguousarray(dequantize(t.data, t.tensor_type)).astype(np.float32)
    if w.ndim == 1:
        writer.add_tensor(t.name, w)
    else:
        writer.add_tensor(t.name, quantize(w, GGMLQuantizationType.BF16), raw_dtype=GGMLQuantizationType.BF16)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

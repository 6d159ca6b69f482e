#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A model of the shape of T5 1.1 base, with random weights: make_t5.py FOLDER
# Owns: the shape, from google/t5-v1_1-base's published config. Must not know: who measures on it.
import sys

import torch
from transformers import T5Config, T5ForConditionalGeneration

torch.manual_seed(0)
config = T5Config(vocab_size=32128, d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_heads=12,
                  feed_forward_proj='gated-gelu', tie_word_embeddings=False, dropout_rate=0.0,
                  decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
T5ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(sys.argv[1])

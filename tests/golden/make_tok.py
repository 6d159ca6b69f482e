# SPDX-License-Identifier: Apache-2.0
# Makes tok_bytes.json, tok_pieces.json and tok_unigram.json: a small byte-level BPE, a SentencePiece-style
# BPE with byte fallback, and a Unigram vocabulary as T5's (its SentencePiece file is tok_unigram.model), each
# as tokenizer.json and as GGUF metadata, with lines and what Hugging Face tokenizers makes of them.
# usage: python3 tests/golden/make_tok.py [bytes|pieces|unigram …]
#     (needs tokenizers, transformers, sentencepiece; trains on this repository's headers)
# "ids" have no special tokens, "special" have them, "plain" takes special entries in the text for text;
# "texts" decodes the ids without and with special tokens. "pairs" are prompts and completions where the ids
# of the whole begin with the ids of the prompt, as TRL wants them: the rest is the completion.
import glob
import json
import os
import random
import sys
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import oracle_tok  # noqa: E402

LINES = [
    "", " ", "a", "  two  spaces ", "It's 1,234.50 o'clock; don't PANIC!", "naïve café Ångström",
    "日本語とEnglish混在 12月", "Привет, мир!", "مرحبا بالعالم", "नमस्ते दुनिया", "👩‍💻🇩🇪 emoji",
    "tab\tnew\nline\r\nend\n\n", "\x00\x01\x7f", "x" * 300, "<s>bos in text</s>", "a<s> b </s> c<unk>",
    "<0x41>", "▁mark▁", "int main(void) { return 0; }", "\ufeffBOM", "\u2028\u3000",
]
PAIRS = [("The answer:", " yes"), ("The answer: ", "yes"), ("Label:", "positive"), ("", "alone"),
         ("Q\n", "A"), ("is it", "?"), ("text </s>", "more"), ("<s>", " so"), ("a", " b c"),
         ("結果は", "良い"), ("number 12", " 34"), ("x", "\n")]


def bytes_style(text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<unk>"]
    t.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    j = json.loads(t.to_str())
    vocab = sorted(j["model"]["vocab"], key=j["model"]["vocab"].get)
    meta = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": vocab,
            "tokenizer.ggml.merges": [" ".join(m) for m in j["model"]["merges"]],
            "tokenizer.ggml.eos_token_id": 1,
            "tokenizer.ggml.token_type": [3 if p in special else 1 for p in vocab]}
    return j, meta


def write(name, j, meta):
    t = Tokenizer.from_str(json.dumps(j))
    r = random.Random(5)
    words = [w for s in TEXT for w in s.split()]
    rows, pairs = [], []
    for s in (LINES + r.sample(TEXT, 15) +
              [oracle_tok.made(r, words, ["<s>", "</s>", "<unk>"]) for _ in range(90)]):
        s = s[:300]
        ids = t.encode(s, add_special_tokens=False).ids
        t.encode_special_tokens = True
        plain = t.encode(s, add_special_tokens=False).ids
        t.encode_special_tokens = False
        row = {"text": s, "ids": ids, "texts": [t.decode(ids, skip_special_tokens=k) for k in (True, False)]}
        special = t.encode(s).ids
        rows.append({**row, **({"special": special} if special != ids else {}),
                     **({"plain": plain} if plain != ids else {})})
    for p, c in PAIRS + [(w + ":", " " + v) for w, v in zip(words[:30], words[50:])]:
        first, whole = (t.encode(x, add_special_tokens=False).ids for x in (p, p + c))
        if whole[:len(first)] == first:
            pairs.append({"prompt": p, "completion": c, "ids": whole, "first": len(first)})
    n = t.get_vocab_size()
    random_ids = [[r.randrange(n + 2) for _ in range(r.randint(0, 9))] for _ in range(60)]
    texts = [{"ids": v, "texts": [t.decode(v, skip_special_tokens=k) for k in (True, False)]}
             for v in random_ids]
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>",
              "chat_template": "{{ messages[0]['content'] }}"}
    path = os.path.join(HERE, f"tok_{name}.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({"tokenizer": j, "config": config, "gguf": meta, "lines": rows, "texts": texts,
                   "pairs": pairs}, f, separators=(",", ":"))
        f.write("\n")
    print(path, os.path.getsize(path), "bytes,", len(rows), "lines,", len(pairs), "pairs")


TEXT = []
for path in sorted(glob.glob(os.path.join(HERE, "../../*/*.h"))):
    TEXT += open(path, encoding="utf-8").read().splitlines()
TEXT = [s for s in TEXT if s.strip()]
LEARNT = TEXT + [s for s in LINES if "\0" not in s]  # our JSON refuses a NUL in a key


def unigram_style(text):
    """With a few rules of normalization of its own: the usual map alone would be 240 KB."""
    folder = tempfile.mkdtemp()
    rules = {c: " " for c in "\t\n\r\u3000"} | {"\ufb01": "fi", "\ufeff": "", "A\u030a": "\u00c5"}
    rules |= {chr(0xff21 + i): chr(0x41 + i) for i in range(26)}
    hexed = lambda t: " ".join(f"{ord(c):X}" for c in t)
    with open(os.path.join(folder, "rules.tsv"), "w") as f:
        f.writelines(f"{hexed(a)}\t{hexed(b)}\n" for a, b in sorted(rules.items()))
    m, j, meta = oracle_tok.unigram_style(text, 900, folder, normalization_rule_tsv=f.name,
                                         hard_vocab_limit=False)
    m.ClearField("trainer_spec")  # it names files; what T5 needs of it follows
    m.trainer_spec.unk_id, m.trainer_spec.bos_id, m.trainer_spec.eos_id, m.trainer_spec.pad_id = 2, -1, 1, 0
    m.normalizer_spec.ClearField("normalization_rule_tsv")
    with open(os.path.join(HERE, "tok_unigram.model"), "wb") as f:
        f.write(m.SerializeToString())
    return j, meta


STYLES = {
    "bytes": lambda: bytes_style(LEARNT),
    "pieces": lambda: oracle_tok.sentencepiece_style(LEARNT, 900),
    "unigram": lambda: unigram_style(LEARNT),
}
for style in sys.argv[1:] or STYLES:
    write(style, *STYLES[style]())

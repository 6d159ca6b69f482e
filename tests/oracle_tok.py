# SPDX-License-Identifier: Apache-2.0
# Compares this engine's tokenizers with Hugging Face's on many lines; prints the count of differences.
# usage: oracle_tok.py --driver build/tok_driver --tokenizer tokenizer.json [--gguf MODEL.gguf]
#                      [--lines 100000] [--variant-lines 4000] [--work DIR] TEXT…
# Lines: from the texts (JSONL: its strings); half are made: random Unicode, controls, added tokens within
# words, runs of spaces, newlines, digits. Compared: ids, texts of ids and of random ids, streamed pieces, for
# the file and its GGUF; vocabularies of 32,000 trained here: SentencePiece-style BPE, and Unigram from JSON,
# spiece.model and a GGUF file; BPE's .model; ByT5; each pre-tokenizer a GGUF may name; variants of steps.
# Needs tokenizers, transformers, sentencepiece, gguf and minutes: not in the tests. --only: in the names.
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
NAME = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ENDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


# ---- lines ----
def strings(path):
    for line in open(path, encoding="utf-8", errors="replace", newline=""):
        if path.endswith(".jsonl"):
            stack = [json.loads(line)]
            while stack:
                x = stack.pop()
                if isinstance(x, str):
                    yield x
                else:
                    stack.extend(x.values() if isinstance(x, dict) else x if isinstance(x, list) else [])
        else:
            yield line


RANGES = [(0, 0x7f), (0, 0x7f), (0x80, 0x24f), (0x250, 0x1fff), (0x300, 0x36f), (0x2000, 0x206f),
          (0x20d0, 0x20ff), (0x2100, 0x2bff), (0x3000, 0x9fff), (0xac00, 0xd7a3), (0xe000, 0xffff),
          (0x10000, 0x1ffff), (0x1f300, 0x1faff), (0x1f1e6, 0x1f1ff), (0x20000, 0x2ffff), (0xe0000, 0xe01ff),
          (0x30000, 0x10ffff), (0x1680, 0x1680), (0x180e, 0x180e), (0xfe00, 0xfe0f), (0x200b, 0x200f)]
DIGITS = "0123456789\u0663\u0967\u00bd\u2163"
SPACES = [" ", "  ", "\n", "\r\n", "\t", "\u3000", "\xa0", "\x85", "\u2581", "\u2028"]
ODDITIES = ["'s", "'LL", "'\u017f", "don't", "I'Ve", "...", "!?", "</s>", "<0x41>", "http://a.b/c?d=e",
            "x\u0301", "\U0001f469\u200d\U0001f4bb", "\ufb01n", "\u00c5", "\u212b", "\u0130I", "\u1e9e",
            "A\u030a", "\u00a8", "\u1100\u1161\u11a8"]


def char(r):
    while True:
        c = r.randint(*r.choice(RANGES))
        if not 0xd800 <= c < 0xe000:
            return chr(c)


def made(r, words, added):
    out = []
    for _ in range(r.randint(1, 14)):
        k = r.random()
        out.append(char(r) * r.choice([1, 1, 1, 2, 5]) if k < .35
                   else r.choice(words) if k < .55
                   else r.choice(SPACES) * r.randint(1, 6) if k < .7
                   else "".join(r.choice(DIGITS) for _ in range(r.randint(1, 9))) if k < .77
                   else r.choice(added) if k < .87
                   else r.choice(ODDITIES))
    return "".join(out)


def lines(args, added, n):
    r = random.Random(7)
    real = []
    for p in args.text:
        real += [s for s in strings(p)]
    r.shuffle(real)
    real = real[: n // 2]
    words = [w for s in real[:3000] for w in s.split()] or ["word"]
    return real + [made(r, words, added) for _ in range(n - len(real))]


# ---- one comparison ----
def opened(path):
    """tokenizers' own reader gets some numbers wrong by their last bit, which decides between cuts of equal
    sums. Unigram's scores are therefore given as Python reads them, as transformers does for T5."""
    t = Tokenizer.from_file(path)
    model = json.load(open(path))["model"]
    if model.get("type") == "Unigram":
        t.model = models.Unigram([tuple(x) for x in model["vocab"]], model["unk_id"], model["byte_fallback"])
    return t


def ask(driver, path, questions):
    q = "".join(json.dumps(x) + "\n" for x in questions)
    p = subprocess.run([driver, path], input=q.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        raise SystemExit(f"{path}: {p.stderr.decode()}")
    timing = " ".join(p.stderr.decode().split("\n")).strip()
    return [json.loads(x) for x in p.stdout.decode().split("\n") if x], timing


def decoded(tok, ids):
    """Without and with special tokens; None where tokenizers itself panics (Strip, on a token shorter than
    it)."""
    try:
        return [tok.decode(ids, skip_special_tokens=skip) for skip in (True, False)]
    except BaseException as e:
        if type(e).__name__ != "PanicException":
            raise
        return None


def compare(name, driver, path, tok, text):
    r = random.Random(11)
    n = tok.get_vocab_size(with_added_tokens=True)
    want = [e.ids for e in tok.encode_batch(text, add_special_tokens=False)]
    special = [e.ids for e in tok.encode_batch(text[:1000], add_special_tokens=True)]
    tok.encode_special_tokens = True
    plain = [e.ids for e in tok.encode_batch(text[-1000:], add_special_tokens=False)]
    tok.encode_special_tokens = False
    rand = [[r.randrange(n + 3) for _ in range(r.randint(0, 12))] for _ in range(len(text) // 4)]
    rand += want[-len(text) // 4:]
    got, timing = ask(driver, path, text + [{"special": s} for s in text[:1000]] +
                      [{"plain": s} for s in text[-1000:]] + rand)
    bad, shown = 0, 0
    k = len(text)

    def differ(what, x, a, b):
        nonlocal bad, shown
        bad += 1
        if shown < 4:
            shown += 1
            print(f"  {what} {x!r}\n    ours {a}\n    hf   {b}")

    for s, a, b in zip(text, got, want):
        if a != b:
            differ("ids of", s[:300], a[:60], b[:60])
    for s, a, b in zip(text[:1000], got[k:], special):
        if a != b:
            differ("ids with special of", s[:300], a[:60], b[:60])
    for s, a, b in zip(text[-1000:], got[k + len(special):], plain):
        if a != b:
            differ("plain ids of", s[:300], a[:60], b[:60])
    for ids, a in zip(rand, got[k + len(special) + len(plain):]):
        b = decoded(tok, ids)
        if b is None:
            continue
        if a[:2] != b:
            differ("text of", ids, a[:2], b)
        elif "\ufffd" not in a[2 if hasattr(tok, "drops_bytes") else 0] and a[2] != a[0]:
            differ("pieces of", ids, a[2], a[0])
    print(f"{name}: {bad} differences in {len(text)} lines and {len(rand)} decodings ({timing})", flush=True)
    return bad


# ---- tokenizers ----
def sentencepiece_style(text, size):
    """A vocabulary as SentencePiece trains it: specials, 256 bytes, pieces by rank; merges from scores."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(text, trainers.BpeTrainer(vocab_size=size - 259, special_tokens=["<unk>"],
                                                    limit_alphabet=1500, show_progress=False))
    pieces = [p for p, i in sorted(t.get_vocab().items(), key=lambda x: x[1]) if p != "<unk>"]
    pieces.sort(key=lambda p: len(p) == 1)  # characters last, as SentencePiece has them
    vocab = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + pieces
    scores = [0.0] * 259 + [-float(i) for i in range(len(pieces))]
    ids = {p: i for i, p in enumerate(vocab)}
    merges = []
    for i in range(259, len(vocab)):
        p = vocab[i]
        local = [(p[:k], p[k:]) for k in range(1, len(p)) if p[:k] in ids and p[k:] in ids]
        merges += sorted(local, key=lambda m: (-len(m[0]), -len(m[1])))
    t = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    j = json.loads(t.to_str())
    j["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    meta = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": vocab, "tokenizer.ggml.scores": scores,
            "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * len(pieces),
            "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0}
    return j, meta


def trained(text, folder, name, **options):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    os.makedirs(folder, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_prefix=os.path.join(folder, name), minloglevel=2, num_threads=1,
        **options)
    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(open(os.path.join(folder, name + ".model"), "rb").read())
    return m


def converted(folder, **config):
    """What transformers makes of the SentencePiece model in the folder, as a tokenizer.json."""
    from transformers import AutoTokenizer
    json.dump(config, open(os.path.join(folder, "tokenizer_config.json"), "w"))
    json.dump({"model_type": "t5"}, open(os.path.join(folder, "config.json"), "w"))
    return json.loads(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())


def unigram_style(text, size, folder, sentinels=0, **more):
    """A Unigram vocabulary as T5's: pad, end and unknown are 0, 1 and 2; trained by sentencepiece, converted
    by transformers. The proto, the tokenizer.json and the GGUF metadata."""
    m = trained(text, folder, "spiece", vocab_size=size, model_type="unigram", pad_id=0, eos_id=1, unk_id=2,
                bos_id=-1, **more)
    j = converted(folder, tokenizer_class="T5Tokenizer", extra_ids=sentinels)
    extra = [f"<extra_id_{i}>" for i in reversed(range(sentinels))]
    meta = {"tokenizer.ggml.model": "t5", "tokenizer.ggml.tokens": [p.piece for p in m.pieces] + extra,
            "tokenizer.ggml.scores": [p.score for p in m.pieces] + [0.0] * sentinels,
            "tokenizer.ggml.token_type": [p.type for p in m.pieces] + [3] * sentinels,
            "tokenizer.ggml.precompiled_charsmap": list(m.normalizer_spec.precompiled_charsmap),
            "tokenizer.ggml.add_space_prefix": True, "tokenizer.ggml.remove_extra_whitespaces": True,
            "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.unknown_token_id": 2,
            "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.add_eos_token": True}
    return m, j, meta


def write_gguf(meta, path):
    """The metadata as a file that the gguf package writes; it holds one tensor, for it must hold some."""
    import gguf
    import numpy
    w = gguf.GGUFWriter(path, "t5")
    w.add_tokenizer_model(meta["tokenizer.ggml.model"])
    w.add_token_list(meta["tokenizer.ggml.tokens"])
    w.add_token_scores(meta["tokenizer.ggml.scores"])
    w.add_token_types(meta["tokenizer.ggml.token_type"])
    w.add_precompiled_charsmap(bytes(meta["tokenizer.ggml.precompiled_charsmap"]))
    w.add_add_space_prefix(True)
    w.add_remove_extra_whitespaces(True)
    w.add_eos_token_id(1)
    w.add_unk_token_id(2)
    w.add_pad_token_id(0)
    w.add_add_eos_token(True)
    w.add_tensor("a", numpy.zeros(4, numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


class PanicException(BaseException):
    pass


class Sentencepiece:
    """The package itself, as far as it agrees: in lines without control pieces; decoding is tokenizers'."""

    def __init__(self, path):
        import sentencepiece
        self.sp = sentencepiece.SentencePieceProcessor(model_file=path)

    def get_vocab_size(self, with_added_tokens):
        return self.sp.vocab_size()

    def encode_batch(self, text, add_special_tokens):
        return [Ids([1] * (add_special_tokens and self.sp.bos_id() == 1) + self.sp.encode(s)) for s in text]

    def decode(self, ids, skip_special_tokens):
        raise PanicException


class Ids:
    def __init__(self, ids):
        self.ids = ids


class Byt5:
    """ByT5's tokenizer behind the calls of tokenizers that are made here. An end mark at the end of a text is
    followed by another one, as everywhere else."""
    drops_bytes = True

    def __init__(self, **config):
        from transformers import ByT5Tokenizer
        self.tok = ByT5Tokenizer(**config)
        self.encode_special_tokens = False

    def get_vocab_size(self, with_added_tokens):
        return len(self.tok) - 3  # ids past the last one are not defined

    def encode_batch(self, text, add_special_tokens):
        plain = self.encode_special_tokens
        return [Ids(self.tok.encode(s, add_special_tokens=False, split_special_tokens=plain)
                    + [1] * add_special_tokens) for s in text]

    def decode(self, ids, skip_special_tokens):
        return self.tok.decode(ids, skip_special_tokens=skip_special_tokens)


def gguf_names(base):
    """GGUF-like metadata of the vocabulary with every tokenizer.ggml.pre, and the tokenizer.json it stands
    for."""
    vocab = sorted(base["model"]["vocab"], key=base["model"]["vocab"].get)
    special = {t["id"] for t in base["added_tokens"]}
    split = lambda p: {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
    byte = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    digits = {"type": "Digits", "individual_digits": True}
    rows = {"gpt-2": ([split(GPT2)], 0), "smollm": ([digits, split(GPT2)], 0),
            "llama-bpe": ([split(CL100K % r"\p{N}{1,3}")], 1), "qwen2": ([split(CL100K % r"\p{N}")], 0),
            "tekken": ([split(WORD + "|" + NAME + r"|\p{N}" + REST)], 1),
            "gpt-4o": ([split(WORD + ENDS + "|" + NAME + ENDS + r"|\p{N}{1,3}" + REST)], 0),
            "default": ([split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+")], 0)}
    for name, (steps, whole) in rows.items():
        j = json.loads(json.dumps(base))
        j["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps + [byte]}
        j["model"]["ignore_merges"] = bool(whole)
        if name == "qwen2":
            j["normalizer"] = {"type": "NFC"}
        meta = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": name, "tokenizer.ggml.tokens": vocab,
                "tokenizer.ggml.add_bos_token": False,
                "tokenizer.ggml.merges": [" ".join(m) for m in base["model"]["merges"]],
                "tokenizer.ggml.token_type": [3 if i in special else 1 for i in range(len(vocab))]}
        yield name, j, meta


def variants(base, sp):
    nt = lambda *a: {"type": "Sequence",
                     "normalizers": [x if isinstance(x, dict) else {"type": x} for x in a]}
    pt = lambda *a: {"type": "Sequence", "pretokenizers": list(a)}
    byte = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    meta = lambda scheme, split: {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme,
                                  "split": split}
    rx = lambda p, b, i=False: {"type": "Split", "pattern": {"Regex": p}, "behavior": b, "invert": i}
    st = lambda p, b, i=False: {"type": "Split", "pattern": {"String": p}, "behavior": b, "invert": i}
    tok = lambda s, **k: dict({"content": s, "single_word": False, "lstrip": False, "rstrip": False,
                               "normalized": False, "special": False}, **k)
    more = [tok("Café", normalized=True), tok("<a>", lstrip=True), tok("<b>", rstrip=True),
            tok("<ab>", lstrip=True, rstrip=True, special=True), tok("word", single_word=True),
            tok("the", single_word=True, normalized=True), tok("<a><b>"), tok("\n\n"),
            tok("12", single_word=True)]
    for name, change in {
        "prefix space": {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True,
                                           "trim_offsets": True, "use_regex": True}},
        "digits together": {"pre_tokenizer": pt({"type": "Digits", "individual_digits": False}, byte)},
        "NFC": {"normalizer": nt("NFC")}, "NFD": {"normalizer": nt("NFD")},
        "NFKC": {"normalizer": nt("NFKC")}, "NFKD": {"normalizer": nt("NFKD")},
        "lower": {"normalizer": nt("Lowercase")}, "no accents": {"normalizer": nt("NFD", "StripAccents")},
        "strip": {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
        "strip left": {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": False}},
        "replace": {"normalizer": nt({"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                                     {"type": "Replace", "pattern": {"String": "e"}, "content": "éé"})},
        "byte normalizer": {"normalizer": {"type": "ByteLevel"}, "pre_tokenizer": None},
        "whitespace": {"pre_tokenizer": pt({"type": "Whitespace"}, byte)},
        "whitespace split": {"pre_tokenizer": pt({"type": "WhitespaceSplit"}, byte)},
        **{"punctuation " + b: {"pre_tokenizer": pt({"type": "Punctuation", "behavior": b}, byte)}
           for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
        **{f"split {b} {i}": {"pre_tokenizer": pt(rx(r"\w+|[^\w\s]", b, i), st("e.", b), st(" ", b, i), byte)}
           for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
           for i in (False, True)},
        "classes": {"pre_tokenizer": pt(rx(r"\b\d+\b|\h{2}|[\s\d]{2,3}|[^\S\n]+|\p{Han}+|\p{^L}\u0041"
                                           r"|(?i:straße)|.$", "Isolated"), byte)},
        "added": {"added_tokens": base["added_tokens"] + more},
        "added, lower": {"added_tokens": base["added_tokens"] + more, "normalizer": nt("Lowercase")},
        "added, NFC": {"added_tokens": base["added_tokens"] + more, "normalizer": nt("NFC"),
                       "pre_tokenizer": pt(meta("first", True), byte)},
        "no decoder": {"decoder": None},
    }.items():
        j = json.loads(json.dumps(dict(base, **change)))
        for i, t in enumerate(x for x in j["added_tokens"] if x["content"] in [m["content"] for m in more]):
            known = base["model"]["vocab"].get(t["content"])
            last = max([len(base["model"]["vocab"]) - 1] + [x["id"] for x in j["added_tokens"] if "id" in x])
            t["id"] = known if known is not None else last + 1
        yield name, j
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield f"metaspace {scheme} {split}", dict(sp, normalizer=None, pre_tokenizer=meta(scheme, split),
                                                      decoder=meta(scheme, split))
    strip = {"type": "Strip", "strip_left": True, "strip_right": True}
    yield "metaspace first after strip", dict(sp, normalizer=strip, pre_tokenizer=meta("first", True),
                                              decoder=meta("first", True))
    yield "no byte fallback", dict(sp, model=dict(sp["model"], byte_fallback=False))
    yield "unknown not fused", dict(sp, model=dict(sp["model"], byte_fallback=False, fuse_unk=False))
    few = {k: v for k, v in sp["model"]["vocab"].items() if not k.startswith("<0xF")}
    ids = {k: i for i, k in enumerate(few)}
    yield "few bytes", dict(sp, model=dict(sp["model"], vocab=ids))
    yield "strip decoder", dict(sp, decoder={"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Strip", "content": " ", "start": 2, "stop": 1}]})
    try:
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2 as pb
    except ImportError:
        print("no sentencepiece: Precompiled not compared")
        return
    import base64
    import io
    for rule in ("nmt_nfkc", "nmt_nfkc_cf"):
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b c abc"] * 20), model_writer=out,
                                                 vocab_size=8, model_type="bpe",
                                                 normalization_rule_name=rule, minloglevel=2)
        m = pb.ModelProto.FromString(out.getvalue())
        charsmap = base64.b64encode(m.normalizer_spec.precompiled_charsmap).decode()
        yield "precompiled " + rule, dict(
            sp, normalizer=nt({"type": "Precompiled", "precompiled_charsmap": charsmap}),
            pre_tokenizer=meta("always", True), decoder=meta("always", True))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--driver", required=True)
    a.add_argument("--tokenizer", required=True)
    a.add_argument("--gguf")
    a.add_argument("--lines", type=int, default=100000)
    a.add_argument("--variant-lines", type=int, default=4000)
    a.add_argument("--work", default=tempfile.mkdtemp())
    a.add_argument("--only", default="")
    a.add_argument("text", nargs="+")
    args = a.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    base = json.load(open(args.tokenizer))
    added = [t["content"] for t in base["added_tokens"]]
    added += ["Café", "café", " <a> ", "<b>  ", " <ab> ", "word", "words", "the", "<a><b>", "12", "<s>",
              "</s>", "<unk>"]
    text = lines(args, added, args.lines)
    some = lines(args, added, args.variant_lines)
    bad = 0

    def run(name, hf, ours, text):
        nonlocal bad
        if args.only not in name:
            return
        paths = []
        for k, j in enumerate((hf, ours)):
            if isinstance(j, str):
                paths.append(j)
                continue
            paths.append(os.path.join(args.work, f"{k}.json"))
            json.dump(j, open(paths[-1], "w"))
        bad += compare(name, args.driver, paths[1], opened(paths[0]), text)

    run("tokenizer.json", args.tokenizer, args.tokenizer, text)
    if args.gguf:
        run("gguf", args.tokenizer, args.gguf, text)
    sp, meta = sentencepiece_style(text[: len(text) // 2], 32000)
    run("sentencepiece style", sp, sp, text)
    run("sentencepiece style, gguf scores", sp, meta, text)
    half = text[: len(text) // 2]
    if any(x.startswith(args.only) or args.only.startswith(x) for x in ("unigram", "spiece", "byt5")):
        t5, bpe = (os.path.join(args.work, x) for x in ("t5", "bpe"))
        learnt = [s for p in args.text for s in strings(p)]
        _, uni, meta = unigram_style(random.Random(3).sample(learnt, min(len(learnt), 200000)), 32000, t5,
                                     sentinels=100)
        run("unigram", uni, uni, text)
        run("unigram, spiece.model", uni, os.path.join(t5, "spiece.model"), text)
        run("unigram, gguf", uni, write_gguf(meta, os.path.join(args.work, "t5.gguf")), text)
        uni["model"]["byte_fallback"] = True
        run("unigram, byte fallback without bytes", uni, uni, some)
        trained(half, bpe, "tokenizer", vocab_size=4000, model_type="bpe", byte_fallback=True,
                normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True)
        if args.only in "spiece bpe":
            plain = [re.sub("<unk>|</?s>", "", s) for s in text]
            model = os.path.join(bpe, "tokenizer.model")
            bad += compare("spiece bpe", args.driver, model, Sentencepiece(model), plain)
        byt5 = os.path.join(args.work, "tokenizer_config.json")
        plain = [re.sub("[\x1c-\x1f]", "", s) for s in some]  # white space in Python, not in Unicode
        for config in ({}, {"extra_ids": 0}, {"extra_ids": 3}):
            json.dump(dict(config, tokenizer_class="ByT5Tokenizer"), open(byt5, "w"))
            if args.only in "byt5":
                bad += compare(f"byt5 {config}", args.driver, byt5, Byt5(**config), plain)
    for name, hf, ours in gguf_names(base):
        run("pre " + name, hf, ours, some)
    for name, j in variants(base, sp):
        run(name, j, j, some)
    print(f"{bad} differences")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())

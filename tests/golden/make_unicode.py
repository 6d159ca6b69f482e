# SPDX-License-Identifier: Apache-2.0
# Writes io/unicode_delta.h: where the Unicode of Hugging Face tokenizers differs from that of Debian 12's
# libraries.
# usage: make_unicode.py OUT       (tokenizers 0.23, a Python whose unicodedata is 14.0, as PCRE2 10.42 is)
# tokenizers carries several versions: 16 in its regular expressions, 17 in Rust's own classes, 8 or so in its
# punctuation and 9 in its normal forms. Each is asked here about every character.
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0"
ALL = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
CATS = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split()


def matched(step, around="\0"):
    return {c for c in ALL if len(step.pre_tokenize_str(around + chr(c) + around)) != 1}


def of(pattern):
    return matched(pre_tokenizers.Split(Regex(pattern), "isolated"))


def ranges(s, tag=lambda c: 0):
    out = []
    for c in sorted(s):
        if out and c == out[-1][1] + 1 and tag(c) == out[-1][2]:
            out[-1][1] = c
        else:
            out.append([c, c, tag(c)])
    return out


def table(name, why, rows, fmt):
    cells = [fmt(r) for r in rows]
    text, line = "", "   "
    for c in cells:
        if len(line) + len(c) > 107:
            text, line = text + line + "\n", "   "
        line += " " + c
    return f"/* {why} */\nstatic const struct delta {name}[] = {{\n{text}{line}\n}};\n\n"


new = {}
for cat in CATS:
    for c in of(r"\p{%s}" % cat):
        if unicodedata.category(chr(c)) != cat:
            new[c] = cat
han = {c for c in of(r"\p{Han}") if c in new}
gc = lambda c: new.get(c, unicodedata.category(chr(c)))
numeric = {c for c in matched(pre_tokenizers.Digits(True), "a") if unicodedata.category(chr(c))[0] != "N"}
punct = matched(pre_tokenizers.Punctuation(), "a")
accents = normalizers.StripAccents()
mark = {c for c in ALL if accents.normalize_str(chr(c)) == ""}
other_punct = punct ^ {c for c in ALL if gc(c)[0] == "P" or (c < 128 and c in punct)}
other_mark = mark ^ {c for c in ALL if gc(c)[0] == "M"}
kd = normalizers.NFKD()
plain = {c for c in ALL if c >= 0x80 and unicodedata.normalize("NFKD", chr(c)) != chr(c)
         and kd.normalize_str(chr(c)) == chr(c)}
# newer than unicodedata; second half of U+11938
plain |= set(range(0x1e030, 0x1e06e)) | set(range(0x1ccd6, 0x1ccfa)) | {0x11930}
low = normalizers.Lowercase()
lower = {}
for c in ALL:
    l = low.normalize_str(chr(c))
    if len(l) == 1 and l != (chr(c).lower() if len(chr(c).lower()) == 1 else l):
        lower[c] = ord(l) - c
span = lambda r: "{ 0x%x, 0x%x, 0, \"\" }," % (r[0], r[1])
with open(sys.argv[1], "w") as f:
    f.write("/* SPDX-License-Identifier: Apache-2.0\n"
            " * Where the Unicode of Hugging Face tokenizers 0.23 differs from PCRE2's and utf8proc's: "
            "made by\n"
            " * tests/golden/make_unicode.py, not by hand. Owns: these tables, for unicode.c alone. "
            "Must not know: who asks.\n"
            " * Invariant: each table is sorted, and a character that is in it has the answer it has in "
            "tokenizers. */\n"
            "#ifndef ADA_IO_UNICODE_DELTA_H\n#define ADA_IO_UNICODE_DELTA_H\n\n#include <stdint.h>\n\n"
            "struct delta {\n    uint32_t first, last;\n    int32_t add;\n    char category[3];\n};\n\n")
    f.write(table("new_category",
                  "Assigned, or moved to another category, in Unicode 15 to 16: for regular expressions.",
                  ranges(new, lambda c: new[c]), lambda r: '{ 0x%x, 0x%x, 0, "%s" },' % tuple(r)))
    f.write(table("new_han", "Of these, the Han script.", ranges(han), span))
    f.write(table("new_numeric", "Numeric for Rust and not in Unicode 14.", ranges(numeric), span))
    f.write(table("other_punct", "Punctuation in one and not in the other: tokenizers has an old list.",
                  ranges(other_punct), span))
    f.write(table("other_mark",
                  "Marks in one and not in the other, likewise; its normal forms don't move or join them.",
                  ranges(other_mark), span))
    f.write(table("no_decomposition", "Characters that its normal forms leave alone.", ranges(plain), span))
    f.write(table("new_lower", "Lower case newer than Unicode 14: what to add.",
                  ranges(lower, lambda c: lower[c]),
                  lambda r: "{ 0x%x, 0x%x, %d, \"\" }," % tuple(r)))
    f.write("#endif\n")

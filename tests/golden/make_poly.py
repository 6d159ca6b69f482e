#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# The polynomials of simd/vec.h (e^x, 2^x) and simd/k_map.h (the normal distribution): fitted anew, and the
# ones in the headers measured against the functions they stand for. Needs numpy.
# usage: make_poly.py
# Prints both; exit 1 if a header's polynomial is more than twice as far off as a new fit.
import math
import re
import sys
from pathlib import Path

import numpy as np

SIMD = Path(__file__).resolve().parents[2] / "simd"


def constants(name, start, end):
    """Hexadecimal floats of a header between two words."""
    text = (SIMD / name).read_text()
    text = text[text.index(start):]
    return [float.fromhex(x) if "x" in x else float(x)
            for x in re.findall(r"-?0x[0-9a-f.]+p[+-]?\d+(?=f)|(?<=set1\()0\.5(?=f)", text[:text.index(end)])]


def fit(f, low, high, degree):
    """Chebyshev interpolation, as powers from the highest; rounded to float."""
    p = np.polynomial.Chebyshev.interpolate(np.vectorize(f), degree, [low, high])
    return np.float32(p.convert(kind=np.polynomial.Polynomial).coef[::-1]).astype(float)


def worst(error, low, high):
    return max(abs(error(x)) for x in np.linspace(low, high, 20001))


def exp_rest(r):
    """(e^r - 1 - r) / r², by its series."""
    return sum(r**k / math.factorial(k + 2) for k in range(20))


def exp2_rest(r):
    """2·(2^r - 1) / r, by its series."""
    return 2 * sum(math.log(2)**(k + 1) * r**k / math.factorial(k + 1) for k in range(20))


def normal_ratio(w):
    """R(t)·(t + 4), R(t) = Φ(-t)·e^(t²/2), t = 4(1 + w)/(1 - w)."""
    t = 4 * (1 + w) / (1 - w)
    return 0.5 * math.erfc(t / math.sqrt(2)) * math.exp(t * t / 2) * (t + 4)


def root(w):
    """x of w = 2x²/25 - 1."""
    return 5 * math.sqrt(max((w + 1) / 2, 1e-30))


def normal_slope(w):
    """(Φ(x) - ½) / x."""
    return math.erf(root(w) / math.sqrt(2)) / 2 / root(w)


def judge(what, header, new, error, low, high):
    there, best = worst(lambda x: error(header, x), low, high), worst(lambda x: error(new, x), low, high)
    print(f"{what}: {len(header) - 1} degrees, error 2^{math.log2(there):.2f}, "
          f"fitted anew 2^{math.log2(best):.2f}")
    print("  header", " ".join(c.hex() for c in header))
    print("  anew  ", " ".join(c.hex() for c in new))
    return len(header) == len(new) and there <= 2 * best


def main():
    half = math.log(2) / 2
    q = constants("vec.h", "vf q = vf_fma", "vf p = vf_add")
    good = judge("e^r", q, fit(exp_rest, -half, half, 4),
                 lambda c, r: (1 + r + r * r * np.polyval(c, r)) / math.exp(r) - 1, -half, half)
    q = constants("vec.h", "vf p = vf_fma", "p = vf_fma(p, r, vf_set1(2.0f))")
    good &= judge("2^r", q, fit(exp2_rest, -0.5, 0.5, 3),
                  lambda c, r: (1 + r / 2 * np.polyval(c, r)) / 2**r - 1, -0.5, 0.5)
    body = constants("k_map.h", "static const float c[10]", "for (int i = 0; i < 10")
    c = [body[-1]] + body[:-1]  # the leading one is written last
    end = (15 - 4) / (15 + 4)
    good &= judge("R(t)·(t + 4)", c, fit(normal_ratio, -1, end, 10),
                  lambda c, w: np.polyval(c, w) / normal_ratio(w) - 1, -1, end)
    body = constants("k_map.h", "static const float c[12]", "for (int i = 0; i < 12")
    c = [body[-1]] + body[:-1]
    good &= judge("(Φ(x) - ½) / x", c, fit(normal_slope, -1, 1, 12),
                  lambda c, w: root(w) * (np.polyval(c, w) - normal_slope(w)), -1, 1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

/* SPDX-License-Identifier: Apache-2.0
 * One value in, one value out: sums, products, activations and their derivatives.
 * Each row is the oracle in double, then the words of the body. Contracts: kernels.h.
 * Invariant: an activation's argument is clamped where the result is settled, so that no inf·0 arises from an
 * input that is not NaN. */

#ifdef ADA_ISA_REF
#define MAP1(name, oracle, words)                                                                            \
    static void k_##name(float *y, const float *pa, size_t n)                                                \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) { double a = pa[i]; y[i] = (float)(oracle); }                         \
    }
#define HALF1(name, oracle, words)                                                                           \
    static void k_##name##_bf16(uint16_t *y, const uint16_t *pa, size_t n)                                   \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            double a = ada_bf16_value(pa[i]);                                                                \
            y[i] = ada_bf16_of((float)(oracle));                                                             \
        }                                                                                                    \
    }
#define MAP2(name, oracle, words)                                                                            \
    static void k_##name(float *y, const float *pa, const float *pb, size_t n)                               \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) { double a = pa[i], b = pb[i]; y[i] = (float)(oracle); }              \
    }
#define HALF2(name, oracle, words)                                                                           \
    static void k_##name##_bf16(uint16_t *y, const uint16_t *pa, const uint16_t *pb, size_t n)               \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            double a = ada_bf16_value(pa[i]), b = ada_bf16_value(pb[i]);                                     \
            y[i] = ada_bf16_of((float)(oracle));                                                             \
        }                                                                                                    \
    }
#define MAPS(name, oracle, words)                                                                            \
    static void k_##name(float *py, const float *pa, float ps, size_t n)                                     \
    {                                                                                                        \
        const double s = ps;                                                                                 \
        for (size_t i = 0; i < n; i++) { double a = pa[i], y = py[i]; (void)y; py[i] = (float)(oracle); }    \
    }
typedef double num;
static num clamp(num x, num low, num high) { return x < low ? low : x > high ? high : x; }
static num sigmoid(num x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static num normal_cdf(num x) { return 0.5 * erfc(-x / 1.4142135623730951); }
static num tanh_argument(num x) { return 1.5957691216057308 * (x + 0.044715 * x * x * x); } /* 2√(2/π)(…) */
static num tanh_slope(num x)
{
    x = clamp(x, -1e3, 1e3);
    return 1.5957691216057308 * (1 + 3 * 0.044715 * x * x);
}
static num gate_back(num x, num u, num slope)
{
    return sigmoid(u) + clamp(x, -1e3, 1e3) * slope * sigmoid(u) * sigmoid(-u);
}
static num normal_back(num x)
{
    return normal_cdf(x) + clamp(x, -1e3, 1e3) * exp(-0.5 * x * x) * 0.3989422804014327;
}
#else
#define MAP1(name, oracle, words)                                                                            \
    static void k_##name(float *y, const float *pa, size_t n)                                                \
    {                                                                                                        \
        VEC_EACH(n, vf a = LD(pa); ST(y, words));                                                            \
    }
#define LD16(p) (m == VL ? vf_load_bf16((p) + i) : vf_load_bf16_n((p) + i, m))
#define ST16(p, v)                                                                                           \
    do { if (m == VL) vf_store_bf16((p) + i, v); else vf_store_bf16_n((p) + i, v, m); } while (0)
#define HALF1(name, oracle, words)                                                                           \
    static void k_##name##_bf16(uint16_t *y, const uint16_t *pa, size_t n)                                   \
    {                                                                                                        \
        VEC_EACH(n, vf a = LD16(pa); ST16(y, words));                                                        \
    }
#define MAP2(name, oracle, words)                                                                            \
    static void k_##name(float *y, const float *pa, const float *pb, size_t n)                               \
    {                                                                                                        \
        VEC_EACH(n, vf a = LD(pa); vf b = LD(pb); ST(y, words));                                             \
    }
#define HALF2(name, oracle, words)                                                                           \
    static void k_##name##_bf16(uint16_t *y, const uint16_t *pa, const uint16_t *pb, size_t n)               \
    {                                                                                                        \
        VEC_EACH(n, vf a = LD16(pa); vf b = LD16(pb); ST16(y, words));                                       \
    }
#define MAPS(name, oracle, words)                                                                            \
    static void k_##name(float *py, const float *pa, float ps, size_t n)                                     \
    {                                                                                                        \
        const vf s = vf_set1(ps);                                                                            \
        VEC_EACH(n, vf a = LD(pa); vf y = LD(py); (void)y; ST(py, words));                                   \
    }
typedef vf num;
/* past ±128 every sigmoid and every normal distribution here is 0 or 1 in float; NaN stays */
VEC vf settle(vf x) { return vf_max(vf_set1(-128.0f), x); }
VEC vf settle2(vf x) { return vf_min(vf_set1(128.0f), settle(x)); }
VEC vf sigmoid(vf x) { vf q; return vf_sigmoid2(x, &q); }
/* For what is rounded to bf16: σ(-x·ln 2), 2^-17 off, by one division. */
VEC vf sigmoid_near(vf x) { return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp2_near(x))); }

/* Φ(x) and φ(x). With t = |x|: Φ(-t) = e^(-t²/2)·R(t), and R(t)·(t + 4) is smooth in w = (t - 4)/(t + 4):
 * degree 10, Chebyshev fit on 0 ≤ t ≤ 15 (tests/golden/make_poly.py). t² is carried in two parts, so that the
 * tail keeps its relative accuracy. */
VEC vf normal_cdf2(vf x, vf *pdf)
{
    vf t = vf_min(vf_set1(15.0f), vf_abs(x)), half = vf_set1(0.5f);
    vf s = vf_mul(t, t), rest = vf_fnma(t, t, s); /* s - t², exact */
    vf e = vf_exp(vf_neg(vf_mul(s, half)));
    e = vf_fma(vf_mul(e, half), rest, e);
    *pdf = vf_mul(e, vf_set1(0x1.988454p-2f));
    vf d = vf_div(vf_set1(1.0f), vf_add(t, vf_set1(4.0f))), w = vf_mul(vf_sub(t, vf_set1(4.0f)), d);
    static const float c[10] = {-0x1.e61df8p-13f, 0x1.66ba3ep-13f, 0x1.af48ccp-10f, -0x1.c95a10p-9f,
                                -0x1.ee7c98p-8f,  0x1.eec6cep-5f,  -0x1.7dfedep-3f, 0x1.8c6dbcp-2f,
                                -0x1.373e3cp-1f,  0x1.82b4bcp-1f};
    vf p = vf_set1(-0x1.b07cf0p-15f);
    for (int i = 0; i < 10; i++) p = vf_fma(p, w, vf_set1(c[i]));
    vf q = vf_mul(vf_mul(e, p), d);
    return vf_select(vf_gt(x, vf_zero()), vf_sub(vf_set1(1.0f), q), q);
}
VEC vf normal_cdf(vf x) { vf pdf; return normal_cdf2(x, &pdf); }
/* Φ(x) for what is rounded to bf16, at most 2^-21 off: ½ + x·P(2x²/25 - 1), degree 12, Chebyshev fit on
 * |x| ≤ 5 (tests/golden/make_poly.py), 0 below; no e^x and no division. */
VEC vf normal_cdf_near(vf x)
{
    static const float c[12] = {-0x1.b6d652p-10f, 0x1.7f6b8cp-10f, -0x1.4c2dc0p-9f, 0x1.b4fb46p-8f,
                                -0x1.72451ep-7f,  0x1.0ad8ecp-6f,  -0x1.7c6068p-6f, 0x1.01c29ep-5f,
                                -0x1.4b5f4ap-5f,  0x1.a60b0ep-5f,  -0x1.1feea2p-4f, 0x1.218358p-3f};
    vm none = vf_gt(vf_set1(-5.0f), x);
    x = vf_max(vf_set1(-5.0f), vf_min(vf_set1(5.0f), x));
    vf w = vf_fma(vf_mul(x, x), vf_set1(0.08f), vf_set1(-1.0f)), p = vf_set1(0x1.721f68p-11f);
    for (int i = 0; i < 12; i++) p = vf_fma(p, w, vf_set1(c[i]));
    return vf_select(none, vf_zero(), vf_fma(x, p, vf_set1(0.5f)));
}
VEC vf normal_back(vf x)
{
    vf pdf, cdf = normal_cdf2(x, &pdf);
    return vf_fma(settle2(x), pdf, cdf);
}
/* 2√(2/π)·(x + 0.044715 x³) and, of settled x, its slope */
VEC vf tanh_argument(vf x)
{
    return vf_mul(x, vf_fma(vf_set1(0.071354814f), vf_mul(x, x), vf_set1(1.5957691f)));
}
VEC vf tanh_slope(vf x)
{
    return vf_fma(vf_set1(0.21406445f), vf_mul(x, x), vf_set1(1.5957691f));
}
/* -log2(e) times the argument; and σ of that */
VEC vf tanh_exponent(vf x)
{
    return vf_mul(x, vf_fma(vf_set1(-0.10294324f), vf_mul(x, x), vf_set1(-2.3022082f)));
}
VEC vf silu_near(vf a) { return vf_mul(settle(a), sigmoid_near(vf_mul(a, vf_set1(-1.442695f)))); }
VEC vf quick_near(vf a) { return vf_mul(settle(a), sigmoid_near(vf_mul(a, vf_set1(-2.4554669f)))); }
VEC vf tanh_near(vf a) { return vf_mul(settle(a), sigmoid_near(tanh_exponent(a))); }
VEC vf gate_back(vf x, vf u, vf slope)
{
    vf not_p, p = vf_sigmoid2(u, &not_p);
    return vf_mul(p, vf_fma(vf_mul(settle2(x), slope), not_p, vf_set1(1.0f)));
}
#endif

MAP2(add, a + b, vf_add(a, b))
MAP2(mul, a * b, vf_mul(a, b))
MAPS(scale, a * s, vf_mul(a, s))
MAPS(axpy, y + s * a, vf_fma(s, a, y))
MAP1(relu, 0 > a ? 0 : a, vf_max(vf_zero(), a))
HALF1(relu, 0 > a ? 0 : a, vf_max(vf_zero(), a))
MAP2(relu_back, 0 >= b ? 0 : a, vf_select(vf_ge(vf_zero(), b), vf_zero(), a))

#define BOTH1(name, oracle, words, words_bf16) MAP1(name, oracle, words) HALF1(name, oracle, words_bf16)
#define BOTH2(name, oracle, words, words_bf16) MAP2(name, oracle, words) HALF2(name, oracle, words_bf16)
BOTH1(silu, clamp(a, -1e3, INFINITY) * sigmoid(a), vf_mul(settle(a), sigmoid(a)), silu_near(a))
BOTH1(gelu_quick, clamp(a, -1e3, INFINITY) * sigmoid(1.702 * a),
      vf_mul(settle(a), sigmoid(vf_mul(vf_set1(1.702f), a))), quick_near(a))
BOTH1(gelu_tanh, clamp(a, -1e3, INFINITY) * sigmoid(tanh_argument(a)),
      vf_mul(settle(a), sigmoid(tanh_argument(a))), tanh_near(a))
BOTH1(gelu_erf, clamp(a, -1e3, INFINITY) * normal_cdf(a), vf_mul(settle(a), normal_cdf(a)),
      vf_mul(settle(a), normal_cdf_near(a)))

/* (a·σ(u))' = σ(u) + a·u'·σ(u)·(1 - σ(u)) */
MAP2(silu_back, a * gate_back(b, b, 1), vf_mul(a, gate_back(b, b, vf_set1(1.0f))))
MAP2(gelu_quick_back, a * gate_back(b, 1.702 * b, 1.702),
     vf_mul(a, gate_back(b, vf_mul(vf_set1(1.702f), b), vf_set1(1.702f))))
MAP2(gelu_tanh_back, a * gate_back(b, tanh_argument(b), tanh_slope(b)),
     vf_mul(a, gate_back(b, tanh_argument(b), tanh_slope(settle2(b)))))
MAP2(gelu_erf_back, a * normal_back(b), vf_mul(a, normal_back(b)))

BOTH2(swiglu, clamp(a, -1e3, INFINITY) * sigmoid(a) * b, vf_mul(vf_mul(settle(a), sigmoid(a)), b),
      vf_mul(silu_near(a), b))

/* Gradients of a gated activation a·σ(u(a))·b. The oracle's slope is u', the words' one a·u', where a is
 * settled; those for bf16 have -log2(e)·u. */
#ifdef ADA_ISA_REF
#define GATED_BACK(name, T, ld, put, oracle_u, oracle_slope)                                                 \
    static void k_##name(T *dg, T *du, const float *dh, const T *g, const T *u, size_t n)                    \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            double a = ld(g[i]), b = ld(u[i]), d = dh[i];                                                    \
            dg[i] = put((float)(d * b * gate_back(a, oracle_u, oracle_slope)));                              \
            du[i] = put((float)(d * (clamp(a, -1e3, INFINITY) * sigmoid(oracle_u))));                        \
        }                                                                                                    \
    }
#define GATED_BACKS(name, oracle_u, oracle_slope, words_u, words_exponent, words_slope)                      \
    GATED_BACK(name, float, , , oracle_u, oracle_slope)                                                      \
    GATED_BACK(name##_bf16, uint16_t, ada_bf16_value, ada_bf16_of, oracle_u, oracle_slope)
#else
VEC vf gate_far(vf u, vf *not_p) { return vf_sigmoid2(u, not_p); }
VEC vf gate_near(vf exponent, vf *not_p)
{
    vf p = sigmoid_near(exponent);
    *not_p = vf_sub(vf_set1(1.0f), p);
    return p;
}
#define GATED_BACK(name, T, ld, put, gate, words_u, words_slope)                                             \
    static void k_##name(T *dg, T *du, const float *dh, const T *g, const T *u, size_t n)                    \
    {                                                                                                        \
        VEC_EACH(n, vf a = settle(ld(g)); vf b = ld(u); vf d = LD(dh); vf not_p;                             \
                 vf c = vf_min(vf_set1(128.0f), a), p = gate(words_u, &not_p);                               \
                 put(dg, vf_mul(vf_mul(d, b), vf_mul(p, vf_fma(words_slope, not_p, vf_set1(1.0f)))));        \
                 put(du, vf_mul(d, vf_mul(a, p))));                                                          \
    }
#define GATED_BACKS(name, oracle_u, oracle_slope, words_u, words_exponent, words_slope)                      \
    GATED_BACK(name, float, LD, ST, gate_far, words_u, words_slope)                                          \
    GATED_BACK(name##_bf16, uint16_t, LD16, ST16, gate_near, words_exponent, words_slope)
#endif
GATED_BACKS(swiglu_back, a, 1, c, vf_mul(c, vf_set1(-1.442695f)), c)

BOTH2(geglu_tanh, clamp(a, -1e3, INFINITY) * sigmoid(tanh_argument(a)) * b,
      vf_mul(vf_mul(settle(a), sigmoid(tanh_argument(a))), b), vf_mul(tanh_near(a), b))

GATED_BACKS(geglu_tanh_back, tanh_argument(a), tanh_slope(a), tanh_argument(c), tanh_exponent(c),
            vf_mul(c, tanh_slope(c)))

/* tanh x = σ(2x) - σ(-2x) */
static void k_softcap(float *y, const float *pa, float cap, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < n; i++) y[i] = (float)(cap * tanh(pa[i] / (double)cap));
#else
    const vf c = vf_set1(cap);
    VEC_EACH(n, vf q; vf a = vf_div(LD(pa), c); vf p = vf_sigmoid2(vf_add(a, a), &q);
             ST(y, vf_mul(c, vf_sub(p, q))));
#endif
}

static void k_softcap_back(float *dx, const float *dy, const float *y, float cap, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < n; i++) dx[i] = (float)(dy[i] * (1 - y[i] / (double)cap * (y[i] / (double)cap)));
#else
    const vf c = vf_set1(cap), one = vf_set1(1.0f);
    VEC_EACH(n, vf t = vf_div(LD(y), c); ST(dx, vf_mul(LD(dy), vf_fnma(t, t, one))));
#endif
}

/* SPDX-License-Identifier: Apache-2.0
 * Rows of attention scores against a block of keys: online softmax, and its backward. Contracts: kernels.h.
 * Must not know: where keys lie. Invariant: keys outside [lo, hi) count as probability 0 exactly, and lanes
 * follow the place in the block, so that how far a block reaches beyond a row's own keys leaves no trace. */

#ifdef ADA_ISA_REF
static double capped(double s, double scale, double cap, double *slope)
{
    double x = cap > 0 ? s * scale / cap : 0, c = cosh(x);
    *slope = scale / (c * c);
    return cap > 0 ? cap * tanh(x) : s * scale;
}
static void put_ref(float *f, uint16_t *h, size_t i, double x)
{
    if (h) h[i] = ada_bf16_of((float)x);
    else f[i] = (float)x;
}
static void k_attend_rows(const ada_scores *t, float *stat, float *factor)
{
    for (size_t r = 0; r < t->m; r++, stat += 2) {
        const float *s = t->s + r * t->ld;
        size_t lo = t->seen ? t->seen[r][0] : 0, hi = t->seen ? t->seen[r][1] : t->n;
        double m = stat[0], sum = 0, slope, alpha;
        for (size_t i = lo; i < hi; i++) m = fmax(m, capped(s[i], t->scale, t->cap, &slope));
        alpha = m == stat[0] ? 1 : exp(stat[0] - m);
        for (size_t i = 0; i < t->n; i++) {
            double p = i >= lo && i < hi ? exp(capped(s[i], t->scale, t->cap, &slope) - m) : 0;
            sum += p;
            put_ref(t->s, t->p, r * t->ld + i, p);
        }
        stat[0] = (float)m;
        stat[1] = (float)(stat[1] * alpha + sum);
        factor[r] = (float)alpha;
    }
}
static float k_attend_end(float *o, const float *stat, size_t n)
{
    for (size_t i = 0; i < n; i++) o[i] = (float)((double)o[i] / stat[1]);
    return (float)(stat[0] + log(stat[1]));
}
static void k_attend_back(const ada_scores *t, const float *lse, const float *d)
{
    for (size_t r = 0; r < t->m; r++)
        for (size_t i = 0; i < t->n; i++) {
            size_t at = r * t->ld + i;
            int seen = !t->seen || (i >= t->seen[r][0] && i < t->seen[r][1]);
            double slope, y = capped(t->s[at], t->scale, t->cap, &slope);
            float p = seen ? (float)exp(y - lse[r]) : 0;
            put_ref(t->s, t->p, at, p);
            put_ref(t->dp, t->ds, at, seen ? p * ((double)t->dp[at] - d[r]) * slope : 0);
        }
}
#else

/* Of 16 keys from i on, those in [lo, hi). */
VEC vm seen(size_t i, size_t lo, size_t hi)
{
    size_t a = lo > i ? lo - i : 0, b = hi > i ? hi - i : 0;
    return vm_and(vm_first(b < 16 ? b : 16), vm_not(vm_first(a < 16 ? a : 16)));
}

/* VEC_EACH over a row: `zeros` where no key is of [lo, hi), else the rest, with `all` if all 16 are. */
#define SEEN_EACH(zeros, ...)                                                                                \
    do {                                                                                                     \
        if (lo == 0 && hi == n) {                                                                            \
            VEC_EACH(n, const int all = m == VL; __VA_ARGS__);                                               \
            break;                                                                                           \
        }                                                                                                    \
        VEC_EACH(n, {                                                                                        \
            if (i + 16 <= lo || i >= hi) {                                                                   \
                zeros;                                                                                       \
            } else if (i >= lo && i + 16 <= hi) {                                                            \
                const int all = 1;                                                                           \
                __VA_ARGS__;                                                                                 \
            } else {                                                                                         \
                const int all = 0;                                                                           \
                __VA_ARGS__;                                                                                 \
            }                                                                                                \
        });                                                                                                  \
    } while (0)
#define SEEN(v, otherwise) (all ? (v) : vf_select(seen(i, lo, hi), v, otherwise))
#define LOG2_E 0x1.715476p+0f
/* lane i … of what is no denormal */
#define PUT16(h, v)                                                                                          \
    do { if (m == VL) vf_put_bf16((h) + i, v); else vf_put_bf16_n((h) + i, v, m); } while (0)
/* lane i … of a result: to h, rounded, if there is one, else to f */
#define PUT(f, h, v)                                                                                         \
    do {                                                                                                     \
        if (h) ST16(h, v);                                                                                   \
        else ST(f, v);                                                                                       \
    } while (0)

/* cap·tanh(scale·s / cap); slope: its derivative by s. tanh x = σ(2x) - σ(-2x). */
VEC vf capped(vf s, vf scale, float cap, vf *slope)
{
    vf y = vf_mul(s, scale), q;
    vf p = vf_sigmoid2(vf_div(vf_add(y, y), vf_set1(cap)), &q);
    *slope = vf_mul(scale, vf_mul(vf_set1(4.0f), vf_mul(p, q)));
    return vf_mul(vf_set1(cap), vf_sub(p, q));
}

/* The greatest of a row. A NaN does not stay in it: it is in the sum. */
VEC float row_greatest(const float *s, size_t n)
{
    const vf low = vf_set1(-INFINITY);
    vf a = low, b = low, c = low, d = low;
    for (; n >= 4 * VL; n -= 4 * VL, s += 4 * VL) {
        a = vf_max(vf_load(s), a), b = vf_max(vf_load(s + VL), b);
        c = vf_max(vf_load(s + 2 * VL), c), d = vf_max(vf_load(s + 3 * VL), d);
    }
    VEC_EACH(n, a = vf_max(LD_OR(s, low), a));
    return vf_hmax(vf_max(vf_max(a, b), vf_max(c, d)));
}
/* The greatest f of a row; where there is a cap, s becomes f. */
VEC float row_top(float *s, size_t lo, size_t hi, size_t n, float scale, float cap)
{
    const vf by = vf_set1(scale), low = vf_set1(-INFINITY);
    vf top = low, slope;
    if (!(cap > 0)) return scale * row_greatest(s + lo, hi > lo ? hi - lo : 0);
    SEEN_EACH(, {
        vf y = capped(LD(s), by, cap, &slope);
        ST(s, y);
        top = vf_max(SEEN(y, low), top);
    });
    return vf_hmax(top);
}
/* A row's e^(factor·s - peak), and their sum. */
VEC float row_exps(float *s, size_t lo, size_t hi, size_t n, float factor, float peak)
{
    const vf by = vf_set1(factor), less = vf_set1(-peak), zero = vf_zero();
    vf sum = zero;
    SEEN_EACH(ST(s, zero), {
        vf p = SEEN(vf_exp(vf_fma(LD(s), by, less)), zero);
        ST(s, p);
        sum = vf_add(sum, p);
    });
    return vf_hsum(sum);
}
/* The same, rounded to bf16. */
VEC float row_exps_near(const float *s, uint16_t *h, size_t lo, size_t hi, size_t n, float factor, float peak)
{
    const vf by = vf_set1(factor), less = vf_set1(-peak), log2e = vf_set1(LOG2_E), zero = vf_zero();
    vf sum = zero;
    SEEN_EACH(PUT16(h, zero), {
        vf p = SEEN(vf_exp2_near(vf_mul(vf_fma(LD(s), by, less), log2e)), zero);
        PUT16(h, p);
        sum = vf_add(sum, p);
    });
    return vf_hsum(sum);
}

/* 16 rows at a time, so that what is one number a row is worked out for 16 at once. */
static void k_attend_rows(const ada_scores *t, float *stat, float *factor)
{
    const size_t n = t->n;
    for (size_t first = 0; first < t->m; first += 16, stat += 32, factor += 16) {
        const size_t rows = t->m - first < 16 ? t->m - first : 16;
        float top[16] = {0}, both[32] = {0}, sums[16] = {0};
#define ROWS_EACH(...)                                                                                       \
        for (size_t r = 0; r < rows; r++) {                                                                  \
            const size_t at = (first + r) * t->ld, lo = t->seen ? t->seen[first + r][0] : 0;                 \
            const size_t hi = t->seen ? t->seen[first + r][1] : n;                                           \
            __VA_ARGS__;                                                                                     \
        }
        ROWS_EACH(top[r] = row_top(t->s + at, lo, hi, n, t->scale, t->cap))
        vf old, sum;
        __builtin_memcpy(both, stat, rows * 2 * sizeof *stat);
        vf_load2(both, &old, &sum);
        vf peak = vf_load(top);
        peak = vf_select(vf_gt(peak, old), peak, old);
        vf alpha = vf_select(vf_eq(peak, old), vf_set1(1.0f), vf_exp(vf_sub(old, peak)));
        vf_store(top, peak);
        vf_store_n(factor, alpha, rows);
        const float by = t->cap > 0 ? 1.0f : t->scale;
        ROWS_EACH(sums[r] = t->p ? row_exps_near(t->s + at, t->p + at, lo, hi, n, by, top[r])
                                 : row_exps(t->s + at, lo, hi, n, by, top[r]))
#undef ROWS_EACH
        vf_store2(both, peak, vf_add(vf_mul(sum, alpha), vf_load(sums)));
        __builtin_memcpy(stat, both, rows * 2 * sizeof *stat);
    }
}

static float k_attend_end(float *o, const float *stat, size_t n)
{
    const vf sum = vf_set1(stat[1]);
    VEC_EACH(n, ST(o, vf_div(LD(o), sum)));
    return (float)(stat[0] + log_double(stat[1]));
}

/* A row's probabilities, and the gradients of its scores, as floats or, where h is given, rounded. */
VEC void row_back(const ada_scores *t, size_t r, float lse, float d)
{
    const size_t n = t->n, at = r * t->ld, lo = t->seen ? t->seen[r][0] : 0, hi = t->seen ? t->seen[r][1] : n;
    const vf by = vf_set1(t->scale), less = vf_set1(-lse), mean = vf_set1(d), zero = vf_zero();
    float *s = t->s + at, *dp = t->dp + at;
    uint16_t *p16 = t->p ? t->p + at : NULL, *ds16 = t->ds ? t->ds + at : NULL;
    SEEN_EACH({ PUT(s, p16, zero); PUT(dp, ds16, zero); }, {
        vf slope = by, f = LD(s);
        f = t->cap > 0 ? vf_add(capped(f, by, t->cap, &slope), less) : vf_fma(f, by, less);
        vf p = vf_exp(f), ds = vf_mul(p, vf_mul(vf_sub(LD(dp), mean), slope));
        PUT(s, p16, SEEN(p, zero));
        PUT(dp, ds16, SEEN(ds, zero));
    });
}
/* The same, rounded to bf16, without a cap. */
VEC void row_back_near(const ada_scores *t, size_t r, float lse, float d)
{
    const size_t n = t->n, at = r * t->ld, lo = t->seen ? t->seen[r][0] : 0, hi = t->seen ? t->seen[r][1] : n;
    const vf by = vf_set1(t->scale), less = vf_set1(-lse), log2e = vf_set1(LOG2_E), zero = vf_zero();
    const vf mean = vf_set1(-d * t->scale);
    const float *s = t->s + at, *dp = t->dp + at;
    uint16_t *h = t->p + at, *dh = t->ds + at;
    SEEN_EACH({ PUT16(h, zero); PUT16(dh, zero); }, {
        vf p = vf_exp2_near(vf_mul(vf_fma(LD(s), by, less), log2e));
        vf ds = vf_mul(p, vf_fma(LD(dp), by, mean));
        PUT16(h, SEEN(p, zero));
        ST16(dh, SEEN(ds, zero));
    });
}

static void k_attend_back(const ada_scores *t, const float *lse, const float *d)
{
    const int near = t->p && t->ds && !(t->cap > 0);
    for (size_t r = 0; r < t->m; r++)
        if (near) row_back_near(t, r, lse[r], d[r]);
        else row_back(t, r, lse[r], d[r]);
}
#undef SEEN_EACH
#undef SEEN
#undef PUT
#undef PUT16
#undef LOG2_E
#endif

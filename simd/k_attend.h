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
static float k_attend_row(float *s, size_t lo, size_t hi, size_t n, float scale, float cap, float *stat)
{
    double m = stat[0], sum = 0, slope, alpha;
    for (size_t i = lo; i < hi; i++) m = fmax(m, capped(s[i], scale, cap, &slope));
    alpha = m == stat[0] ? 1 : exp(stat[0] - m);
    for (size_t i = 0; i < n; i++) {
        double p = i >= lo && i < hi ? exp(capped(s[i], scale, cap, &slope) - m) : 0;
        sum += p;
        s[i] = (float)p;
    }
    stat[0] = (float)m;
    stat[1] = (float)(stat[1] * alpha + sum);
    return (float)alpha;
}
static float k_attend_end(float *o, const float *stat, size_t n)
{
    for (size_t i = 0; i < n; i++) o[i] = (float)((double)o[i] / stat[1]);
    return (float)(stat[0] + log(stat[1]));
}
static void k_attend_back(float *s, float *dp, size_t lo, size_t hi, size_t n, float scale, float cap,
                          float lse, float d)
{
    for (size_t i = 0; i < n; i++) {
        double slope, y = capped(s[i], scale, cap, &slope);
        s[i] = i >= lo && i < hi ? (float)exp(y - lse) : 0;
        dp[i] = i >= lo && i < hi ? (float)(s[i] * ((double)dp[i] - d) * slope) : 0;
    }
}
#else

/* Of 16 keys from i on, those in [lo, hi). */
VEC vm seen(size_t i, size_t lo, size_t hi)
{
    size_t a = lo > i ? lo - i : 0, b = hi > i ? hi - i : 0;
    return vm_and(vm_first(b < 16 ? b : 16), vm_not(vm_first(a < 16 ? a : 16)));
}

/* VEC_EACH over s [n]: `zeros` where no key is of [lo, hi), else the rest, with `all` if all 16 are. */
#define SEEN_EACH(zeros, ...)                                                                                \
    VEC_EACH(n, {                                                                                            \
        if (i + 16 <= lo || i >= hi) {                                                                       \
            zeros;                                                                                           \
        } else if (i >= lo && i + 16 <= hi) {                                                                \
            const int all = 1;                                                                               \
            __VA_ARGS__;                                                                                     \
        } else {                                                                                             \
            const int all = 0;                                                                               \
            __VA_ARGS__;                                                                                     \
        }                                                                                                    \
    })
#define SEEN(v, otherwise) (all ? (v) : vf_select(seen(i, lo, hi), v, otherwise))

/* scale·s, or cap·tanh(scale·s / cap); slope: its derivative by s. tanh x = σ(2x) - σ(-2x). */
VEC vf capped(vf s, vf scale, float cap, vf *slope)
{
    vf y = vf_mul(s, scale), q;
    *slope = scale;
    if (!(cap > 0)) return y;
    vf p = vf_sigmoid2(vf_div(vf_add(y, y), vf_set1(cap)), &q);
    *slope = vf_mul(scale, vf_mul(vf_set1(4.0f), vf_mul(p, q)));
    return vf_mul(vf_set1(cap), vf_sub(p, q));
}

static float k_attend_row(float *s, size_t lo, size_t hi, size_t n, float scale, float cap, float *stat)
{
    const vf by = vf_set1(scale), low = vf_set1(-INFINITY), zero = vf_zero();
    vf top = low, sum = zero, slope;
    /* a NaN does not stay in top: it is in the sum */
    SEEN_EACH(, {
        vf y = capped(LD(s), by, cap, &slope);
        if (cap > 0) ST(s, y);
        top = vf_max(SEEN(y, low), top);
    });
    const float old = stat[0], most = vf_hmax(top), greatest = most > old ? most : old;
    const vf peak = vf_set1(greatest), factor = vf_set1(cap > 0 ? 1.0f : scale);
    SEEN_EACH(ST(s, zero), {
        vf p = SEEN(vf_exp(vf_sub(vf_mul(LD(s), factor), peak)), zero);
        ST(s, p);
        sum = vf_add(sum, p);
    });
    float alpha = 1.0f;
    if (greatest != old) {
        float lanes[16];
        vf_store(lanes, vf_exp(vf_set1(old - greatest)));
        alpha = lanes[0];
    }
    stat[0] = greatest;
    stat[1] = stat[1] * alpha + vf_hsum(sum);
    return alpha;
}

static float k_attend_end(float *o, const float *stat, size_t n)
{
    const vf sum = vf_set1(stat[1]);
    VEC_EACH(n, ST(o, vf_div(LD(o), sum)));
    return (float)(stat[0] + log_double(stat[1]));
}

static void k_attend_back(float *s, float *dp, size_t lo, size_t hi, size_t n, float scale, float cap,
                          float lse, float d)
{
    const vf by = vf_set1(scale), l = vf_set1(lse), mean = vf_set1(d), zero = vf_zero();
    SEEN_EACH({ ST(s, zero); ST(dp, zero); }, {
        vf slope, p = vf_exp(vf_sub(capped(LD(s), by, cap, &slope), l));
        vf ds = vf_mul(p, vf_mul(vf_sub(LD(dp), mean), slope));
        ST(s, SEEN(p, zero));
        ST(dp, SEEN(ds, zero));
    });
}
#undef SEEN_EACH
#undef SEEN
#endif

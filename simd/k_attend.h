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
    const vf by = vf_set1(scale), low = vf_set1(-INFINITY);
    vf top = low, sum = vf_zero(), slope;
    if (lo >= hi) {
        for (size_t i = 0; i < n; i += 16) vf_store_n(s + i, vf_zero(), n - i < 16 ? n - i : 16);
        return 1.0f;
    }
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i < 16 ? n - i : 16;
        vf y = vf_select(seen(i, lo, hi), capped(vf_load_n(s + i, left), by, cap, &slope), low);
        vf_store_n(s + i, y, left);
        top = vf_max(y, top); /* a NaN does not stay: it is in the sum */
    }
    const float old = stat[0], most = vf_hmax(top), m = most > old ? most : old;
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i < 16 ? n - i : 16;
        vf p = vf_exp(vf_sub(vf_load_n(s + i, left), vf_set1(m)));
        p = vf_select(seen(i, lo, hi), p, vf_zero());
        vf_store_n(s + i, p, left);
        sum = vf_add(sum, p);
    }
    float alpha = 1.0f;
    if (m != old) {
        float lanes[16];
        vf_store(lanes, vf_exp(vf_set1(old - m)));
        alpha = lanes[0];
    }
    stat[0] = m;
    stat[1] = stat[1] * alpha + vf_hsum(sum);
    return alpha;
}

static float k_attend_end(float *o, const float *stat, size_t n)
{
    const vf sum = vf_set1(stat[1]);
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i < 16 ? n - i : 16;
        vf_store_n(o + i, vf_div(vf_load_n(o + i, left), sum), left);
    }
    return (float)(stat[0] + log_double(stat[1]));
}

static void k_attend_back(float *s, float *dp, size_t lo, size_t hi, size_t n, float scale, float cap,
                          float lse, float d)
{
    const vf by = vf_set1(scale), l = vf_set1(lse), mean = vf_set1(d);
    for (size_t i = 0; i < n; i += 16) {
        size_t left = n - i < 16 ? n - i : 16;
        vm in = seen(i, lo, hi);
        vf slope, p = vf_exp(vf_sub(capped(vf_load_n(s + i, left), by, cap, &slope), l));
        vf ds = vf_mul(p, vf_mul(vf_sub(vf_load_n(dp + i, left), mean), slope));
        vf_store_n(s + i, vf_select(in, p, vf_zero()), left);
        vf_store_n(dp + i, vf_select(in, ds, vf_zero()), left);
    }
}
#endif

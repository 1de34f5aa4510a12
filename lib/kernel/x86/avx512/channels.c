/* The operations with constants or sums a channel; lanes beyond C are masked. Where there are sums, 16 channels,
 * one cache line of a pixel, go through all rows with constants and sums in registers. The order of every sum and
 * the rounding of every result are those of ref/channels.c; where multiply-adds are fused, the product is exact in
 * double and fusing changes nothing. */
#include "kernel/x86/avx512/vector_f32.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"

/* Sixteen sums in double. */
struct sums {
    __m512d low, high;
};

INLINE struct sums sums_zero(void)
{
    return (struct sums){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

INLINE __m512d low_double(vec v)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

INLINE __m512d high_double(vec v)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
}

/* plain += a; products += a * b */
INLINE void sums_add(struct sums *plain, struct sums *products, vec a, vec b)
{
    __m512d a_low = low_double(a), a_high = high_double(a);
    plain->low = _mm512_add_pd(plain->low, a_low);
    plain->high = _mm512_add_pd(plain->high, a_high);
    products->low = _mm512_fmadd_pd(a_low, low_double(b), products->low);
    products->high = _mm512_fmadd_pd(a_high, high_double(b), products->high);
}

INLINE void sums_store(struct sums s, vec_mask mask, double *to)
{
    _mm512_mask_storeu_pd(to, (__mmask8)mask, s.low);
    _mm512_mask_storeu_pd(to + LANES / 2, (__mmask8)(mask >> LANES / 2), s.high);
}

INLINE vec normalized(vec x, vec mean, vec inv_std)
{
    return vec_mul(vec_sub(x, mean), inv_std);
}

void elementwise_sum_and_squares_avx512(const float *x, int rows, int c, double *sum, double *squares)
{
    for (int j = 0; j < c; j += LANES) {
        vec_mask mask = vec_first(c - j);
        struct sums s = sums_zero(), q = sums_zero();
        const float *at = x + j;
        for (int i = 0; i < rows; i++, at += c) {
            vec v = vec_load_some(at, mask);
            sums_add(&s, &q, v, v);
        }
        sums_store(s, mask, sum + j);
        sums_store(q, mask, squares + j);
    }
}

void elementwise_batchnorm_backward_sums_avx512(const float *x, const float *dy, int rows, int c, const float *mean,
                                                const float *inv_std, double *sum_dy, double *sum_dy_xhat)
{
    for (int j = 0; j < c; j += LANES) {
        vec_mask mask = vec_first(c - j);
        vec m = vec_load_some(mean + j, mask), v = vec_load_some(inv_std + j, mask);
        struct sums s = sums_zero(), p = sums_zero();
        const float *x_at = x + j, *dy_at = dy + j;
        for (int i = 0; i < rows; i++, x_at += c, dy_at += c)
            sums_add(&s, &p, vec_load_some(dy_at, mask), normalized(vec_load_some(x_at, mask), m, v));
        sums_store(s, mask, sum_dy + j);
        sums_store(p, mask, sum_dy_xhat + j);
    }
}

/* Without sums, rows go through whole: memory is read in order, and the constants stay in the first-level cache. */
INLINE void scale_shift_vector(const float *x, vec_mask mask, const float *scale, const float *shift,
                               const float *residual, int relu, float *y)
{
    vec v = vec_add(vec_mul(vec_load_some(x, mask), vec_load_some(scale, mask)), vec_load_some(shift, mask));
    if (residual)
        v = vec_add(v, vec_load_some(residual, mask));
    vec_store_some(y, mask, relu ? vec_relu(v) : v);
}

void elementwise_scale_shift_avx512(const float *x, int rows, int c, const float *scale, const float *shift,
                                    const float *residual, int relu, float *y)
{
    for (int i = 0; i < rows; i++, x += c, y += c) {
        for (int j = 0; j < c; j += LANES)
            scale_shift_vector(x + j, vec_first(c - j), scale + j, shift + j, residual ? residual + j : NULL, relu,
                               y + j);
        if (residual)
            residual += c;
    }
}

/* gain * ((dy - mean_dy) - xhat * mean_dy_xhat) */
void elementwise_batchnorm_backward_avx512(const float *x, const float *dy, int rows, int c, const float *mean,
                                           const float *inv_std, const float *gamma, const float *mean_dy,
                                           const float *mean_dy_xhat, float *dx)
{
    for (int i = 0; i < rows; i++, x += c, dy += c, dx += c)
        for (int j = 0; j < c; j += LANES) {
            vec_mask mask = vec_first(c - j);
            vec v = vec_load_some(inv_std + j, mask), gain = vec_mul(vec_load_some(gamma + j, mask), v);
            vec xhat = normalized(vec_load_some(x + j, mask), vec_load_some(mean + j, mask), v);
            vec along = vec_mul(xhat, vec_load_some(mean_dy_xhat + j, mask));
            vec rest = vec_sub(vec_sub(vec_load_some(dy + j, mask), vec_load_some(mean_dy + j, mask)), along);
            vec_store_some(dx + j, mask, vec_mul(gain, rest));
        }
}

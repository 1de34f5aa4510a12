/* The operations with constants or sums a channel, whose plain loops are as short as C: here 16 channels, one cache
 * line of a pixel, go through some rows with constants and sums in registers, then the next 16 through the same rows:
 * what comes from memory is read nearly in the order in which it lies. The order of every sum and the
 * rounding of every result are those of ref/elementwise.inc; where multiply-adds are fused, the product is exact in
 * double and fusing changes nothing. */
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <immintrin.h>
#include <string.h>

enum {
    LANES = 8,
    BLOCK = 16,
    SUM_ROWS = 16, /* rows at a time: sums are loaded and stored that often */
    MAP_ROWS = 4
};

/* Which of the block's channels exist. whole is a constant where these are inlined. */
struct lanes {
    int whole;
    __m256i low, high;
};

#define INLINE static inline __attribute__((always_inline))

static struct lanes lanes_of(int channels)
{
    __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (struct lanes){.whole = channels >= BLOCK,
                          .low = _mm256_cmpgt_epi32(_mm256_set1_epi32(channels), index),
                          .high = _mm256_cmpgt_epi32(_mm256_set1_epi32(channels - LANES), index)};
}

INLINE __m256 load(const float *x, int whole, __m256i mask)
{
    return whole ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, mask);
}

INLINE void store(float *y, __m256 v, int whole, __m256i mask)
{
    if (whole)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, mask, v);
}

/* Eight sums in double, of eight floats at a time. */
struct sums {
    __m256d low, high;
};

INLINE __m256d low_double(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

INLINE __m256d high_double(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

/* plain += a; products += a * b */
INLINE void sums_add(struct sums *plain, struct sums *products, __m256 a, __m256 b)
{
    __m256d a_low = low_double(a), a_high = high_double(a);
    plain->low = _mm256_add_pd(plain->low, a_low);
    plain->high = _mm256_add_pd(plain->high, a_high);
    products->low = _mm256_fmadd_pd(a_low, low_double(b), products->low);
    products->high = _mm256_fmadd_pd(a_high, high_double(b), products->high);
}

static void sums_load(struct sums s[2], int channels, const double *from)
{
    double all[BLOCK] = {0};
    for (int i = 0; i < channels && i < BLOCK; i++)
        all[i] = from[i];
    s[0] = (struct sums){_mm256_loadu_pd(all), _mm256_loadu_pd(all + 4)};
    s[1] = (struct sums){_mm256_loadu_pd(all + 8), _mm256_loadu_pd(all + 12)};
}

static void sums_store(const struct sums s[2], int channels, double *to)
{
    double all[BLOCK];
    _mm256_storeu_pd(all, s[0].low);
    _mm256_storeu_pd(all + 4, s[0].high);
    _mm256_storeu_pd(all + 8, s[1].low);
    _mm256_storeu_pd(all + 12, s[1].high);
    for (int i = 0; i < channels && i < BLOCK; i++)
        to[i] = all[i];
}

INLINE void squares_block(const float *x, int rows, size_t c, struct lanes l, int channels, double *sum,
                          double *squares)
{
    struct sums s[2], q[2];
    sums_load(s, channels, sum);
    sums_load(q, channels, squares);
    for (int i = 0; i < rows; i++, x += c) {
        __m256 a = load(x, l.whole, l.low), b = load(x + LANES, l.whole, l.high);
        sums_add(&s[0], &q[0], a, a);
        sums_add(&s[1], &q[1], b, b);
    }
    sums_store(s, channels, sum);
    sums_store(q, channels, squares);
}

static int at_most(int rows, int most)
{
    return rows < most ? rows : most;
}

static void squares_add(const float *x, int rows, int c, double *sum, double *squares)
{
    for (int j = 0; j < c; j += BLOCK) {
        struct lanes l = lanes_of(c - j);
        if (l.whole) {
            l.whole = 1;
            squares_block(x + j, rows, (size_t)c, l, BLOCK, sum + j, squares + j);
        } else {
            l.whole = 0;
            squares_block(x + j, rows, (size_t)c, l, c - j, sum + j, squares + j);
        }
    }
}

void elementwise_sum_and_squares_avx2(const float *x, int rows, int c, double *sum, double *squares)
{
    memset(sum, 0, (size_t)c * sizeof *sum);
    memset(squares, 0, (size_t)c * sizeof *squares);
    for (int i = 0; i < rows; i += SUM_ROWS)
        squares_add(x + (size_t)i * (size_t)c, at_most(rows - i, SUM_ROWS), c, sum, squares);
}

/* The constants of a block: what is beyond C is zero. */
struct constants {
    __m256 a, b;
};

INLINE struct constants constants_load(const float *x, struct lanes l)
{
    return (struct constants){load(x, l.whole, l.low), load(x + LANES, l.whole, l.high)};
}

INLINE __m256 normalized(__m256 x, __m256 mean, __m256 inv_std)
{
    return _mm256_mul_ps(_mm256_sub_ps(x, mean), inv_std);
}

INLINE void backward_sums_block(const float *x, const float *dy, int rows, size_t c, struct lanes l, int channels,
                                const float *mean, const float *inv_std, double *sum_dy, double *sum_dy_xhat)
{
    struct sums s[2], p[2];
    sums_load(s, channels, sum_dy);
    sums_load(p, channels, sum_dy_xhat);
    struct constants m = constants_load(mean, l), v = constants_load(inv_std, l);
    for (int i = 0; i < rows; i++, x += c, dy += c) {
        sums_add(&s[0], &p[0], load(dy, l.whole, l.low), normalized(load(x, l.whole, l.low), m.a, v.a));
        sums_add(&s[1], &p[1], load(dy + LANES, l.whole, l.high),
                 normalized(load(x + LANES, l.whole, l.high), m.b, v.b));
    }
    sums_store(s, channels, sum_dy);
    sums_store(p, channels, sum_dy_xhat);
}

static void backward_sums_add(const struct batchnorm_backward_call *call, const float *x, const float *dy, int rows)
{
    const float *mean = call->mean, *inv_std = call->inv_std;
    double *sum_dy = call->sum_dy, *sum_dy_xhat = call->sum_dy_xhat;
    int c = call->c;
    for (int j = 0; j < c; j += BLOCK) {
        struct lanes l = lanes_of(c - j);
        if (l.whole) {
            l.whole = 1;
            backward_sums_block(x + j, dy + j, rows, (size_t)c, l, BLOCK, mean + j, inv_std + j, sum_dy + j,
                                sum_dy_xhat + j);
        } else {
            l.whole = 0;
            backward_sums_block(x + j, dy + j, rows, (size_t)c, l, c - j, mean + j, inv_std + j, sum_dy + j,
                                sum_dy_xhat + j);
        }
    }
}

void elementwise_batchnorm_backward_sums_avx2(const struct batchnorm_backward_call *call)
{
    size_t c = (size_t)call->c;
    memset(call->sum_dy, 0, c * sizeof *call->sum_dy);
    memset(call->sum_dy_xhat, 0, c * sizeof *call->sum_dy_xhat);
    for (int i = 0; i < call->rows; i += SUM_ROWS)
        backward_sums_add(call, call->x + (size_t)i * c, call->dy + (size_t)i * c,
                          at_most(call->rows - i, SUM_ROWS));
}

struct backward {
    struct constants mean, inv_std, gain, mean_dy, mean_dy_xhat;
};

/* gain * ((dy - mean_dy) - xhat * mean_dy_xhat) */
INLINE __m256 backward(__m256 x, __m256 dy, __m256 mean, __m256 inv_std, __m256 gain, __m256 mean_dy,
                       __m256 mean_dy_xhat)
{
    __m256 away = _mm256_mul_ps(normalized(x, mean, inv_std), mean_dy_xhat);
    return _mm256_mul_ps(gain, _mm256_sub_ps(_mm256_sub_ps(dy, mean_dy), away));
}

INLINE void backward_block(const float *x, const float *dy, int rows, size_t c, struct lanes l,
                           const struct backward *b, float *dx)
{
    for (int i = 0; i < rows; i++, x += c, dy += c, dx += c) {
        store(dx,
              backward(load(x, l.whole, l.low), load(dy, l.whole, l.low), b->mean.a, b->inv_std.a, b->gain.a,
                       b->mean_dy.a, b->mean_dy_xhat.a),
              l.whole, l.low);
        store(dx + LANES,
              backward(load(x + LANES, l.whole, l.high), load(dy + LANES, l.whole, l.high), b->mean.b, b->inv_std.b,
                       b->gain.b, b->mean_dy.b, b->mean_dy_xhat.b),
              l.whole, l.high);
    }
}

static void backward_rows(const struct batchnorm_backward_call *call, int first, int rows)
{
    size_t at = (size_t)first * (size_t)call->c;
    const float *x = call->x + at, *dy = call->dy + at, *mean = call->mean, *inv_std = call->inv_std;
    const float *gamma = call->gamma, *mean_dy = call->mean_dy, *mean_dy_xhat = call->mean_dy_xhat;
    float *dx = call->dx + at;
    int c = call->c;
    for (int j = 0; j < c; j += BLOCK) {
        struct lanes l = lanes_of(c - j);
        struct constants g = constants_load(gamma + j, l);
        struct backward b = {.mean = constants_load(mean + j, l),
                             .inv_std = constants_load(inv_std + j, l),
                             .mean_dy = constants_load(mean_dy + j, l),
                             .mean_dy_xhat = constants_load(mean_dy_xhat + j, l)};
        b.gain = (struct constants){_mm256_mul_ps(g.a, b.inv_std.a), _mm256_mul_ps(g.b, b.inv_std.b)};
        if (l.whole) {
            l.whole = 1;
            backward_block(x + j, dy + j, rows, (size_t)c, l, &b, dx + j);
        } else {
            l.whole = 0;
            backward_block(x + j, dy + j, rows, (size_t)c, l, &b, dx + j);
        }
    }
}

void elementwise_batchnorm_backward_avx2(const struct batchnorm_backward_call *call)
{
    for (int i = 0; i < call->rows; i += MAP_ROWS)
        backward_rows(call, i, at_most(call->rows - i, MAP_ROWS));
}

INLINE __m256 scaled(__m256 x, __m256 scale, __m256 shift, const float *residual, int relu, int whole, __m256i mask)
{
    __m256 v = _mm256_add_ps(_mm256_mul_ps(x, scale), shift);
    if (residual)
        v = _mm256_add_ps(v, load(residual, whole, mask));
    return relu ? _mm256_max_ps(_mm256_setzero_ps(), v) : v;
}

INLINE void scale_shift_block(const float *x, int rows, size_t c, struct lanes l, const float *scale,
                              const float *shift, const float *residual, int relu, float *y)
{
    struct constants g = constants_load(scale, l), s = constants_load(shift, l);
    for (int i = 0; i < rows; i++, x += c, y += c) {
        store(y, scaled(load(x, l.whole, l.low), g.a, s.a, residual, relu, l.whole, l.low), l.whole, l.low);
        store(y + LANES,
              scaled(load(x + LANES, l.whole, l.high), g.b, s.b, residual ? residual + LANES : NULL, relu, l.whole,
                     l.high),
              l.whole, l.high);
        if (residual)
            residual += c;
    }
}

static void scale_shift_rows(const struct scale_shift_call *call, int first, int rows)
{
    size_t at = (size_t)first * (size_t)call->c;
    const float *x = call->x + at, *residual = call->residual ? call->residual + at : NULL;
    float *y = call->y + at;
    const float *scale = call->scale, *shift = call->shift;
    int c = call->c, relu = call->relu;
    for (int j = 0; j < c; j += BLOCK) {
        struct lanes l = lanes_of(c - j);
        const float *r = residual ? residual + j : NULL;
        if (l.whole) {
            l.whole = 1;
            scale_shift_block(x + j, rows, (size_t)c, l, scale + j, shift + j, r, relu, y + j);
        } else {
            l.whole = 0;
            scale_shift_block(x + j, rows, (size_t)c, l, scale + j, shift + j, r, relu, y + j);
        }
    }
}

void elementwise_scale_shift_avx2(const struct scale_shift_call *call)
{
    for (int i = 0; i < call->rows; i += MAP_ROWS)
        scale_shift_rows(call, i, at_most(call->rows - i, MAP_ROWS));
}

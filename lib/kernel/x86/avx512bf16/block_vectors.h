/* block_vectors.h: 32 channels of one image as two vectors of floats, and their bfloat16 planes. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_VECTORS_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_VECTORS_H

#include "kernel/x86/avx512bf16/block_shape.h"
#include <immintrin.h>

struct pair {
    __m512 low, high; /* channels 0-15, 16-31 */
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE struct pair pair_of(__m512i v)
{
    __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(v));
    __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v, 1));
    return (struct pair){_mm512_castsi512_ps(_mm512_slli_epi32(low, 16)),
                         _mm512_castsi512_ps(_mm512_slli_epi32(high, 16))};
}

ALWAYS_INLINE struct pair pair_add(struct pair a, struct pair b)
{
    return (struct pair){_mm512_add_ps(a.low, b.low), _mm512_add_ps(a.high, b.high)};
}

ALWAYS_INLINE struct pair pair_subtract(struct pair a, struct pair b)
{
    return (struct pair){_mm512_sub_ps(a.low, b.low), _mm512_sub_ps(a.high, b.high)};
}

ALWAYS_INLINE struct pair pair_fma(struct pair a, struct pair b, struct pair c)
{
    return (struct pair){_mm512_fmadd_ps(a.low, b.low, c.low), _mm512_fmadd_ps(a.high, b.high, c.high)};
}

ALWAYS_INLINE struct pair pair_floats(const float *p)
{
    return (struct pair){_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16)};
}

ALWAYS_INLINE struct pair pair_set(float v)
{
    return (struct pair){_mm512_set1_ps(v), _mm512_set1_ps(v)};
}

/* Planes lie a cell apart. */
ALWAYS_INLINE struct pair pair_load(const bf16 *p, int planes)
{
    struct pair v = pair_of(_mm512_load_si512(p));
    if (planes == 3)
        v = pair_add(pair_add(pair_of(_mm512_load_si512(p + 2 * CELL)), pair_of(_mm512_load_si512(p + CELL))), v);
    return v;
}

/* Returns what was stored. */
ALWAYS_INLINE struct pair pair_store(struct pair v, bf16 *p, int planes)
{
    __m512i first = (__m512i)_mm512_cvtne2ps_pbh(v.high, v.low);
    _mm512_store_si512(p, first);
    if (planes == 1)
        return pair_of(first);
    struct pair rest = pair_subtract(v, pair_of(first));
    __m512i second = (__m512i)_mm512_cvtne2ps_pbh(rest.high, rest.low);
    _mm512_store_si512(p + CELL, second);
    rest = pair_subtract(rest, pair_of(second));
    _mm512_store_si512(p + 2 * CELL, (__m512i)_mm512_cvtne2ps_pbh(rest.high, rest.low));
    return v;
}

ALWAYS_INLINE void pair_store_zero(bf16 *p, int planes)
{
    for (int i = 0; i < planes; i++)
        _mm512_store_si512(p + i * CELL, _mm512_setzero_si512());
}

/* Zero where the bit of the channel is not set. */
ALWAYS_INLINE struct pair pair_mask(struct pair v, uint32_t bits)
{
    return (struct pair){_mm512_maskz_mov_ps((__mmask16)bits, v.low),
                         _mm512_maskz_mov_ps((__mmask16)(bits >> 16), v.high)};
}

struct channel_sums {
    struct pair sum, squares;
};

ALWAYS_INLINE struct channel_sums sums_zero(void)
{
    return (struct channel_sums){pair_set(0), pair_set(0)};
}

ALWAYS_INLINE void sums_add(struct channel_sums *s, struct pair v)
{
    s->sum = pair_add(s->sum, v);
    s->squares = pair_fma(v, v, s->squares);
}

ALWAYS_INLINE void add_double(double *to, __m512 v)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
    _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
}

ALWAYS_INLINE void sums_to_double(const struct channel_sums *s, double *sum, double *squares)
{
    add_double(sum, s->sum.low);
    add_double(sum + 16, s->sum.high);
    add_double(squares, s->squares.low);
    add_double(squares + 16, s->squares.high);
}

#endif

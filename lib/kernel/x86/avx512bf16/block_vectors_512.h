/* block_vectors_512.h: 32 channels of one image as two vectors of floats, and their bfloat16 planes. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_VECTORS_512_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_VECTORS_512_H

#include "kernel/x86/avx512/vector_f32_512.h"

#define ALWAYS_INLINE INLINE

enum { FLOAT_PLANES = 3 /* of float32 training */ };

INLINE void add_double(double *to, vec v)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
    _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
}

#include "kernel/x86/template/block_row.h"

INLINE struct row row_of(__m512i v)
{
    __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(v));
    __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v, 1));
    return (struct row){
        {_mm512_castsi512_ps(_mm512_slli_epi32(low, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(high, 16))}};
}

/* vcvtne2ps2bf16 takes subnormals as zeros by itself. */
INLINE unsigned subnormals_drop(int planes)
{
    (void)planes;
    return 0;
}

INLINE void subnormals_restore(unsigned before)
{
    (void)before;
}

/* Planes lie a cell apart. */
INLINE struct row row_load(const bf16 *p, int planes)
{
    struct row v = row_of(_mm512_load_si512(p));
    if (planes == 3)
        v = row_add(row_add(row_of(_mm512_load_si512(p + 2 * CELL)), row_of(_mm512_load_si512(p + CELL))), v);
    return v;
}

/* Returns what was stored. */
INLINE struct row row_store(struct row v, bf16 *p, int planes)
{
    __m512i first = (__m512i)_mm512_cvtne2ps_pbh(v.v[1], v.v[0]);
    _mm512_store_si512(p, first);
    if (planes == 1)
        return row_of(first);
    struct row rest = row_sub(v, row_of(first));
    __m512i second = (__m512i)_mm512_cvtne2ps_pbh(rest.v[1], rest.v[0]);
    _mm512_store_si512(p + CELL, second);
    rest = row_sub(rest, row_of(second));
    _mm512_store_si512(p + 2 * CELL, (__m512i)_mm512_cvtne2ps_pbh(rest.v[1], rest.v[0]));
    return v;
}

INLINE void row_store_zero(bf16 *p, int planes)
{
    for (int i = 0; i < planes; i++)
        _mm512_store_si512(p + i * CELL, _mm512_setzero_si512());
}

/* Zero where the bit of the channel is not set. */
INLINE struct row row_mask(struct row v, uint32_t bits)
{
    return (struct row){
        {_mm512_maskz_mov_ps((__mmask16)bits, v.v[0]), _mm512_maskz_mov_ps((__mmask16)(bits >> 16), v.v[1])}};
}

/* The channels where low <= v <= high. */
INLINE uint32_t row_within(struct row v, float low, float high)
{
    const vec least = vec_set(low), most = vec_set(high);
    uint32_t bits[2];
    EACH_VECTOR(i)
    bits[i] = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(v.v[i], least, _CMP_GE_OQ), v.v[i], most, _CMP_LE_OQ);
    return bits[0] | bits[1] << 16;
}

/* The channels above 0. */
INLINE uint32_t row_positive(struct row v)
{
    const vec zero = vec_zero();
    return (uint32_t)_mm512_cmp_ps_mask(v.v[0], zero, _CMP_GT_OQ) |
           (uint32_t)_mm512_cmp_ps_mask(v.v[1], zero, _CMP_GT_OQ) << 16;
}

/* scale * (q - zero_point) for the first `count` of 32 codes, zeros behind. */
INLINE struct row row_of_codes(const uint8_t *q, int count, float scale, uint8_t zero_point)
{
    __mmask32 real = count >= BLOCK_CHANNELS ? 0xffffffff : (1u << count) - 1;
    __m256i v = _mm256_mask_loadu_epi8(_mm256_set1_epi8((char)zero_point), real, q);
    const __m512i offset = _mm512_set1_epi32(zero_point);
    __m512i low = _mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm256_castsi256_si128(v)), offset);
    __m512i high = _mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm256_extracti128_si256(v, 1)), offset);
    return (struct row){
        {vec_mul(vec_set(scale), _mm512_cvtepi32_ps(low)), vec_mul(vec_set(scale), _mm512_cvtepi32_ps(high))}};
}

/* ---- what Winograd needs besides ---- */

typedef __m512i vec_codes; /* 32 integers of 16 bits, or bfloat16 */

INLINE vec_codes codes_load(const void *p)
{
    return _mm512_load_si512(p);
}

INLINE void codes_store(void *p, vec_codes v)
{
    _mm512_store_si512(p, v);
}

/* Channels 0, 2, ... and 1, 3, ... */
INLINE vec even_of(vec_codes v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}

INLINE vec odd_of(vec_codes v)
{
    return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000)));
}

/* Of two vectors whose low 16 bits are integers, the first's as the low and the second's as the high halves. */
INLINE vec_codes codes_join(vec low, vec high)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_castps_si512(low),
                                   _mm512_slli_epi32(_mm512_castps_si512(high), 16));
}

INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

INLINE vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

INLINE vec vec_abs(vec v)
{
    return _mm512_abs_ps(v);
}

typedef __mmask16 vec_truth; /* a bit or all bits a lane */

INLINE vec_truth truth_none(void)
{
    return 0;
}

/* Or where v is not below the limit, or not a number. */
INLINE vec_truth truth_or_not_below(vec_truth t, vec v, float limit)
{
    return t | _mm512_cmp_ps_mask(v, vec_set(limit), _CMP_NLT_UQ);
}

INLINE vec vec_where(vec_truth t, vec a, vec b) /* t ? a : b */
{
    return _mm512_mask_mov_ps(b, t, a);
}

/* Lanes i < count: from[i * step], zeros behind; and back. */
INLINE __m512i steps_of_lanes(int step)
{
    return _mm512_mullo_epi32(_mm512_set1_epi32(step),
                              _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}

INLINE vec vec_gather_some(const float *from, int step, int count)
{
    return _mm512_mask_i32gather_ps(vec_zero(), vec_first(count), steps_of_lanes(step), from, 4);
}

INLINE void vec_scatter_some(float *to, int step, int count, vec v)
{
    _mm512_mask_i32scatter_ps(to, vec_first(count), steps_of_lanes(step), v, 4);
}

#endif

/* block_vectors_256.h: 32 channels of one image as four vectors of floats, and their bfloat16 or plain float32. */
#ifndef RESQ_KERNEL_X86_AVX2_BLOCK_VECTORS_256_H
#define RESQ_KERNEL_X86_AVX2_BLOCK_VECTORS_256_H

#include "kernel/x86/avx2/vector_f32_256.h"
#include "kernel/contract/block.h"

enum { FLOAT_PLANES = BLOCK_PLAIN /* of float32 training */ };

INLINE void add_double(double *to, vec v)
{
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), low));
    _mm256_storeu_pd(to + 4, _mm256_add_pd(_mm256_loadu_pd(to + 4), high));
}

#include "kernel/x86/template/block_row.h"

INLINE vec vec_of_bf16(__m128i v)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}

/* Until `subnormals_restore`, subnormals are zeros, as operands and as results, where maps are bfloat16, which has
 * none. */
INLINE unsigned subnormals_drop(int planes)
{
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZEROS = 0x40 };
    unsigned before = _mm_getcsr();
    if (planes == 1)
        _mm_setcsr(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZEROS);
    return before;
}

INLINE void subnormals_restore(unsigned before)
{
    _mm_setcsr(before);
}

/* bf16_from_float (block.h) as the upper halves of double words, of what arithmetic made within `subnormals_drop`: no
 * subnormals, and a NaN is a quiet one, which stays one when it is cut. */
INLINE __m256i bf16_bits(vec v)
{
    __m256i bits = _mm256_castps_si256(v),
            odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    return _mm256_add_epi32(bits, _mm256_and_si256(half, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_ORD_Q))));
}

/* Two vectors' upper halves, side by side. */
INLINE __m256i bf16_join(__m256i a, __m256i b)
{
    /* packs works in halves of a register */
    __m256i both = _mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16));
    return _mm256_permute4x64_epi64(both, 0xd8);
}

INLINE vec bf16_value(__m256i bits)
{
    return _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32((int)0xffff0000)));
}

/* bf16 are planes 1; float32 lie as they are (BLOCK_PLAIN). */
INLINE struct row row_load(const bf16 *p, int planes)
{
    struct row v;
    if (planes == BLOCK_PLAIN)
        return row_floats((const float *)(const void *)p);
    EACH_VECTOR(i) v.v[i] = vec_of_bf16(_mm_loadu_si128((const __m128i *)(const void *)(p + i * LANES)));
    return v;
}

/* Returns what was stored. Of bfloat16: within `subnormals_drop`, or values that are bfloat16. */
INLINE struct row row_store(struct row v, bf16 *p, int planes)
{
    if (planes == BLOCK_PLAIN) {
        EACH_VECTOR(i) vec_store((float *)(void *)p + i * LANES, v.v[i]);
        return v;
    }
#pragma GCC unroll 2
    for (int i = 0; i < ROW_VECTORS; i += 2) {
        __m256i a = bf16_bits(v.v[i]), b = bf16_bits(v.v[i + 1]);
        _mm256_storeu_si256((__m256i *)(void *)(p + i * LANES), bf16_join(a, b));
        v.v[i] = bf16_value(a);
        v.v[i + 1] = bf16_value(b);
    }
    return v;
}

/* ---- see block_pairs.h ---- */

#define PAIRED

INLINE struct row pair_load(const bf16 *p, int planes)
{
    struct row v;
    EACH_VECTOR(i)
    {
        const bf16 *from = p + i / 2 * row_step(planes);
        if (planes == BLOCK_PLAIN)
            v.v[i] = vec_load((const float *)(const void *)from + i % 2 * LANES);
        else
            v.v[i] = vec_of_bf16(_mm_loadu_si128((const __m128i *)(const void *)(from + i % 2 * LANES)));
    }
    return v;
}

INLINE struct row pair_store(struct row v, bf16 *p, int planes)
{
#pragma GCC unroll 2
    for (int i = 0; i < ROW_VECTORS; i += 2, p += row_step(planes)) {
        if (planes == BLOCK_PLAIN) {
            float *to = (float *)(void *)p;
            vec_store(to, v.v[i]);
            vec_store(to + LANES, v.v[i + 1]);
            vec_store(to + 2 * LANES, vec_zero());
            vec_store(to + 3 * LANES, vec_zero());
            continue;
        }
        __m256i a = bf16_bits(v.v[i]), b = bf16_bits(v.v[i + 1]);
        _mm256_storeu_si256((__m256i *)(void *)p, bf16_join(a, b));
        _mm256_storeu_si256((__m256i *)(void *)(p + 2 * LANES), _mm256_setzero_si256());
        v.v[i] = bf16_value(a);
        v.v[i + 1] = bf16_value(b);
    }
    return v;
}

INLINE void row_store_zero(bf16 *p, int planes)
{
    for (int i = 0; i < 2 * planes; i++)
        _mm256_storeu_si256((__m256i *)(void *)(p + i * 16), _mm256_setzero_si256());
}

/* Zero where the bit of the channel is not set. */
INLINE struct row row_mask(struct row v, uint32_t bits)
{
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128), all = _mm256_set1_epi32((int)bits);
    struct row y;
    EACH_VECTOR(i)
    {
        __m256i of_lane = _mm256_slli_epi32(lane, i * LANES);
        __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(all, of_lane), of_lane);
        y.v[i] = _mm256_and_ps(v.v[i], _mm256_castsi256_ps(set));
    }
    return y;
}

/* The channels where low <= v <= high. */
INLINE uint32_t row_within(struct row v, float low, float high)
{
    uint32_t bits = 0;
    EACH_VECTOR(i)
    {
        vec in = _mm256_and_ps(_mm256_cmp_ps(v.v[i], vec_set(low), _CMP_GE_OQ),
                               _mm256_cmp_ps(v.v[i], vec_set(high), _CMP_LE_OQ));
        bits |= (uint32_t)_mm256_movemask_ps(in) << i * LANES;
    }
    return bits;
}

/* The channels above 0. */
INLINE uint32_t row_positive(struct row v)
{
    uint32_t bits = 0;
    EACH_VECTOR(i)
    bits |= (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(v.v[i], vec_zero(), _CMP_GT_OQ)) << i * LANES;
    return bits;
}

/* scale * (q - zero_point) for the first `count` of 32 codes, zeros behind. */
INLINE struct row row_of_codes(const uint8_t *q, int count, float scale, uint8_t zero_point)
{
    uint8_t some[BLOCK_CHANNELS];
    struct row y;
    if (count < BLOCK_CHANNELS) {
        for (int i = 0; i < BLOCK_CHANNELS; i++)
            some[i] = i < count ? q[i] : zero_point;
        q = some;
    }
    EACH_VECTOR(i)
    {
        __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(q + i * LANES)));
        v = _mm256_sub_epi32(v, _mm256_set1_epi32(zero_point));
        y.v[i] = vec_mul(vec_set(scale), _mm256_cvtepi32_ps(v));
    }
    return y;
}

/* ---- what Winograd needs besides ---- */

typedef __m256i vec_codes; /* 16 integers of 16 bits, or bfloat16 */

INLINE vec_codes codes_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

INLINE void codes_store(void *p, vec_codes v)
{
    _mm256_storeu_si256(p, v);
}

/* Channels 0, 2, ... and 1, 3, ... */
INLINE vec even_of(vec_codes v)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

INLINE vec odd_of(vec_codes v)
{
    return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000)));
}

/* Of two vectors whose low 16 bits are integers, the first's as the low and the second's as the high halves. */
INLINE vec_codes codes_join(vec low, vec high)
{
    return _mm256_blend_epi16(_mm256_castps_si256(low), _mm256_slli_epi32(_mm256_castps_si256(high), 16), 0xaa);
}

INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

INLINE vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

INLINE vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

INLINE vec vec_abs(vec v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

typedef __m256 vec_truth; /* a bit or all bits a lane */

INLINE vec_truth truth_none(void)
{
    return _mm256_setzero_ps();
}

/* Or where v is not below the limit, or not a number. */
INLINE vec_truth truth_or_not_below(vec_truth t, vec v, float limit)
{
    return _mm256_or_ps(t, _mm256_cmp_ps(v, vec_set(limit), _CMP_NLT_UQ));
}

INLINE vec vec_where(vec_truth t, vec a, vec b) /* t ? a : b */
{
    return _mm256_blendv_ps(b, a, t);
}

/* Lanes i < count: from[i * step], zeros behind; and back. */
INLINE vec vec_gather_some(const float *from, int step, int count)
{
    __m256i at = _mm256_mullo_epi32(_mm256_set1_epi32(step), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_mask_i32gather_ps(vec_zero(), from, at, _mm256_castsi256_ps(vec_first(count)), 4);
}

INLINE void vec_scatter_some(float *to, int step, int count, vec v)
{
    float lanes[LANES];
    vec_store(lanes, v);
    for (int i = 0; i < LANES && i < count; i++)
        to[(ptrdiff_t)i * step] = lanes[i];
}

#endif

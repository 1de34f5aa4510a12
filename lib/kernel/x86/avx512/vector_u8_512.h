/* vector_u8_512.h: the vectors that the integer convolutions of the AVX-512 sets are written in: 16 lanes of 32 bits or
 * 32 of 16. With VNNI a multiply-add is one instruction. */
#ifndef RESQ_KERNEL_X86_AVX512_VECTOR_U8_512_H
#define RESQ_KERNEL_X86_AVX512_VECTOR_U8_512_H

#include "kernel/contract/requantize.h"
#include <immintrin.h>
#include <string.h>

enum { LANES = 16 };
typedef __m512i vector;
typedef __m512i vector_inputs; /* of vector_pair */

static inline vector vector_zero(void)
{
    return _mm512_setzero_si512();
}

static inline vector vector_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline void vector_store(void *p, vector v)
{
    _mm512_storeu_si512(p, v);
}

/* 2 LANES bytes as 16-bit integers */
static inline vector vector_load_s8(const int8_t *p)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* x p[2i] + y p[2i+1] in 16 bits; the factors are so small that it cannot saturate. */
static inline vector vector_weigh(int x, int y, const int8_t *p)
{
    return _mm512_maddubs_epi16(_mm512_set1_epi16((short)(y << 8 | x)), vector_load(p));
}

static inline vector vector_load_u8(const uint8_t *p)
{
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* The first `count` of them, zeros behind. */
static inline vector vector_load_u8_part(const uint8_t *p, size_t count)
{
    return _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8((__mmask32)((1u << count) - 1), p));
}

/* The first `count` of LANES values, zeros behind. */
static inline vector vector_load_s32_part(const int32_t *p, int count)
{
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1), p);
}

/* Two neighbouring 16-bit integers in every lane. */
static inline vector vector_pair(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

/* Where the 16-bit lanes hold the inputs of a pair, for the product below. */
#define PAIR_LANE(output, input) ((output)*2 + (input))

/* sum + a.x b.x + a.y b.y in every lane, modulo 2^32; a: of vector_pair */
static inline vector vector_multiply_add(vector sum, vector a, vector b)
{
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}

/* A line of memory into the first-level cache. */
#define vector_fetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define vector_add_16(a, b) _mm512_add_epi16(a, b)
#define vector_sub_16(a, b) _mm512_sub_epi16(a, b)
#define vector_shift_16(a, bits) _mm512_slli_epi16(a, bits)
#define vector_add_32(a, b) _mm512_add_epi32(a, b)
#define vector_sub_32(a, b) _mm512_sub_epi32(a, b)
#define vector_shift_32(a, bits) _mm512_slli_epi32(a, bits)
#define vector_shift_right_32(a, bits) _mm512_srai_epi32(a, bits)
#define vector_multiply_32(a, b) _mm512_mullo_epi32(a, b)
#define vector_set_16(a) _mm512_set1_epi16(a)
#define vector_set_32(a) _mm512_set1_epi32(a)

/* requantize.h for vectors. Clamping v between low - zero_point_y and high - zero_point_y, which are integers,
 * gives the code that clamping after rounding gives; NaN becomes the lower one. */
struct epilogue {
    const struct requantize *requantize;
    __m512 low, high, residual_multiplier;
    vector residual_zero_point, zero_point, zero_point_16, order;
};

static inline struct epilogue epilogue_of(const struct requantize *rq)
{
    return (struct epilogue){.requantize = rq,
                             .low = _mm512_set1_ps((float)(rq->low - rq->zero_point_y)),
                             .high = _mm512_set1_ps((float)(rq->high - rq->zero_point_y)),
                             .residual_multiplier = _mm512_set1_ps(rq->residual_multiplier),
                             .residual_zero_point = vector_set_32(rq->residual_zero_point),
                             .zero_point = vector_set_32(rq->zero_point_y),
                             .zero_point_16 = _mm512_set1_epi16(rq->zero_point_y),
                             .order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)};
}

/* Outputs [k, k + count) of a pixel, count <= LANES, whatever the call asks for. */
static inline void requantize_vector(const struct epilogue *e, const struct requantize_pointers *at, vector acc,
                                     int k, int count)
{
    __mmask16 mask = (__mmask16)((1u << count) - 1);
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_maskz_loadu_ps(mask, e->requantize->multiplier + k));
    if (at->logits)
        _mm512_mask_storeu_ps(at->logits + k, mask, v);
    if (at->residual) {
        vector r = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, at->residual + k));
        r = vector_sub_32(r, e->residual_zero_point);
        v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_cvtepi32_ps(r), e->residual_multiplier));
    }
    if (at->before)
        _mm512_mask_storeu_ps(at->before + k, mask, v);
    if (!at->y)
        return;
    v = _mm512_min_ps(_mm512_max_ps(v, e->low), e->high);
    vector q = vector_add_32(_mm512_cvtps_epi32(v), e->zero_point);
    _mm_mask_storeu_epi8(at->y + k, mask, _mm512_cvtepi32_epi8(q));
}

/* Codes less zero_point_y, where codes are all that is asked for; residual: of these LANES outputs, or NULL. */
static inline vector requantize_codes(const struct epilogue *e, vector acc, const float *multiplier,
                                      const uint8_t *residual)
{
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multiplier));
    if (residual) {
        vector r = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)residual));
        r = vector_sub_32(r, e->residual_zero_point);
        v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_cvtepi32_ps(r), e->residual_multiplier));
    }
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(v, e->low), e->high));
}

/* Four of those as bytes, one behind the other. */
static inline vector codes_pack(const struct epilogue *e, vector a, vector b, vector c, vector d)
{
    vector ab = vector_add_16(_mm512_packs_epi32(a, b), e->zero_point_16);
    vector cd = vector_add_16(_mm512_packs_epi32(c, d), e->zero_point_16);
    return _mm512_permutexvar_epi32(e->order, _mm512_packus_epi16(ab, cd));
}

/* The four parts of LANES bytes, `step` apart. */
static inline void codes_store(uint8_t *y, size_t step, vector codes)
{
    _mm_storeu_si128((__m128i *)(void *)y, _mm512_castsi512_si128(codes));
    _mm_storeu_si128((__m128i *)(void *)(y + step), _mm512_extracti32x4_epi32(codes, 1));
    _mm_storeu_si128((__m128i *)(void *)(y + 2 * step), _mm512_extracti32x4_epi32(codes, 2));
    _mm_storeu_si128((__m128i *)(void *)(y + 3 * step), _mm512_extracti32x4_epi32(codes, 3));
}

#endif

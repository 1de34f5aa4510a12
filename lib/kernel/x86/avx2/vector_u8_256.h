/* vector_u8_256.h: the vectors that the integer convolutions of this set are written in: 8 lanes of 32 bits or 16
 * of 16. */
#ifndef RESQ_KERNEL_X86_AVX2_VECTOR_U8_256_H
#define RESQ_KERNEL_X86_AVX2_VECTOR_U8_256_H

#include "kernel/contract/requantize.h"
#include <immintrin.h>
#include <string.h>

enum { LANES = 8 };
typedef __m256i vector;
typedef __m256i vector_inputs; /* of vector_pair */

static inline vector vector_zero(void)
{
    return _mm256_setzero_si256();
}

static inline vector vector_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline void vector_store(void *p, vector v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

/* 2 LANES bytes as 16-bit integers */
static inline vector vector_load_s8(const int8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* x p[2i] + y p[2i+1] in 16 bits; the factors are so small that it cannot saturate. */
static inline vector vector_weigh(int x, int y, const int8_t *p)
{
    return _mm256_maddubs_epi16(_mm256_set1_epi16((short)(y << 8 | x)), vector_load(p));
}

static inline vector vector_load_u8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The first `count` of them, zeros behind. */
static inline vector vector_load_u8_part(const uint8_t *p, size_t count)
{
    uint8_t part[2 * LANES] = {0};
    memcpy(part, p, count);
    return vector_load_u8(part);
}

/* The first `count` of LANES values, zeros behind. */
static inline vector vector_load_s32_part(const int32_t *p, int count)
{
    int32_t part[LANES] = {0};
    memcpy(part, p, (size_t)count * sizeof *p);
    return vector_load(part);
}

/* Two neighbouring 16-bit integers in every lane. */
static inline vector vector_pair(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* Where the 16-bit lanes hold the inputs of a pair, for the product below. */
#define PAIR_LANE(output, input) ((output)*2 + (input))

/* sum + a.x b.x + a.y b.y in every lane, modulo 2^32; a: of vector_pair */
static inline vector vector_multiply_add(vector sum, vector a, vector b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

/* A line of memory into the first-level cache. */
#define vector_fetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define vector_add_16(a, b) _mm256_add_epi16(a, b)
#define vector_sub_16(a, b) _mm256_sub_epi16(a, b)
#define vector_shift_16(a, bits) _mm256_slli_epi16(a, bits)
#define vector_add_32(a, b) _mm256_add_epi32(a, b)
#define vector_sub_32(a, b) _mm256_sub_epi32(a, b)
#define vector_shift_32(a, bits) _mm256_slli_epi32(a, bits)
#define vector_shift_right_32(a, bits) _mm256_srai_epi32(a, bits)
#define vector_multiply_32(a, b) _mm256_mullo_epi32(a, b)
#define vector_set_16(a) _mm256_set1_epi16(a)
#define vector_set_32(a) _mm256_set1_epi32(a)

/* requantize.h for vectors. Clamping v between low - zero_point_y and high - zero_point_y, which are integers,
 * gives the code that clamping after rounding gives; NaN becomes the lower one. */
struct epilogue {
    const struct requantize *requantize;
    __m256 low, high, residual_multiplier;
    vector residual_zero_point, zero_point, zero_point_16, low_8, order;
};

static inline struct epilogue epilogue_of(const struct requantize *rq)
{
    return (struct epilogue){.requantize = rq,
                             .low = _mm256_set1_ps((float)(rq->low - rq->zero_point_y)),
                             .high = _mm256_set1_ps((float)(rq->high - rq->zero_point_y)),
                             .residual_multiplier = _mm256_set1_ps(rq->residual_multiplier),
                             .residual_zero_point = vector_set_32(rq->residual_zero_point),
                             .zero_point = vector_set_32(rq->zero_point_y),
                             .zero_point_16 = _mm256_set1_epi16(rq->zero_point_y),
                             .low_8 = _mm256_set1_epi8((char)rq->low),
                             .order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)};
}

static inline void requantize_part(const struct epilogue *e, const struct requantize_pointers *at, vector acc,
                                   int k, int count)
{
    int32_t sums[LANES];
    vector_store(sums, acc);
    requantize_pixel(e->requantize, at, sums, k, k + count);
}

/* Outputs [k, k + count) of a pixel, count <= LANES, whatever the call asks for. */
static inline void requantize_vector(const struct epilogue *e, const struct requantize_pointers *at, vector acc,
                                     int k, int count)
{
    if (count < LANES) {
        requantize_part(e, at, acc, k, count);
        return;
    }
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(e->requantize->multiplier + k));
    if (at->logits)
        _mm256_storeu_ps(at->logits + k, v);
    if (at->residual) {
        vector r = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(at->residual + k)));
        r = vector_sub_32(r, e->residual_zero_point);
        v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(r), e->residual_multiplier));
    }
    if (at->before)
        _mm256_storeu_ps(at->before + k, v);
    if (!at->y)
        return;
    v = _mm256_min_ps(_mm256_max_ps(v, e->low), e->high);
    vector q = vector_add_32(_mm256_cvtps_epi32(v), e->zero_point);
    __m128i q16 = _mm_packus_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)(void *)(at->y + k), _mm_packus_epi16(q16, q16));
}

/* Codes less zero_point_y, where codes are all that is asked for; residual: of these LANES outputs, or NULL. */
static inline vector requantize_codes(const struct epilogue *e, vector acc, const float *multiplier,
                                      const uint8_t *residual)
{
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(multiplier));
    if (residual) {
        vector r = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)residual));
        r = vector_sub_32(r, e->residual_zero_point);
        v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(r), e->residual_multiplier));
    }
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, e->low), e->high));
}

/* Four of those as bytes, one behind the other. */
static inline vector codes_pack(const struct epilogue *e, vector a, vector b, vector c, vector d)
{
    vector ab = vector_add_16(_mm256_packs_epi32(a, b), e->zero_point_16);
    vector cd = vector_add_16(_mm256_packs_epi32(c, d), e->zero_point_16);
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), e->order);
}

/* Where codes are all that is asked for, the lower end is cheapest as bytes: what lies below 16 bits, -infinity and NaN
 * (a minimum gives its second operand) are saturated towards it. Codes less zero_point_y, not yet clamped below;
 * residual: of these LANES outputs, or NULL. */
static inline vector codes_below(const struct epilogue *e, vector acc, __m256 multiplier, const uint8_t *residual)
{
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
    if (residual) {
        vector r = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)residual));
        __m256 b = _mm256_cvtepi32_ps(vector_sub_32(r, e->residual_zero_point));
        v = _mm256_add_ps(v, _mm256_mul_ps(b, e->residual_multiplier));
    }
    return _mm256_cvtps_epi32(_mm256_min_ps(e->high, v));
}

/* Two of those in 16 bits, in the order of vpackssdw; with the zero point. */
static inline vector codes_16(const struct epilogue *e, vector a, vector b)
{
    return vector_add_16(_mm256_packs_epi32(a, b), e->zero_point_16);
}

/* Two of those as bytes, in the order of vpackuswb. */
static inline vector codes_8(const struct epilogue *e, vector a, vector b)
{
    return _mm256_max_epu8(_mm256_packus_epi16(a, b), e->low_8);
}

static inline void codes_store_half(uint8_t *y, size_t step, __m128i codes)
{
    int64_t second = _mm_extract_epi64(codes, 1);
    _mm_storel_epi64((__m128i *)(void *)y, codes);
    memcpy(y + step, &second, sizeof second);
}

/* The four parts of LANES bytes, `step` apart. */
static inline void codes_store(uint8_t *y, size_t step, vector codes)
{
    codes_store_half(y, step, _mm256_castsi256_si128(codes));
    codes_store_half(y + 2 * step, step, _mm256_extracti128_si256(codes, 1));
}

/* Where the codes of a tile go: of outputs [k, k + vectors * LANES) of each of its pixels. */
struct tile_codes {
    uint8_t *const *y;              /* a pointer for each pixel, to its output 0 */
    const uint8_t *const *residual; /* likewise; NULL: there is none */
    const float *multiplier;        /* [K] */
    size_t k;
};

/* Sums [pixels][vectors][LANES] to codes, four vectors at a time. */
static inline __attribute__((always_inline)) void tile_codes_of(const struct epilogue *e, const int32_t *sums,
                                                                const struct tile_codes *to, const size_t pixels,
                                                                const size_t vectors, const int with_residual)
{
    for (size_t p = 0; p < pixels; p += 4 / vectors) {
        vector q[4];
        for (size_t j = 0; j < 4; j++) {
            size_t some = p + j / vectors, pixel = some < pixels ? some : pixels - 1, v = j % vectors * LANES;
            q[j] = codes_below(e, vector_load(sums + pixel * vectors * LANES + v),
                               _mm256_loadu_ps(to->multiplier + to->k + v),
                               with_residual ? to->residual[pixel] + to->k + v : NULL);
        }
        vector codes = codes_8(e, codes_16(e, q[0], q[1]), codes_16(e, q[2], q[3]));
        codes = _mm256_permutevar8x32_epi32(codes, e->order);
        if (vectors == 2) {
            _mm_storeu_si128((__m128i *)(void *)(to->y[p] + to->k), _mm256_castsi256_si128(codes));
            if (p + 1 < pixels)
                _mm_storeu_si128((__m128i *)(void *)(to->y[p + 1] + to->k), _mm256_extracti128_si256(codes, 1));
            continue;
        }
        int64_t parts[4];
        vector_store(parts, codes);
        for (size_t j = 0; j < 4 && p + j < pixels; j++)
            memcpy(to->y[p + j] + to->k, &parts[j], sizeof parts[j]);
    }
}

/* vectors: 1 or 2 */
#define TILE_CODES tile_codes_store
static inline void tile_codes_store(const struct epilogue *e, const int32_t *sums, const struct tile_codes *to,
                                    size_t pixels, int vectors)
{
    if (vectors == 2 && to->residual)
        tile_codes_of(e, sums, to, pixels, 2, 1);
    else if (vectors == 2)
        tile_codes_of(e, sums, to, pixels, 2, 0);
    else
        tile_codes_of(e, sums, to, pixels, 1, to->residual != NULL);
}

#endif

/* block_products_512.h: what Winograd's products of 16-bit cells are made of. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_PRODUCTS_512_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_PRODUCTS_512_H

#include "kernel/x86/avx512bf16/block_vectors_512.h"
#include <string.h>

/* ---- magnitudes ---- */

/* Eight images' largest channels: lanes of 128 bits hold those of a quarter of the channels each. */
INLINE vec_codes largest_of_8(const bf16 *row, int cells)
{
    const vec_codes magnitude = _mm512_set1_epi16(0x7fff);
    vec_codes v[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_and_si512(codes_load(row + i * BLOCK_CHANNELS), magnitude);
        for (int c = 1; c < cells; c++)
            v[i] = _mm512_max_epu16(v[i],
                                    _mm512_and_si512(codes_load(row + c * CELL + i * BLOCK_CHANNELS), magnitude));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2)
        v[i] = _mm512_max_epu16(_mm512_unpacklo_epi16(v[i], v[i + 1]), _mm512_unpackhi_epi16(v[i], v[i + 1]));
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4)
        v[i] = _mm512_max_epu16(_mm512_unpacklo_epi32(v[i], v[i + 2]), _mm512_unpackhi_epi32(v[i], v[i + 2]));
    return _mm512_max_epu16(_mm512_unpacklo_epi64(v[0], v[4]), _mm512_unpackhi_epi64(v[0], v[4]));
}

INLINE vec_codes lanes_max(vec_codes a, vec_codes b) /* of neighbours: a's two, b's two */
{
    return _mm512_max_epu16(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* The largest magnitude of each of 32 images, over a pixel's cells, as bits of bfloat16. */
INLINE void image_magnitudes(const bf16 *x, int cells, uint16_t *largest)
{
    __m512i v[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++)
        v[k] = largest_of_8(x + k * 8 * BLOCK_CHANNELS, cells);
    _mm512_storeu_si512(largest, lanes_max(lanes_max(v[0], v[1]), lanes_max(v[2], v[3])));
}

/* ---- products: 12 or 8 rows x 32 outputs in registers ---- */

INLINE __m512i broadcast_two(const int16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_set1_epi32(two);
}

/* sum += a b, pairs of 16 bits. The instruction itself: gcc 12 moves the accumulators of its intrinsic to and from
 * the stack. */
INLINE void multiply_add(__m512i *sum, __m512i a, __m512i b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
}

/* One variable for each vector, since gcc 12 keeps arrays in memory. */
#define ROWS_8(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define ROWS_12(f) ROWS_8(f) f(8) f(9) f(10) f(11)
#define OPEN_ROW(i) __m512i low##i = _mm512_setzero_si512(), high##i = low##i;

#define CLOSE_HALF(v, at) \
    _mm512_store_ps(at, add ? _mm512_add_ps(_mm512_load_ps(at), _mm512_cvtepi32_ps(v)) : _mm512_cvtepi32_ps(v));
#define CLOSE_CELLS(i)                                   \
    CLOSE_HALF(low##i, m + (first + i) * BLOCK_CHANNELS) \
    CLOSE_HALF(high##i, m + (first + i) * BLOCK_CHANNELS + 16)
#define MULTIPLY_CELLS(i)                                          \
    {                                                              \
        __m512i x = broadcast_two(a + i * BLOCK_CHANNELS + 2 * j); \
        multiply_add(&low##i, x, b_low);                           \
        multiply_add(&high##i, x, b_high);                         \
    }
#define PRODUCT_CELLS(name, rows)                                                                 \
    INLINE void name(const int16_t *v, const int16_t *u, int cells, int first, int add, float *m) \
    {                                                                                             \
        rows(OPEN_ROW) for (int c = 0; c < cells; c++)                                            \
        {                                                                                         \
            const int16_t *a = v + c * CELL + first * BLOCK_CHANNELS, *b = u + c * CELL;          \
            for (int j = 0; j < BLOCK_CHANNELS / 2; j++) {                                        \
                __m512i b_low = _mm512_load_si512(b + j * BLOCK_CHANNELS);                        \
                __m512i b_high = _mm512_load_si512(b + CELL / 2 + j * BLOCK_CHANNELS);            \
                rows(MULTIPLY_CELLS)                                                              \
            }                                                                                     \
        }                                                                                         \
        rows(CLOSE_CELLS)                                                                         \
    }

PRODUCT_CELLS(product_cells_8, ROWS_8)
PRODUCT_CELLS(product_cells_12, ROWS_12)

/* M [32 images][32 outputs] = or += V [cells][32][32] U [cells][2][16 pairs][16 outputs][2]. */
INLINE void product_cells(const int16_t *v, const int16_t *u, struct product_size size, int add, float *m)
{
    int cells = size.cells;
    product_cells_12(v, u, cells, 0, add, m);
    product_cells_12(v, u, cells, 12, add, m);
    product_cells_8(v, u, cells, 24, add, m);
}

#define CLOSE_SCALED(v, at)                                                                  \
    _mm512_store_ps(at, add ? _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), by, _mm512_load_ps(at)) \
                            : _mm512_mul_ps(_mm512_cvtepi32_ps(v), by));
#define CLOSE_IMAGES(i)                                       \
    CLOSE_SCALED(low##i, sums + (first + i) * BLOCK_CHANNELS) \
    CLOSE_SCALED(high##i, sums + (first + i) * BLOCK_CHANNELS + 16)
#define MULTIPLY_IMAGES(i)                    \
    {                                         \
        __m512i x = broadcast_two(a + 2 * i); \
        multiply_add(&low##i, x, b_low);      \
        multiply_add(&high##i, x, b_high);    \
    }
#define PRODUCT_IMAGES(name, rows)                                                                      \
    INLINE void name(const int16_t *v, const int16_t *z, int first, __m512 by, int add, float *sums)    \
    {                                                                                                   \
        rows(OPEN_ROW) for (int j = 0; j < BLOCK_IMAGES / 2; j++)                                       \
        {                                                                                               \
            const int16_t *a = v + j * 2 * BLOCK_CHANNELS + 2 * first, *b = z + j * 2 * BLOCK_CHANNELS; \
            __m512i b_low = _mm512_load_si512(b), b_high = _mm512_load_si512(b + BLOCK_CHANNELS);       \
            rows(MULTIPLY_IMAGES)                                                                       \
        }                                                                                               \
        rows(CLOSE_IMAGES)                                                                              \
    }

PRODUCT_IMAGES(product_images_8, ROWS_8)
PRODUCT_IMAGES(product_images_12, ROWS_12)

INLINE void third_fetch(const void *next, size_t third)
{
    enum { LINES = (CELL * 2 / 64 + 2) / 3 };
    for (size_t i = third * LINES; next && i < (third + 1) * LINES; i++)
        __builtin_prefetch((const char *)next + i * 64, 0, 2);
}

/* sums [32 inputs][32 outputs] = or += scale V^T Z, both [16 pairs of images][32 channels][2]. The cell that the
 * next product needs (or NULL) is fetched towards the second-level cache, a third at a time. */
INLINE void product_images(const int16_t *v, const int16_t *z, int row_halves, int column_halves, float scale,
                           int add, float *sums, const void *next)
{
    (void)row_halves, (void)column_halves;
    __m512 by = _mm512_set1_ps(scale);
    third_fetch(next, 0);
    product_images_12(v, z, 0, by, add, sums);
    third_fetch(next, 1);
    product_images_12(v, z, 12, by, add, sums);
    third_fetch(next, 2);
    product_images_8(v, z, 24, by, add, sums);
}

#endif

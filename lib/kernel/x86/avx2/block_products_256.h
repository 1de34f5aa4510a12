/* block_products_256.h: what Winograd's products of cells are made of: 6 or 4 rows x 16 outputs in registers, 16-bit
 * integers in pairs (vpmaddwd, whose sums of two cannot leave 32 bits: |V| <= 2^14) or floats. */
#ifndef RESQ_KERNEL_X86_AVX2_BLOCK_PRODUCTS_256_H
#define RESQ_KERNEL_X86_AVX2_BLOCK_PRODUCTS_256_H

#include "kernel/x86/avx2/block_vectors_256.h"
#include <string.h>

/* ---- magnitudes ---- */

/* The largest magnitude of each of 32 images, over a pixel's cells, as bits of bfloat16. */
INLINE void image_magnitudes(const bf16 *x, int cells, uint16_t *largest)
{
    const __m256i magnitude = _mm256_set1_epi16(0x7fff);
    for (int n = 0; n < BLOCK_IMAGES; n++, x += BLOCK_CHANNELS) {
        __m256i v = _mm256_setzero_si256();
        for (int c = 0; c < cells; c++)
            v = _mm256_max_epu16(v, _mm256_max_epu16(_mm256_and_si256(codes_load(x + c * CELL), magnitude),
                                                     _mm256_and_si256(codes_load(x + c * CELL + 16), magnitude)));
        __m128i half = _mm_max_epu16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        /* phminposuw finds the least: of the complements */
        half = _mm_minpos_epu16(_mm_xor_si128(half, _mm_set1_epi16(-1)));
        largest[n] = (uint16_t)~_mm_extract_epi16(half, 0);
    }
}

/* ---- rows ---- */

/* gcc 12 keeps sums in memory that are arrays, and many of those that are variables where functions are large or
 * intrinsics leave it to move them: so each sum is a variable, tiles are functions of their own, and the instructions
 * that add to a sum are written as such. */
#define TILE_FUNCTION static __attribute__((noinline)) void

#define ROWS_4(f) f(0) f(1) f(2) f(3)
#define ROWS_6(f) ROWS_4(f) f(4) f(5)

/* A twelfth of the cell that the next product needs (or NULL), towards the second-level cache: all at once would have
 * the product wait. */
INLINE void next_fetch(const void *next, size_t cell_bytes, int part)
{
    size_t lines = (cell_bytes / 64 + 11) / 12, first = (size_t)part * lines;
    for (size_t i = first; next && i < first + lines; i++)
        __builtin_prefetch((const char *)next + i * 64, 0, 2);
}

/* ---- 16-bit integers ---- */

INLINE __m256i broadcast_two(const int16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm256_set1_epi32(two);
}

#define OPEN_I16(i) __m256i low##i = _mm256_setzero_si256(), high##i = low##i;
/* sum += a b, pairs of 16 bits */
INLINE void multiply_add(__m256i *sum, __m256i a, __m256i b)
{
    __m256i two;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(*sum), "=&x"(two) : "x"(a), "x"(b));
}

#define MULTIPLY_I16(i, at)                \
    {                                      \
        __m256i x = broadcast_two(at);     \
        multiply_add(&low##i, x, b_low);   \
        multiply_add(&high##i, x, b_high); \
    }

#define CLOSE_HALF(v, at) vec_store(at, add ? vec_add(vec_load(at), _mm256_cvtepi32_ps(v)) : _mm256_cvtepi32_ps(v));
#define CLOSE_CELLS(i)                         \
    CLOSE_HALF(low##i, m + i * BLOCK_CHANNELS) \
    CLOSE_HALF(high##i, m + i * BLOCK_CHANNELS + LANES)
#define MULTIPLY_CELLS(i) MULTIPLY_I16(i, a + i * BLOCK_CHANNELS + 2 * j)
/* v, u, m: of the first row and output. */
#define PRODUCT_CELLS(name, rows)                                                                  \
    TILE_FUNCTION name(const int16_t *v, const int16_t *u, int cells, int last, int add, float *m) \
    {                                                                                              \
        rows(OPEN_I16) for (int c = 0; c < cells; c++)                                             \
        {                                                                                          \
            const int16_t *a = v + c * CELL, *b = u + c * CELL;                                    \
            for (int j = 0; j < (c + 1 < cells ? BLOCK_CHANNELS / 2 : last); j++) {                \
                __m256i b_low = codes_load(b + j * 32), b_high = codes_load(b + j * 32 + 16);      \
                rows(MULTIPLY_CELLS)                                                               \
            }                                                                                      \
        }                                                                                          \
        rows(CLOSE_CELLS)                                                                          \
    }

PRODUCT_CELLS(product_cells_i16_4, ROWS_4)
PRODUCT_CELLS(product_cells_i16_6, ROWS_6)

/* M [32 images][32 outputs] = or += V [cells][32][32] U [cells][2][16 pairs][16 outputs][2]. */
INLINE void product_cells_i16(const int16_t *v, const int16_t *u, struct product_size size, int add, float *m)
{
    int cells = size.cells, last = size.last * 8;
    for (int half = 0; half < size.outputs; half++) {
        int row = 0;
        for (; row < 24; row += 6)
            product_cells_i16_6(v + row * BLOCK_CHANNELS, u + half * (CELL / 2), cells, last, add,
                                m + row * BLOCK_CHANNELS + half * 16);
        for (; row < BLOCK_IMAGES; row += 4)
            product_cells_i16_4(v + row * BLOCK_CHANNELS, u + half * (CELL / 2), cells, last, add,
                                m + row * BLOCK_CHANNELS + half * 16);
    }
}

#define CLOSE_SCALED(v, at) \
    vec_store(at, add ? vec_fma(_mm256_cvtepi32_ps(v), by, vec_load(at)) : vec_mul(_mm256_cvtepi32_ps(v), by));
#define CLOSE_IMAGES(i)                             \
    CLOSE_SCALED(low##i, sums + i * BLOCK_CHANNELS) \
    CLOSE_SCALED(high##i, sums + i * BLOCK_CHANNELS + LANES)
#define MULTIPLY_IMAGES(i) MULTIPLY_I16(i, v + j * 2 * BLOCK_CHANNELS + 2 * i)
#define PRODUCT_IMAGES(name, rows)                                                       \
    TILE_FUNCTION name(const int16_t *v, const int16_t *z, vec by, int add, float *sums) \
    {                                                                                    \
        rows(OPEN_I16) for (int j = 0; j < BLOCK_IMAGES / 2; j++)                        \
        {                                                                                \
            const int16_t *b = z + j * 2 * BLOCK_CHANNELS;                               \
            __m256i b_low = codes_load(b), b_high = codes_load(b + 16);                  \
            rows(MULTIPLY_IMAGES)                                                        \
        }                                                                                \
        rows(CLOSE_IMAGES)                                                               \
    }

PRODUCT_IMAGES(product_images_i16_4, ROWS_4)
PRODUCT_IMAGES(product_images_i16_6, ROWS_6)

/* sums [32 inputs][32 outputs] = or += scale V^T Z, both [16 pairs of images][32 channels][2]; next_fetch(next). */
INLINE void product_images_i16(const int16_t *v, const int16_t *z, int row_halves, int column_halves, float scale,
                               int add, float *sums, const void *next)
{
    vec by = vec_set(scale);
    for (int half = 0, part = 0; half < column_halves; half++) {
        int row = 0;
        for (; row + 6 <= row_halves * 16 && row < 24; row += 6) {
            next_fetch(next, CELL * sizeof *v, part++);
            product_images_i16_6(v + 2 * row, z + half * 32, by, add, sums + row * BLOCK_CHANNELS + half * 16);
        }
        for (; row < row_halves * 16; row += 4) {
            next_fetch(next, CELL * sizeof *v, part++);
            product_images_i16_4(v + 2 * row, z + half * 32, by, add, sums + row * BLOCK_CHANNELS + half * 16);
        }
    }
}

/* ---- float32 ---- */

#define LOAD_F32(i) \
    vec low##i = vec_load(sums + i * BLOCK_CHANNELS), high##i = vec_load(sums + i * BLOCK_CHANNELS + LANES);
#define STORE_F32(i)                              \
    vec_store(sums + i * BLOCK_CHANNELS, low##i); \
    vec_store(sums + i * BLOCK_CHANNELS + LANES, high##i);
/* sum += a b */
INLINE void multiply_add_f32(vec *sum, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b));
}

#define MULTIPLY_F32(i, value)                 \
    {                                          \
        vec x = value;                         \
        multiply_add_f32(&low##i, x, b_low);   \
        multiply_add_f32(&high##i, x, b_high); \
    }

#define ROW_OF_CELL(i) MULTIPLY_F32(i, vec_set(a[i * BLOCK_CHANNELS + j]))
#define OPEN_F32(i)                                                      \
    vec low##i = add ? vec_load(sums + i * BLOCK_CHANNELS) : vec_zero(); \
    vec high##i = add ? vec_load(sums + i * BLOCK_CHANNELS + LANES) : vec_zero();
#define PRODUCT_F32(name, rows)                                                                      \
    TILE_FUNCTION name(const float *v, const float *u, int cells, int last, int add, float *sums)    \
    {                                                                                                \
        rows(OPEN_F32) for (int c = 0; c < cells; c++)                                               \
        {                                                                                            \
            const float *a = v + c * CELL, *b = u + c * CELL;                                        \
            for (int j = 0; j < (c + 1 < cells ? BLOCK_CHANNELS : last); j++, b += BLOCK_CHANNELS) { \
                vec b_low = vec_load(b), b_high = vec_load(b + LANES);                               \
                rows(ROW_OF_CELL)                                                                    \
            }                                                                                        \
        }                                                                                            \
        rows(STORE_F32)                                                                              \
    }

PRODUCT_F32(product_cells_f32_4, ROWS_4)
PRODUCT_F32(product_cells_f32_6, ROWS_6)

/* M [32 images][32 outputs] = or += V [cells][32][32] U [cells][32][32]. */
INLINE void product_cells_f32(const float *v, const float *u, struct product_size size, int add, float *m)
{
    int cells = size.cells, last = size.last * 16;
    for (int half = 0; half < size.outputs; half++) {
        int row = 0;
        for (; row < 24; row += 6)
            product_cells_f32_6(v + row * BLOCK_CHANNELS, u + half * 16, cells, last, add,
                                m + row * BLOCK_CHANNELS + half * 16);
        for (; row < BLOCK_IMAGES; row += 4)
            product_cells_f32_4(v + row * BLOCK_CHANNELS, u + half * 16, cells, last, add,
                                m + row * BLOCK_CHANNELS + half * 16);
    }
}

#define COLUMN_OF_CELL(i) MULTIPLY_F32(i, vec_set(v[n * BLOCK_CHANNELS + i]))
#define PRODUCT_TURNED(name, rows)                                                                           \
    TILE_FUNCTION name(const float *v, const float *z, int add, float *sums)                                 \
    {                                                                                                        \
        rows(OPEN_F32) for (int n = 0; n < BLOCK_IMAGES; n++)                                                \
        {                                                                                                    \
            vec b_low = vec_load(z + n * BLOCK_CHANNELS), b_high = vec_load(z + n * BLOCK_CHANNELS + LANES); \
            rows(COLUMN_OF_CELL)                                                                             \
        }                                                                                                    \
        rows(STORE_F32)                                                                                      \
    }

PRODUCT_TURNED(product_images_f32_4, ROWS_4)
PRODUCT_TURNED(product_images_f32_6, ROWS_6)

/* sums [32 inputs][32 outputs] = or += V^T Z, both [32 images][32 channels]; scale: 1; next_fetch(next). */
INLINE void product_images_f32(const float *v, const float *z, int row_halves, int column_halves, float scale,
                               int add, float *sums, const void *next)
{
    (void)scale;
    for (int half = 0, part = 0; half < column_halves; half++) {
        int row = 0;
        for (; row + 6 <= row_halves * 16 && row < 24; row += 6) {
            next_fetch(next, CELL * sizeof *v, part++);
            product_images_f32_6(v + row, z + half * 16, add, sums + row * BLOCK_CHANNELS + half * 16);
        }
        for (; row < row_halves * 16; row += 4) {
            next_fetch(next, CELL * sizeof *v, part++);
            product_images_f32_4(v + row, z + half * 16, add, sums + row * BLOCK_CHANNELS + half * 16);
        }
    }
}

#endif

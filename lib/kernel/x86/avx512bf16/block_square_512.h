/* block_square_512.h: the product that training's convolutions are made of: a square of 32 x 32 sums, C += A B for a
 * list of cells A [32 rows][32] and B [2 halves of the columns][16 pairs][16 columns][2]. Sums: [2 halves of the
 * rows][2 halves of the columns][16][16], in registers or memory between square_open and square_close.
 *
 * Here by vdpbf16ps: 12 rows x 32 columns in 24 registers, a pair of A broadcast to all columns; so every cell is
 * gone through three times, for rows 0-11, 12-23 and 24-31, and each sum has the same order whatever its row. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_SQUARE_512_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_SQUARE_512_H

#include "kernel/x86/avx512bf16/block_vectors_512.h"
#include <string.h>

enum { SQUARE_TILE = 256 /* floats */, PAIRS = 6 /* products of planes that count */ };

/* Around all squares of a call. */
ALWAYS_INLINE void square_begin(void)
{
}

ALWAYS_INLINE void square_end(void)
{
}

/* Sums begin at zero, or go on. */
ALWAYS_INLINE void square_open(float *sums, int is_first)
{
    if (is_first)
        memset(sums, 0, 4 * SQUARE_TILE * sizeof *sums);
}

ALWAYS_INLINE void square_close(float *sums)
{
    (void)sums;
}

ALWAYS_INLINE float *square_row(float *sums, int row)
{
    return sums + row / 16 * 2 * SQUARE_TILE + row % 16 * 16;
}

ALWAYS_INLINE __m512bh broadcast_pair(const bf16 *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* One variable for each accumulator: gcc 12 keeps arrays in memory. */
#define ROWS_8(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define ROWS_12(f) ROWS_8(f) f(8) f(9) f(10) f(11)
#define OPEN_ROW(i)                                              \
    __m512 low##i = _mm512_load_ps(square_row(sums, first + i)); \
    __m512 high##i = _mm512_load_ps(square_row(sums, first + i) + SQUARE_TILE);
#define CLOSE_ROW(i)                                      \
    _mm512_store_ps(square_row(sums, first + i), low##i); \
    _mm512_store_ps(square_row(sums, first + i) + SQUARE_TILE, high##i);
#define MULTIPLY_ROW(i)                                              \
    {                                                                \
        __m512bh x = broadcast_pair(a + i * BLOCK_CHANNELS + 2 * j); \
        low##i = _mm512_dpbf16_ps(low##i, x, b_low);                 \
        high##i = _mm512_dpbf16_ps(high##i, x, b_high);              \
    }
#define MULTIPLY_CELL(rows, a_plane, b_plane)                                                 \
    {                                                                                         \
        const bf16 *a = a_run + first * BLOCK_CHANNELS + (a_plane)*CELL;                      \
        const bf16 *b = b_run + (b_plane)*CELL;                                               \
        for (int j = 0; j < BLOCK_CHANNELS / 2; j++) {                                        \
            __m512bh b_low = (__m512bh)_mm512_load_si512(b + j * BLOCK_CHANNELS);             \
            __m512bh b_high = (__m512bh)_mm512_load_si512(b + CELL / 2 + j * BLOCK_CHANNELS); \
            rows(MULTIPLY_ROW)                                                                \
        }                                                                                     \
    }

/* What square_add does for rows [first, first + 8 or 12). Of the products of planes six count, the small ones
 * first. */
#define SQUARE_ROWS(name, rows)                                                                        \
    ALWAYS_INLINE void name(float *sums, int first, const bf16 *const *a_runs, size_t a_step,          \
                            const bf16 *const *b_runs, size_t b_step, int runs, int steps, int planes) \
    {                                                                                                  \
        rows(OPEN_ROW) for (int i = 0; i < runs; i++)                                                  \
        {                                                                                              \
            const bf16 *a_run = a_runs[i], *b_run = b_runs[i];                                         \
            for (int step = 0; step < steps; step++, a_run += a_step, b_run += b_step) {               \
                for (int p = 0; planes == 3 && p < PAIRS - 1; p++)                                     \
                    MULTIPLY_CELL(rows, pairs[p][0], pairs[p][1])                                      \
                MULTIPLY_CELL(rows, 0, 0)                                                              \
            }                                                                                          \
        }                                                                                              \
        rows(CLOSE_ROW)                                                                                \
    }

static const uint8_t pairs[PAIRS - 1][2] = {{2, 0}, {1, 1}, {0, 2}, {1, 0}, {0, 1}};

SQUARE_ROWS(square_add_8, ROWS_8)
SQUARE_ROWS(square_add_12, ROWS_12)

/* Adds `runs` runs of `steps` cells; cells of a run lie a_step and b_step values apart, planes of a cell side by
 * side. */
ALWAYS_INLINE void square_add(float *sums, const bf16 *const *a, size_t a_step, const bf16 *const *b, size_t b_step,
                              int runs, int steps, int planes)
{
    square_add_12(sums, 0, a, a_step, b, b_step, runs, steps, planes);
    square_add_12(sums, 12, a, a_step, b, b_step, runs, steps, planes);
    square_add_8(sums, 24, a, a_step, b, b_step, runs, steps, planes);
}

/* The same of one run of `steps` turned cells. */
ALWAYS_INLINE void square_add_turned(float *sums, const bf16 *a, size_t a_step, const bf16 *b, size_t b_step,
                                     int steps, int planes, int row_halves, int column_halves)
{
    (void)row_halves, (void)column_halves;
    if (planes == 1)
        square_add(sums, &a, a_step, &b, b_step, 1, steps, 1);
    else
        square_add(sums, &a, a_step, &b, b_step, 1, steps, 3);
}

#endif

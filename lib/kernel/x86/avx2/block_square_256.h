/* block_square_256.h: the direct product of training's convolutions: a square of 32 x 32 float sums, C += A B for a
 * list of cells of 32 x 32 floats, by 6 or 4 rows x 16 columns in registers. A is rows x reduced, or, of turned
 * cells, reduced x rows. Sums: [32][32]. Each has the same order whatever its row. */
#ifndef RESQ_KERNEL_X86_AVX2_BLOCK_SQUARE_256_H
#define RESQ_KERNEL_X86_AVX2_BLOCK_SQUARE_256_H

#include "kernel/x86/avx2/block_products_256.h"

/* What square_begin, square_open ... are for: block_square_512.h. */
INLINE void square_begin(void)
{
}

INLINE void square_end(void)
{
}

INLINE void square_open(float *sums, int is_first)
{
    if (is_first)
        memset(sums, 0, CELL * sizeof *sums);
}

INLINE void square_close(float *sums)
{
    (void)sums;
}

#define FLOAT_ROW(i) MULTIPLY_F32(i, vec_set(floats[i * BLOCK_CHANNELS + j]))
#define TURNED_ROW(i) MULTIPLY_F32(i, vec_set(floats[j * BLOCK_CHANNELS + i]))

/* Rows from the first of a, b and sums on; runs of `steps` cells side by side in both. */
#define SQUARE_ROWS(name, rows)                                                                            \
    TILE_FUNCTION name(float *sums, const float *const *a_runs, size_t a_first, const bf16 *const *b_runs, \
                       size_t b_first, int runs, int steps, int last)                                      \
    {                                                                                                      \
        rows(LOAD_F32) for (int r = 0; r < runs; r++)                                                      \
        {                                                                                                  \
            const float *floats = a_runs[r] + a_first;                                                     \
            const float *b = (const float *)(const void *)b_runs[r] + b_first;                             \
            for (int step = 0; step < steps; step++, floats += CELL, b += CELL)                            \
                for (int j = 0; j < (step + 1 < steps ? BLOCK_CHANNELS : last); j++) {                     \
                    vec b_low = vec_load(b + j * BLOCK_CHANNELS);                                          \
                    vec b_high = vec_load(b + j * BLOCK_CHANNELS + LANES);                                 \
                    rows(FLOAT_ROW)                                                                        \
                }                                                                                          \
        }                                                                                                  \
        rows(STORE_F32)                                                                                    \
    }

SQUARE_ROWS(square_rows_4, ROWS_4)
SQUARE_ROWS(square_rows_6, ROWS_6)

/* Adds `runs` runs of `steps` cells, [32 rows][32] floats; cells of a run lie side by side. last, outputs: halves of
 * each run's last cell, and of the columns, that are not zeros. */
INLINE void square_add(float *sums, const float *const *a, const bf16 *const *b, int runs, int steps, int last,
                       int outputs)
{
    for (size_t half = 0; half < (size_t)outputs * 16; half += 16)
        for (size_t row = 0; row < BLOCK_IMAGES; row += row < 24 ? 6 : 4)
            (row < 24 ? square_rows_6 : square_rows_4)(sums + row * BLOCK_CHANNELS + half, a, row * BLOCK_CHANNELS,
                                                       b, half, runs, steps, last * 16);
}

#define TURNED_ROWS(name, rows)                                                                              \
    TILE_FUNCTION name(float *sums, const float *a, size_t a_step, const float *b, size_t b_step, int steps) \
    {                                                                                                        \
        rows(LOAD_F32) for (int step = 0; step < steps; step++, a += a_step, b += b_step)                    \
        {                                                                                                    \
            const float *floats = a, *b_row = b;                                                             \
            for (int j = 0; j < BLOCK_IMAGES; j++, b_row += BLOCK_CHANNELS) {                                \
                vec b_low = vec_load(b_row), b_high = vec_load(b_row + LANES);                               \
                rows(TURNED_ROW)                                                                             \
            }                                                                                                \
        }                                                                                                    \
        rows(STORE_F32)                                                                                      \
    }

TURNED_ROWS(turned_rows_4, ROWS_4)
TURNED_ROWS(turned_rows_6, ROWS_6)

/* One run of `steps` turned cells of floats; steps between cells in bf16, as block_weight.inc counts. Halves of rows
 * and columns: those with real channels. */
INLINE void square_add_turned(float *sums, const bf16 *a, size_t a_step, const bf16 *b, size_t b_step, int steps,
                              int planes, int row_halves, int column_halves)
{
    const float *x = (const float *)(const void *)a, *y = (const float *)(const void *)b;
    (void)planes;
    for (size_t half = 0; half < (size_t)column_halves * 16; half += 16) {
        int row = 0;
        for (; row + 6 <= row_halves * 16 && row < 24; row += 6)
            turned_rows_6(sums + (size_t)row * BLOCK_CHANNELS + half, x + row, a_step / 2, y + half, b_step / 2,
                          steps);
        for (; row < row_halves * 16; row += 4)
            turned_rows_4(sums + (size_t)row * BLOCK_CHANNELS + half, x + row, a_step / 2, y + half, b_step / 2,
                          steps);
    }
}

#endif

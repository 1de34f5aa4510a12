/* block_square_256.h: the direct product of training's convolutions: a square of 32 x 32 float sums, C += A B for a list of
 * cells, by 6 or 4 rows x 16 columns in registers. B is [32][32] floats, whatever the maps are; A a cell of bfloat16 or
 * of float32, rows x reduced, or, of turned cells, [32 reduced][32 rows] floats. Sums: [32][32]. Each has the same
 * order whatever its row. */
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

/* Two bfloat16 side by side as floats, to all lanes. */
INLINE vec broadcast_even(const bf16 *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(broadcast_two((const int16_t *)p), 16));
}

INLINE vec broadcast_odd(const bf16 *p)
{
    return _mm256_castsi256_ps(
        _mm256_and_si256(broadcast_two((const int16_t *)p), _mm256_set1_epi32((int)0xffff0000)));
}

#define EVEN_ROW(i) MULTIPLY_F32(i, broadcast_even(a + i * BLOCK_CHANNELS + j))
#define ODD_ROW(i) MULTIPLY_F32(i, broadcast_odd(a + i * BLOCK_CHANNELS + j))
#define FLOAT_ROW(i) MULTIPLY_F32(i, vec_set(floats[i * BLOCK_CHANNELS + j]))
#define TURNED_ROW(i) MULTIPLY_F32(i, vec_set(floats[j * BLOCK_CHANNELS + i]))

/* Rows from the first of a, b and sums on; runs of `steps` cells side by side in both. */
#define SQUARE_ROWS(name, rows, planes)                                                                      \
    TILE_FUNCTION name(float *sums, const bf16 *const *a_runs, size_t a_first, const bf16 *const *b_runs,    \
                       size_t b_first, int runs, int steps)                                                  \
    {                                                                                                        \
        rows(LOAD_F32) for (int r = 0; r < runs; r++)                                                        \
        {                                                                                                    \
            const bf16 *a = a_runs[r] + a_first;                                                             \
            const float *b = (const float *)(const void *)b_runs[r] + b_first;                               \
            for (int step = 0; step < steps; step++, a += planes * CELL) {                                   \
                const float *floats = (const float *)(const void *)a;                                        \
                for (int j = 0; planes == 1 && j < BLOCK_CHANNELS; j += 2, b += 2 * BLOCK_CHANNELS) {        \
                    {                                                                                        \
                        vec b_low = vec_load(b), b_high = vec_load(b + LANES);                               \
                        rows(EVEN_ROW)                                                                       \
                    }                                                                                        \
                    vec b_low = vec_load(b + BLOCK_CHANNELS), b_high = vec_load(b + BLOCK_CHANNELS + LANES); \
                    rows(ODD_ROW)                                                                            \
                }                                                                                            \
                for (int j = 0; planes != 1 && j < BLOCK_CHANNELS; j++, b += BLOCK_CHANNELS) {               \
                    vec b_low = vec_load(b), b_high = vec_load(b + LANES);                                   \
                    rows(FLOAT_ROW)                                                                          \
                }                                                                                            \
            }                                                                                                \
        }                                                                                                    \
        rows(STORE_F32)                                                                                      \
    }

SQUARE_ROWS(square_bf16_4, ROWS_4, 1)
SQUARE_ROWS(square_bf16_6, ROWS_6, 1)
SQUARE_ROWS(square_f32_4, ROWS_4, BLOCK_PLAIN)
SQUARE_ROWS(square_f32_6, ROWS_6, BLOCK_PLAIN)

/* Adds `runs` runs of `steps` cells; cells of a run lie side by side. planes: of A. */
INLINE void square_add(float *sums, const bf16 *const *a, const bf16 *const *b, int runs, int steps, int planes)
{
    for (size_t half = 0; half < 32; half += 16)
        for (int row = 0; row < BLOCK_IMAGES; row += row < 24 ? 6 : 4) {
            float *to = sums + (size_t)row * BLOCK_CHANNELS + half;
            size_t first = (size_t)(row * row_step(planes));
            if (planes == 1)
                (row < 24 ? square_bf16_6 : square_bf16_4)(to, a, first, b, half, runs, steps);
            else
                (row < 24 ? square_f32_6 : square_f32_4)(to, a, first, b, half, runs, steps);
        }
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

/* One run of `steps` turned cells of floats; steps between cells in bf16, as block_weight.inc counts. */
INLINE void square_add_turned(float *sums, const bf16 *a, size_t a_step, const bf16 *b, size_t b_step, int steps,
                              int planes)
{
    const float *x = (const float *)(const void *)a, *y = (const float *)(const void *)b;
    (void)planes;
    for (size_t half = 0; half < 32; half += 16) {
        int row = 0;
        for (; row < 24; row += 6)
            turned_rows_6(sums + (size_t)row * BLOCK_CHANNELS + half, x + row, a_step / 2, y + half, b_step / 2,
                          steps);
        for (; row < BLOCK_CHANNELS; row += 4)
            turned_rows_4(sums + (size_t)row * BLOCK_CHANNELS + half, x + row, a_step / 2, y + half, b_step / 2,
                          steps);
    }
}

#endif

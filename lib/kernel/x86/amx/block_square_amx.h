/* block_square_amx.h: avx512bf16/block_square_512.h on the matrix unit: accumulators 0-3, two tiles of A (4, 5), two
 * of B (6, 7). A step of 32 bfloat16 is four loads and four products, which take the unit the same time. The sums live
 * in the tiles from square_open to square_close. */
#ifndef RESQ_KERNEL_X86_AMX_BLOCK_SQUARE_AMX_H
#define RESQ_KERNEL_X86_AMX_BLOCK_SQUARE_AMX_H

#include "kernel/x86/amx/block_tiles.h"

ALWAYS_INLINE void square_begin(void)
{
    tiles_configure(TILE_ROWS);
}

ALWAYS_INLINE void square_end(void)
{
    tiles_release();
}

ALWAYS_INLINE void square_open(float *sums, int is_first)
{
    if (is_first)
        TILES_ZERO();
    else
        TILES_LOAD(sums);
}

ALWAYS_INLINE void square_close(float *sums)
{
    TILES_STORE(sums);
}

ALWAYS_INLINE void run_add(const bf16 *a, size_t a_step, const bf16 *b, size_t b_step, int steps)
{
    for (int i = 0; i < steps; i++, a += a_step, b += b_step)
        cell_add(a, b);
}

ALWAYS_INLINE void run_add_planes(const bf16 *a, size_t a_step, const bf16 *b, size_t b_step, int steps)
{
    for (int i = 0; i < steps; i++, a += a_step, b += b_step) {
        cell_add_planes_begin(a, b);
        cell_add_planes_end(a, b);
    }
}

ALWAYS_INLINE void square_add(float *sums, const bf16 *const *a, size_t a_step, const bf16 *const *b, size_t b_step,
                              int runs, int steps, int planes)
{
    (void)sums;
    for (int i = 0; i < runs; i++)
        if (planes == 1)
            run_add(a[i], a_step, b[i], b_step, steps);
        else
            run_add_planes(a[i], a_step, b[i], b_step, steps);
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

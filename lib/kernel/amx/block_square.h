/* block_square.h: avx512bf16/block_square.h on the matrix unit: accumulators 0-3, two tiles of A (4, 5), two of B
 * (6, 7). A step of 32 bfloat16 is four loads and four products, which take the unit the same time. The sums live
 * in the tiles from square_open to square_close. */
#ifndef RESQ_KERNEL_AMX_BLOCK_SQUARE_H
#define RESQ_KERNEL_AMX_BLOCK_SQUARE_H

#include "kernel/amx/block_tiles.h"
#include "kernel/avx512bf16/block_vectors.h"

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

#define LOAD_A(p)                           \
    do {                                    \
        _tile_loadd(4, (p), 64);            \
        _tile_loadd(5, (p) + CELL / 2, 64); \
    } while (0)
#define LOAD_B(p)                           \
    do {                                    \
        _tile_loadd(6, (p), 64);            \
        _tile_loadd(7, (p) + CELL / 2, 64); \
    } while (0)
#define MULTIPLY()               \
    do {                         \
        _tile_dpbf16ps(0, 4, 6); \
        _tile_dpbf16ps(1, 4, 7); \
        _tile_dpbf16ps(2, 5, 6); \
        _tile_dpbf16ps(3, 5, 7); \
    } while (0)

ALWAYS_INLINE void run_add(const bf16 *a, size_t a_step, const bf16 *b, size_t b_step, int steps)
{
    for (int i = 0; i < steps; i++, a += a_step, b += b_step) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + CELL / 2, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + CELL / 2, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

/* Three planes: the six products that count, ordered so that five of twelve operands stay where they are. */
ALWAYS_INLINE void run_add_planes(const bf16 *a, size_t a_step, const bf16 *b, size_t b_step, int steps)
{
    for (int i = 0; i < steps; i++, a += a_step, b += b_step) {
        LOAD_A(a);
        LOAD_B(b + 2 * CELL);
        MULTIPLY();
        LOAD_B(b + CELL);
        MULTIPLY();
        LOAD_A(a + CELL);
        MULTIPLY();
        LOAD_B(b);
        MULTIPLY();
        LOAD_A(a + 2 * CELL);
        MULTIPLY();
        LOAD_A(a);
        MULTIPLY();
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

#endif

/* block_tiles.h: the eight registers as training uses them: a 2 x 2 square of accumulators (0-3), two of A (4, 5),
 * two of B (6, 7). A step of 32 bfloat16 is four loads and four products, which take the unit the same time. */
#ifndef RESQ_KERNEL_X86_AMX_BLOCK_TILES_H
#define RESQ_KERNEL_X86_AMX_BLOCK_TILES_H

#include "kernel/x86/amx/tiles.h"
#include "kernel/x86/avx512bf16/block_vectors_512.h"

enum { TILE_FLOATS = 256 };

#define TILES_ZERO()   \
    do {               \
        _tile_zero(0); \
        _tile_zero(1); \
        _tile_zero(2); \
        _tile_zero(3); \
    } while (0)
/* The square from or to memory: [4][16][16]. */
#define TILES_LOAD(p)                              \
    do {                                           \
        _tile_loadd(0, (p), 64);                   \
        _tile_loadd(1, (p) + TILE_FLOATS, 64);     \
        _tile_loadd(2, (p) + 2 * TILE_FLOATS, 64); \
        _tile_loadd(3, (p) + 3 * TILE_FLOATS, 64); \
    } while (0)
#define TILES_STORE(p)                              \
    do {                                            \
        _tile_stored(0, (p), 64);                   \
        _tile_stored(1, (p) + TILE_FLOATS, 64);     \
        _tile_stored(2, (p) + 2 * TILE_FLOATS, 64); \
        _tile_stored(3, (p) + 3 * TILE_FLOATS, 64); \
    } while (0)

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

/* The square += a cell of A [32][32] times the weights of one cell, B [2][16][32]. */
ALWAYS_INLINE void cell_add(const bf16 *a, const bf16 *b)
{
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + CELL / 2, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + CELL / 2, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* Three planes: the six products that count, ordered so that five of twelve operands stay where they are; in two
 * parts, so that something else may be done meanwhile. */
ALWAYS_INLINE void cell_add_planes_begin(const bf16 *a, const bf16 *b)
{
    LOAD_A(a);
    LOAD_B(b + 2 * CELL);
    MULTIPLY();
    LOAD_B(b + CELL);
    MULTIPLY();
}

ALWAYS_INLINE void cell_add_planes_end(const bf16 *a, const bf16 *b)
{
    LOAD_A(a + CELL);
    MULTIPLY();
    LOAD_B(b);
    MULTIPLY();
    LOAD_A(a + 2 * CELL);
    MULTIPLY();
    LOAD_A(a);
    MULTIPLY();
}

#endif

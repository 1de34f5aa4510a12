/* block_tiles.h: the eight registers as training uses them: a 2 x 2 square of accumulators (0-3), two of A (4, 5),
 * two of B (6, 7). A step of 32 bfloat16 is four loads and four products, which take the unit the same time. */
#ifndef RESQ_KERNEL_AMX_BLOCK_TILES_H
#define RESQ_KERNEL_AMX_BLOCK_TILES_H

#include "kernel/amx/tiles.h"

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

#endif

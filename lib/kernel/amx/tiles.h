/* tiles.h: the matrix unit's eight registers as this folder uses them: a 2 x 2 square of accumulators, two of A,
 * two of B, all of 16 rows of 64 bytes. A step of 32 bfloat16 (or 64 bytes) is four loads and four products, which
 * take the unit the same time. */
#ifndef RESQ_KERNEL_AMX_TILES_H
#define RESQ_KERNEL_AMX_TILES_H

#include <immintrin.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_BYTES = 1024, TILE_FLOATS = 256 };

/* Every call of a kernel sets the registers up and gives them back: a thread that computes nothing keeps no state.
 */
static inline void tiles_begin(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = TILE_ROWS;
    }
    _tile_loadconfig(&config);
}

static inline void tiles_end(void)
{
    _tile_release();
}

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

/* tiles.h: the tile registers as these kernels configure them. */
#ifndef RESQ_KERNEL_X86_AMX_TILES_H
#define RESQ_KERNEL_X86_AMX_TILES_H

#include <immintrin.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_ROW_BYTES = 64 };

/* Palette 1: what ldtilecfg reads. */
struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Tiles 0..3 (sums) and 7 (inputs) have `rows` rows, 4..6 (weights) sixteen, all of 64 bytes; tiles are zero. */
static inline void tiles_configure(int rows)
{
    struct tile_configuration c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = TILE_ROW_BYTES;
        c.rows[i] = (uint8_t)(i >= 4 && i < 7 ? TILE_ROWS : rows);
    }
    _tile_loadconfig(&c);
}

/* Gives the registers back, so that a switch of threads has nothing to save. */
static inline void tiles_release(void)
{
    _tile_release();
}

#endif

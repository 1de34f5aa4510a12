/* blocks_u8.h: one block of the integer convolution: up to four tiles of 16 pixels by 16 outputs, summed by tile
 * products while the sums of the block before it become codes in the vector units. */
#ifndef RESQ_KERNEL_X86_AMX_BLOCKS_U8_H
#define RESQ_KERNEL_X86_AMX_BLOCKS_U8_H

#include "kernel/contract/kernel.h"
#include <stdint.h>

enum {
    OUTPUTS = 16,
    PIXELS = 16,     /* of a tile */
    BLOCK_TILES = 4, /* tiles of sums */
    STEP_BYTES = 64,
    STEP_INPUTS = STEP_BYTES, /* of one product */
    WEIGHT_TILE = OUTPUTS * STEP_BYTES,
    BLOCK_PIXELS = BLOCK_TILES * PIXELS,
    CHUNK = 4 /* pixels written at once */
};

/* Elements from the tensors' pointers to each pixel of a block. */
struct pixel_offsets {
    ptrdiff_t y[BLOCK_PIXELS], residual[BLOCK_PIXELS], before[BLOCK_PIXELS], logits[BLOCK_PIXELS];
};

/* Where a block's outputs go. Pointers NULL as in the call; they are moved to the block's first output. */
struct block_outputs {
    const struct pixel_offsets *offsets;
    const uint8_t *residual;
    uint8_t *y;
    float *before, *logits;
    const float *multiplier; /* of the block's first output */
    int outputs_step;        /* outputs from one tile to the next: 0, or OUTPUTS, which the offsets know too */
    unsigned short lanes;    /* mask of the outputs that exist */
    int tiles;
    int begin[BLOCK_TILES], end[BLOCK_TILES]; /* pixels of each tile to write */
};

/* Sums on their way to codes, four pixels at a time. */
struct pending {
    struct block_outputs to;
    const int32_t *sums; /* [BLOCK_TILES][PIXELS][OUTPUTS] */
    int next, end;       /* pixels written, of all */
    int wait, interval;  /* loads of tiles until the next four, and between them */
};

/* The requantization's constants in every lane: loaded from here they cost no vector port. */
struct lanes {
    int32_t residual_zero[16], zero[16], low[16], high[16];
    float residual_multiplier[16], limit[16];
    int16_t zero_16[32];
    uint8_t low_8[64], high_8[64];
};

/* A call's state. */
struct blocks {
    struct lanes lanes __attribute__((aligned(64)));
    int32_t sums[2][BLOCK_PIXELS * OUTPUTS] __attribute__((aligned(64)));
    struct pending last;
    struct ahead *ahead;      /* the call's, or NULL */
    struct ahead_range fetch; /* what the present block may bring of it */
    int small;                /* no value before rounding comes near 2^31 */
    int turn;
};

/* The products of a block. Tile j's pixel m with tap (r,t) and inputs 64 s.. is read at
 *     x + j * tile_step + r * row_step + t * tap_step + 64 s + m * pixel_step
 * and the weights stand as [t][s][r]. Only the rows j * shared + r in [row_begin, row_end) and the taps t in
 * [tap_begin, tap_end) are read: what lies outside adds the zero point, which the constant leaves out. */
struct block_inputs {
    const uint8_t *x;
    ptrdiff_t tile_step, row_step, tap_step, pixel_step;
    const int8_t *weights;
    size_t weights_step; /* not 0: tiles differ in their outputs and not in pixels, and their weights lie so far
                            apart */
    int steps;
    int shared; /* 1, 2: tile_step is shared * row_step, so that tiles share rows; 0: they share nothing */
    int row_begin, row_end, tap_begin, tap_end;
    int32_t first[BLOCK_TILES * OUTPUTS] __attribute__((aligned(64))); /* what the sums of each tile begin with */
};

/* For `outputs` outputs; ahead as in the call. */
void blocks_open(struct blocks *b, const struct requantize *requantize, int outputs, struct ahead *ahead);
/* Tiles are configured: 0..3 sums, 4..6 weights of 16 rows, 7 inputs. */
void blocks_add(struct blocks *b, const struct block_inputs *in, const struct block_outputs *to);
/* Writes what is pending. */
void blocks_close(struct blocks *b);

#endif

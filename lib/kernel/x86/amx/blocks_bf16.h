/* blocks_bf16.h: one block of the bfloat16 convolution: up to four tiles of 16 pixels by 16 outputs, summed by tile
 * products while the sums of the block before it are rounded in the vector units. */
#ifndef RESQ_KERNEL_X86_AMX_BLOCKS_BF16_H
#define RESQ_KERNEL_X86_AMX_BLOCKS_BF16_H

#include "kernel/contract/kernel.h"

enum {
    OUTPUTS = 16,
    PIXELS = 16,      /* of a tile */
    BLOCK_TILES = 4,  /* tiles of sums */
    STEP_INPUTS = 32, /* of one product */
    STEP_BYTES = STEP_INPUTS * 2,
    WEIGHT_TILE = OUTPUTS * STEP_BYTES,
    BLOCK_PIXELS = BLOCK_TILES * PIXELS,
    CHUNK = 4 /* pixels written at once */
};

/* Elements from the tensors' pointers to each pixel of a block. */
struct pixel_offsets {
    ptrdiff_t y[BLOCK_PIXELS], residual[BLOCK_PIXELS], sums[BLOCK_PIXELS];
};

/* Where a block's outputs go. Pointers NULL as in the call; they are moved to the block's first output. */
struct block_outputs {
    const struct pixel_offsets *offsets;
    const bf16 *residual;
    bf16 *y;
    float *sums;
    unsigned short lanes; /* mask of the outputs that exist */
    int tiles;
    int begin[BLOCK_TILES], end[BLOCK_TILES]; /* pixels of each tile to write */
};

/* Sums on their way to results, four pixels at a time. */
struct pending {
    struct block_outputs to;
    const float *sums;  /* [BLOCK_TILES][PIXELS][OUTPUTS] */
    int next, end;      /* pixels written, of all */
    int wait, interval; /* loads of tiles until the next four, and between them */
};

/* A call's state. */
struct blocks {
    float sums[2][BLOCK_PIXELS * OUTPUTS] __attribute__((aligned(64)));
    float floor[OUTPUTS] __attribute__((aligned(64))); /* 0 with a relu, else -infinity */
    struct pending last;
    int turn;
};

/* The products of a block. Tile j's pixel m with tap (r,t) and inputs 32 s.. is read at, in bytes,
 *     x + j * tile_step + r * row_step + t * tap_step + s * input_step + m * pixel_step
 * and the weights stand as [t][s][r], in which order they are summed. Only the rows j * shared + r in [row_begin,
 * row_end) and the taps t in [tap_begin, tap_end) are read: what lies outside is zero. */
struct block_inputs {
    const char *x;
    ptrdiff_t tile_step, row_step, tap_step, pixel_step, input_step;
    const char *weights;
    ptrdiff_t ahead; /* fetches what stands so many bytes behind the weights in use; 0: nothing */
    int steps;
    int shared; /* 1, 2: tile_step is shared * row_step, so that tiles share rows; 0: they share nothing */
    int row_begin, row_end, tap_begin, tap_end;
    float first[OUTPUTS] __attribute__((aligned(64))); /* what sums begin with: the bias */
};

void bf16_blocks_open(struct blocks *b, int relu);
/* Tiles are configured: 0..3 sums, 4..6 weights of 16 rows, 7 inputs. */
void bf16_blocks_add(struct blocks *b, const struct block_inputs *in, const struct block_outputs *to);
/* Writes what is pending. */
void bf16_blocks_close(struct blocks *b);

#endif

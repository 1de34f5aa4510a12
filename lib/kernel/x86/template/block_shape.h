/* block_shape.h: sizes of block.h's tensors and packed weights, shared by the sets that train over blocks. */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_SHAPE_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_SHAPE_H

#include "kernel/contract/block.h"

enum { CELL = BLOCK_IMAGES * BLOCK_CHANNELS /* values */, MOST_TAPS = 121 /* kernels up to 11 x 11 */ };

/* A convolution with the windows' channels in place of taps. */
static inline int conv_taps(const struct block_conv *s)
{
    return s->window ? 1 : s->kernel * s->kernel;
}

static inline int conv_inputs(const struct block_conv *s) /* real ones of a tap */
{
    return s->window ? s->c * s->kernel * s->kernel : s->c;
}

static inline int cells_of(int channels)
{
    return block_channels(channels) / BLOCK_CHANNELS;
}

/* How many of a cell's halves of 16 channels hold real ones: 1 or 2. A half without any is zeros; sets of narrow
 * registers leave it out. */
static inline int halves_of(int channels, int cell)
{
    return channels - cell * BLOCK_CHANNELS > BLOCK_CHANNELS / 2 ? 2 : 1;
}

static inline int last_halves(int channels)
{
    return halves_of(channels, cells_of(channels) - 1);
}

/* A product of cells: reduces over `cells`, of the last one over so many halves (halves_of); so many halves of outputs,
 * the others are left as they are. A set may compute more. */
struct product_size {
    int cells, last, outputs;
};

/* `count` cells from `first` on. */
static inline struct product_size product_part(struct product_size s, int first, int most)
{
    int left = s.cells - first;
    return left <= most ? (struct product_size){left, s.last, s.outputs}
                        : (struct product_size){most, 2, s.outputs};
}

/* bf16 from one image of a cell to the next: a float32 takes two. */
static inline int row_step(int planes)
{
    return planes == BLOCK_PLAIN ? 2 * BLOCK_CHANNELS : BLOCK_CHANNELS;
}

#endif

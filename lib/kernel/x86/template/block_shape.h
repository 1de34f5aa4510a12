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

/* bf16 from one image of a cell to the next: a float32 takes two. */
static inline int row_step(int planes)
{
    return planes == BLOCK_PLAIN ? 2 * BLOCK_CHANNELS : BLOCK_CHANNELS;
}

#endif

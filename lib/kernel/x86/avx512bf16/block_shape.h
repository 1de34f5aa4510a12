/* block_shape.h: sizes of block.h's tensors and packed weights, shared by the files of this folder and of `amx`. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_SHAPE_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_SHAPE_H

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

#endif

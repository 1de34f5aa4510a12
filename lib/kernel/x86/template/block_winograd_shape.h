/* block_winograd_shape.h: which convolutions over blocks are computed by Winograd. */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_WINOGRAD_SHAPE_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_WINOGRAD_SHAPE_H

#include "kernel/x86/template/block_shape.h"

enum { TILE = 4 };

/* All three passes alike. */
static inline int winograd_suits(const struct block_conv *s)
{
    return !s->window && s->kernel == 3 && s->stride == 1 && s->pad <= 2 && s->out_h * s->out_w >= TILE * TILE;
}

#endif

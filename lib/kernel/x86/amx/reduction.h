/* reduction.h: the order in which tile products read the inputs of an output, and so their weights. STEP_INPUTS,
 * those of one product, is of blocks_u8.h or blocks_bf16.h, one of which stands before this. */
#ifndef RESQ_KERNEL_X86_AMX_REDUCTION_H
#define RESQ_KERNEL_X86_AMX_REDUCTION_H

#include "kernel/contract/shape.h"

/* Whole steps of channels a tap: order [t][c/STEP_INPUTS][r], as shared rows are read. Else the window's R*R*C
 * values in the order [r][t][c], as they are copied. */
static inline int whole_steps(const struct conv_shape *s)
{
    return s->c % STEP_INPUTS == 0;
}

static inline size_t steps_of(const struct conv_shape *s)
{
    return (shape_reduced(s) + STEP_INPUTS - 1) / STEP_INPUTS;
}

/* Place of weight [c,r,t] in the reduction. */
static inline size_t reduced_at(const struct conv_shape *s, int c, int r, int t)
{
    size_t side = (size_t)s->kernel, channels = (size_t)s->c;
    if (!whole_steps(s))
        return ((size_t)r * side + (size_t)t) * channels + (size_t)c;
    size_t step = ((size_t)t * (channels / STEP_INPUTS) + (size_t)c / STEP_INPUTS) * side + (size_t)r;
    return step * STEP_INPUTS + (size_t)c % STEP_INPUTS;
}

#endif

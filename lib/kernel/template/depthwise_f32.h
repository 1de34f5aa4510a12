/* depthwise_f32.h: what depthwise convolutions of floats share, forward and backward: as many channels a register as
 * the set's vectors have (its vector_f32 header comes first), and weights packed so. */
#ifndef RESQ_KERNEL_TEMPLATE_DEPTHWISE_F32_H
#define RESQ_KERNEL_TEMPLATE_DEPTHWISE_F32_H

#include "kernel/contract/shape.h"
#include <string.h>

static inline int supports(const struct conv_shape *s)
{
    return shape_group_inputs(s) == 1 && shape_group_outputs(s) == 1;
}

static inline size_t stride_of(const struct conv_shape *s)
{
    return (size_t)((s->out + LANES - 1) / LANES * LANES);
}

static inline size_t packed_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_reduced(s) * stride_of(s) * sizeof(float));
}

/* [R,R,C], zeros beyond C */
static inline void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    memset(packed, 0, packed_bytes(s));
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, to += stride_of(s))
            for (int k = 0; k < s->out; k++)
                to[k] = weight[shape_weight_at(s, k, 0, r, t)];
}

/* The first `count` channels, at most LANES. */
INLINE vec channels_load(const float *from, int count)
{
    return count >= LANES ? vec_load(from) : vec_load_some(from, vec_first(count));
}

INLINE void channels_store(float *to, int count, vec v)
{
    if (count >= LANES)
        vec_store(to, v);
    else
        vec_store_some(to, vec_first(count), v);
}

#endif

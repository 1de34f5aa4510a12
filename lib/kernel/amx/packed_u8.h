/* packed_u8.h: the integer convolution's weights as its tile products read them. */
#ifndef RESQ_KERNEL_AMX_PACKED_U8_H
#define RESQ_KERNEL_AMX_PACKED_U8_H

#include "kernel/amx/blocks_u8.h"
#include "kernel/shape.h"

/* Whole steps of 64 channels a tap: order [t][c/64][r], as shared rows are read. Else the window's R*R*C values in
 * the order [r][t][c], as they are copied. */
static inline int whole_steps(const struct conv_shape *s)
{
    return s->c % STEP_BYTES == 0;
}

static inline size_t steps_of(const struct conv_shape *s)
{
    return (shape_reduced(s) + STEP_BYTES - 1) / STEP_BYTES;
}

static inline size_t taps_of(const struct conv_shape *s)
{
    return (size_t)s->kernel * (size_t)s->kernel;
}

/* A group: tiles of weights, then the sums of each tap [R*R][16] and of all [16]. */
static inline size_t group_bytes(const struct conv_shape *s)
{
    return steps_of(s) * WEIGHT_TILE + (taps_of(s) + 1) * OUTPUTS * sizeof(int32_t);
}

static inline size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * group_bytes(s);
}

/* Place of weight [c,r,t] in the reduction. */
static inline size_t reduced_at(const struct conv_shape *s, int c, int r, int t)
{
    size_t side = (size_t)s->kernel, channels = (size_t)s->c;
    if (!whole_steps(s))
        return ((size_t)r * side + (size_t)t) * channels + (size_t)c;
    size_t step = ((size_t)t * (channels / STEP_BYTES) + (size_t)c / STEP_BYTES) * side + (size_t)r;
    return step * STEP_BYTES + (size_t)c % STEP_BYTES;
}

static inline const int32_t *tap_sums(const struct conv_shape *s, const int8_t *group)
{
    return (const int32_t *)(const void *)(group + steps_of(s) * WEIGHT_TILE);
}

void packed_u8_pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, void *packed);

#endif

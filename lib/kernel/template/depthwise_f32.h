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

/* ---- pixels that see the same taps ---- */

/* A tap: where the first pixel reads it, and its weights, in floats from what `depthwise` has. */
struct tap {
    size_t x, w;
};

/* Scratch: a pixel's taps. */
static inline size_t taps_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_reduced(s) * sizeof(struct tap));
}

/* y = [relu](bias + sum of taps + residual), channel by channel. */
struct depthwise {
    int channels;
    const float *packed, *bias; /* bias: [C] or NULL */
    int relu;
    size_t x_step, y_step, residual_step; /* floats from one pixel to the next */
};

#define DEPTHWISE_1(f) f(0)
#define DEPTHWISE_4(f) f(0) f(1) f(2) f(3)

#define DEPTHWISE_OPEN(i) vec v##i = start;
#define DEPTHWISE_STEP(i) v##i = vec_fma(channels_load(at + i * d->x_step, lanes), w, v##i);
#define DEPTHWISE_CLOSE(i)                                                                       \
    {                                                                                            \
        if (residual)                                                                            \
            v##i = vec_add(v##i, channels_load(residual + i * d->residual_step + first, lanes)); \
        channels_store(y + i * d->y_step + first, lanes, d->relu ? vec_relu(v##i) : v##i);       \
    }

/* A register of channels, from `first` on, of so many pixels side by side: they share the weights, and their sums do
 * not wait for each other. */
#define DEPTHWISE(pixels)                                                                                       \
    INLINE void depthwise_lanes_##pixels(const struct depthwise *d, const struct tap *tap, int taps,            \
                                         const float *x, const float *residual, float *y, int first, int lanes) \
    {                                                                                                           \
        vec start = d->bias ? channels_load(d->bias + first, lanes) : vec_zero();                               \
        DEPTHWISE_##pixels(DEPTHWISE_OPEN) for (int i = 0; i < taps; i++)                                       \
        {                                                                                                       \
            const float *at = x + tap[i].x + first;                                                             \
            vec w = vec_load(d->packed + tap[i].w + first);                                                     \
            DEPTHWISE_##pixels(DEPTHWISE_STEP)                                                                  \
        }                                                                                                       \
        DEPTHWISE_##pixels(DEPTHWISE_CLOSE)                                                                     \
    }                                                                                                           \
    static void depthwise_##pixels(const struct depthwise *d, const struct tap *tap, int taps, const float *x,  \
                                   const float *residual, float *y)                                             \
    {                                                                                                           \
        int first = 0;                                                                                          \
        for (; first + LANES <= d->channels; first += LANES)                                                    \
            depthwise_lanes_##pixels(d, tap, taps, x, residual, y, first, LANES);                               \
        if (first < d->channels)                                                                                \
            depthwise_lanes_##pixels(d, tap, taps, x, residual, y, first, d->channels - first);                 \
    }

DEPTHWISE(1)
DEPTHWISE(4)

/* `pixels` pixels of a row. residual: NULL where there is none. */
static void depthwise_row(const struct depthwise *d, const struct tap *tap, int taps, int pixels, const float *x,
                          const float *residual, float *y)
{
    while (pixels > 0) {
        int count = pixels < 4 ? 1 : 4;
        (count < 4 ? depthwise_1 : depthwise_4)(d, tap, taps, x, residual, y);
        x += (size_t)count * d->x_step;
        y += (size_t)count * d->y_step;
        residual = residual ? residual + (size_t)count * d->residual_step : NULL;
        pixels -= count;
    }
}

#endif

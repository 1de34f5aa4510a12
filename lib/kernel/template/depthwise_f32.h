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

/* y = [clip][relu](bias + sum of taps + residual), channel by channel. */
struct depthwise {
    int channels, kernel;
    const float *packed, *bias; /* bias: [C] or NULL */
    int relu;
    const float *clip;                       /* [low, high] or NULL */
    ptrdiff_t x_step, y_step, residual_step; /* floats from one pixel to the next */
};

/* f(pixel, register) */
#define REGISTERS_1(f, pixel) f(pixel, 0)
#define REGISTERS_2(f, pixel) REGISTERS_1(f, pixel) f(pixel, 1)
#define REGISTERS_4(f, pixel) REGISTERS_2(f, pixel) f(pixel, 2) f(pixel, 3)
#define PIXELS_1(f, registers) REGISTERS_##registers(f, 0)
#define PIXELS_4(f, registers) \
    REGISTERS_##registers(f, 0) REGISTERS_##registers(f, 1) REGISTERS_##registers(f, 2) REGISTERS_##registers(f, 3)

#define DEPTHWISE_OPEN(i, r) vec v##i##r = d->bias ? channels_load(d->bias + first + (r)*LANES, lanes) : vec_zero();
#define DEPTHWISE_WEIGHT(unused, r) vec w##r = vec_load(w + (r)*LANES);
#define DEPTHWISE_STEP(i, r) v##i##r = vec_fma(channels_load(at + (i)*d->x_step + (r)*LANES, lanes), w##r, v##i##r);
#define DEPTHWISE_CLOSE(i, r)                                                                                      \
    {                                                                                                              \
        if (residual)                                                                                              \
            v##i##r = vec_add(v##i##r, channels_load(residual + (i)*d->residual_step + first + (r)*LANES, lanes)); \
        if (d->relu)                                                                                               \
            v##i##r = vec_relu(v##i##r);                                                                           \
        if (d->clip)                                                                                               \
            v##i##r = vec_clip(d->clip, v##i##r);                                                                  \
        channels_store(y + (i)*d->y_step + first + (r)*LANES, lanes, v##i##r);                                     \
    }

/* Some registers of channels, from `first` on, of so many pixels side by side: pixels share the weights, and sums do
 * not wait for each other. lanes: of a last register that is not full; else LANES. */
#define DEPTHWISE(pixels, registers)                                                                         \
    INLINE void depthwise_##pixels##_##registers(const struct depthwise *d, const struct tap *tap, int taps, \
                                                 const float *x, const float *residual, float *y, int first, \
                                                 int lanes)                                                  \
    {                                                                                                        \
        PIXELS_##pixels(DEPTHWISE_OPEN, registers) for (int i = 0; i < taps; i++)                            \
        {                                                                                                    \
            const float *at = x + tap[i].x + first, *w = d->packed + tap[i].w + first;                       \
            REGISTERS_##registers(DEPTHWISE_WEIGHT, ) PIXELS_##pixels(DEPTHWISE_STEP, registers)             \
        }                                                                                                    \
        PIXELS_##pixels(DEPTHWISE_CLOSE, registers)                                                          \
    }

DEPTHWISE(1, 1)
DEPTHWISE(1, 4)
DEPTHWISE(4, 1)
DEPTHWISE(4, 2) /* of 8 lanes whole cache lines */

/* All channels of so many pixels: `registers` at a time, then one by one. */
#define DEPTHWISE_PIXELS(pixels, registers)                                                                    \
    static void depthwise_##pixels(const struct depthwise *d, const struct tap *tap, int taps, const float *x, \
                                   const float *residual, float *y)                                            \
    {                                                                                                          \
        int first = 0;                                                                                         \
        for (; first + registers * LANES <= d->channels; first += registers * LANES)                           \
            depthwise_##pixels##_##registers(d, tap, taps, x, residual, y, first, LANES);                      \
        for (; first + LANES <= d->channels; first += LANES)                                                   \
            depthwise_##pixels##_1(d, tap, taps, x, residual, y, first, LANES);                                \
        if (first < d->channels)                                                                               \
            depthwise_##pixels##_1(d, tap, taps, x, residual, y, first, d->channels - first);                  \
    }

DEPTHWISE_PIXELS(1, 4)
DEPTHWISE_PIXELS(4, 2)

/* ---- 3x3 of stride 1: an input is loaded once for the three pixels of a row of taps ---- */

/* f(pixel, tap): pixel i reads input i + tap. */
#define NEAR_INPUT_0(f) f(0, 0)
#define NEAR_INPUT_1(f) f(0, 1) f(1, 0)
#define NEAR_INPUT_2(f) f(0, 2) f(1, 1) f(2, 0)
#define NEAR_INPUT_3(f) f(1, 2) f(2, 1) f(3, 0)
#define NEAR_INPUT_4(f) f(2, 2) f(3, 1)
#define NEAR_INPUT_5(f) f(3, 2)

#define NEAR_STEP_0(i, t) v##i##0 = vec_fma(in0, w##t##0, v##i##0);
#define NEAR_STEP_1(i, t) v##i##1 = vec_fma(in1, w##t##1, v##i##1);
#define NEAR_WEIGHT(t, r) vec w##t##r = vec_load(w + (size_t)(t)*stride + (r)*LANES);
#define NEAR_LOAD(k, r) vec in##r = vec_load(at + (k)*d->x_step + (r)*LANES);
#define NEAR_1(k)                   \
    {                               \
        NEAR_LOAD(k, 0)             \
        NEAR_INPUT_##k(NEAR_STEP_0) \
    }
#define NEAR_2(k)                                               \
    {                                                           \
        NEAR_LOAD(k, 0)                                         \
        NEAR_LOAD(k, 1)                                         \
        NEAR_INPUT_##k(NEAR_STEP_0) NEAR_INPUT_##k(NEAR_STEP_1) \
    }

/* Four pixels, from `first` on so many registers, all of them full. taps: three a row, side by side. */
#define DEPTHWISE_NEAR(registers)                                                                                 \
    INLINE void near_##registers(const struct depthwise *d, const struct tap *tap, int taps, const float *x,      \
                                 const float *residual, float *y, int first)                                      \
    {                                                                                                             \
        enum { lanes = LANES };                                                                                   \
        size_t stride = tap[1].w - tap[0].w;                                                                      \
        PIXELS_4(DEPTHWISE_OPEN, registers)                                                                       \
        for (int i = 0; i < taps; i += 3) {                                                                       \
            const float *at = x + tap[i].x + first, *w = d->packed + tap[i].w + first;                            \
            REGISTERS_##registers(NEAR_WEIGHT, 0) REGISTERS_##registers(NEAR_WEIGHT, 1)                           \
                REGISTERS_##registers(NEAR_WEIGHT, 2) NEAR_##registers(0) NEAR_##registers(1) NEAR_##registers(2) \
                    NEAR_##registers(3) NEAR_##registers(4) NEAR_##registers(5)                                   \
        }                                                                                                         \
        PIXELS_4(DEPTHWISE_CLOSE, registers)                                                                      \
    }

DEPTHWISE_NEAR(1)
DEPTHWISE_NEAR(2)

static void depthwise_near(const struct depthwise *d, const struct tap *tap, int taps, const float *x,
                           const float *residual, float *y)
{
    int first = 0;
    for (; first + 2 * LANES <= d->channels; first += 2 * LANES)
        near_2(d, tap, taps, x, residual, y, first);
    for (; first + LANES <= d->channels; first += LANES)
        near_1(d, tap, taps, x, residual, y, first);
    if (first < d->channels)
        depthwise_4_1(d, tap, taps, x, residual, y, first, d->channels - first);
}

/* Whether neighbouring taps read what neighbouring pixels read. */
static int is_near(const struct depthwise *d, const struct tap *tap, int taps)
{
    return d->kernel == 3 && taps % 3 == 0 && taps > 0 && tap[0].x + (size_t)d->x_step == tap[1].x &&
           tap[1].x + (size_t)d->x_step == tap[2].x;
}

/* `pixels` pixels of a row. residual: NULL where there is none. */
static void depthwise_row(const struct depthwise *d, const struct tap *tap, int taps, int pixels, const float *x,
                          const float *residual, float *y)
{
    int near = pixels >= 4 && is_near(d, tap, taps);
    while (pixels > 0) {
        int count = pixels < 4 ? 1 : 4;
        (count < 4 ? depthwise_1 : near ? depthwise_near : depthwise_4)(d, tap, taps, x, residual, y);
        pixels -= count;
        if (pixels > 0) { /* steps may be negative: nothing points before the first pixel */
            x += count * d->x_step;
            y += count * d->y_step;
            residual = residual ? residual + count * d->residual_step : NULL;
        }
    }
}

#endif

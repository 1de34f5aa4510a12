/* shape.h: sizes that the kernels share. */
#ifndef RESQ_KERNEL_CONTRACT_SHAPE_H
#define RESQ_KERNEL_CONTRACT_SHAPE_H

#include "kernel/contract/kernel.h"

static inline size_t shape_inputs(const struct conv_shape *s) /* H*W*C */
{
    return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

static inline size_t shape_pixels(const struct conv_shape *s) /* H'*W' */
{
    return (size_t)s->out_h * (size_t)s->out_w;
}

static inline size_t shape_outputs(const struct conv_shape *s) /* H'*W'*K */
{
    return shape_pixels(s) * (size_t)s->out;
}

static inline int shape_groups(const struct conv_shape *s)
{
    return s->groups > 1 ? s->groups : 1;
}

static inline int shape_group_inputs(const struct conv_shape *s) /* C/G: channels that an output sees */
{
    return s->c / shape_groups(s);
}

static inline int shape_group_outputs(const struct conv_shape *s) /* K/G */
{
    return s->out / shape_groups(s);
}

static inline size_t shape_reduced(const struct conv_shape *s) /* R*R*C/G: products an output */
{
    return (size_t)s->kernel * (size_t)s->kernel * (size_t)shape_group_inputs(s);
}

static inline size_t shape_weights(const struct conv_shape *s)
{
    return shape_reduced(s) * (size_t)s->out;
}

/* Index of weight [k,c,r,t] in PyTorch's OIHW; c counts within the group. */
static inline size_t shape_weight_at(const struct conv_shape *s, int k, int c, int r, int t)
{
    return (((size_t)k * (size_t)shape_group_inputs(s) + (size_t)c) * (size_t)s->kernel + (size_t)r) *
               (size_t)s->kernel +
           (size_t)t;
}

static inline size_t round_up_64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Not fmaxf: NaN must stay visible, and this is what one vector instruction does. */
static inline float relu_value(float v)
{
    return 0.0f > v ? 0.0f : v;
}

/* Within [low, high], as elementwise.clip; NaN stays. */
static inline float clip_value(const float clip[2], float v)
{
    v = clip[0] > v ? clip[0] : v;
    return clip[1] < v ? clip[1] : v;
}

/* What a convolution leaves of a sum: [clip][relu](v). clip: NULL where there is none. */
static inline float clamped_value(int relu, const float *clip, float v)
{
    v = relu ? relu_value(v) : v;
    return clip ? clip_value(clip, v) : v;
}

#endif

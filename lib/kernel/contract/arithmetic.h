/* arithmetic.h: the arithmetic of single values that more than one backend needs, beyond base/scalar.h and compiled
 * as that is, for the CPU and for a GPU. lib/quant/QUANT.md and exec/train/qat.c state it. */
#ifndef RESQ_KERNEL_CONTRACT_ARITHMETIC_H
#define RESQ_KERNEL_CONTRACT_ARITHMETIC_H

#include "base/scalar.h"
#include "kernel/contract/device.h"
#include <float.h>
#include <math.h>

/* ---- codes ---- */

/* The map of a source, its learned scale raised in place: 1, or 0 where it is not finite (the map is then the given
 * one). */
RESQ_VALUE int map_from_source(const struct device_map_source *s, struct affine *map)
{
    *map = s->given;
    if (s->mode == MAP_RANGE)
        return affine_from_range_value((double)*s->low, (double)*s->high, s->bits, map);
    if (s->mode != MAP_LEARNED)
        return 1;
    float scale = *s->scale;
    if (!(scale - scale == 0))
        return 0;
    if (learned_scale_value(scale, s->given.scale) != scale)
        *s->scale = scale = learned_scale_value(scale, s->given.scale);
    map->scale = scale;
    return 1;
}

/* ---- weights ---- */

RESQ_VALUE float multiplier_value(float scale_x, float scale_w, float scale_y /* 0: logits */)
{
    float product = scale_x * scale_w;
    return scale_y > 0 ? product / scale_y : product;
}

/* x's codes averaged over `pixels`, in units of y. */
RESQ_VALUE float pool_multiplier(const struct affine *x, const struct affine *y, int pixels)
{
    return x->scale / (y->scale * (float)pixels);
}

/* The lowest code of an output, whose clamp is the relu. */
RESQ_VALUE int low_code_value(const struct affine *y, int relu)
{
    return relu && y->zero_point > y->qmin ? y->zero_point : y->qmin;
}

/* All but the arrays; y NULL: logits; residual may be NULL. */
RESQ_VALUE struct device_requantize requantize_of(const struct affine *x, const struct affine *y,
                                                  const struct affine *residual, int relu)
{
    struct device_requantize r;
    r.zero_point_x = x->zero_point;
    r.zero_point_y = y ? y->zero_point : 0;
    r.low = y ? low_code_value(y, relu) : 0;
    r.high = y ? y->qmax : 255;
    r.residual_zero_point = y && residual ? residual->zero_point : 0;
    r.residual_multiplier = y && residual ? residual->scale / y->scale : 0;
    return r;
}

/* v of kernel.h's struct requantize. residual: the code, -1 where there is none. */
RESQ_VALUE float requantize_value(int acc, float multiplier, int residual, const struct device_requantize *r)
{
    float v = (float)acc * multiplier;
    if (residual >= 0)
        v += (float)(residual - r->residual_zero_point) * r->residual_multiplier;
    return v;
}

/* ---- straight-through ---- */

/* Values before rounding in [low, high] pass the clamp, both ends included; below and above, d q / d scale is first
 * and last. */
struct slope {
    float low, high, first, last;
};

/* first, last: the codes of the clamp, less the zero point */
RESQ_VALUE struct slope slope_between(int first, int last)
{
    struct slope s;
    s.first = (float)first;
    s.last = (float)last;
    s.low = s.first - 0.5f;
    s.high = s.last + 0.5f;
    if (first % 2 != 0) /* rint takes a half to the even neighbour */
        s.low = nextafterf(s.low, FLT_MAX);
    if (last % 2 != 0)
        s.high = nextafterf(s.high, -FLT_MAX);
    return s;
}

RESQ_VALUE struct slope slope_of(const struct affine *y, int relu)
{
    return slope_between(low_code_value(y, relu) - y->zero_point, y->qmax - y->zero_point);
}

RESQ_VALUE int slope_passes(const struct slope *s, float v)
{
    return v >= s->low && v <= s->high;
}

/* Between the ends adding and taking away 1.5 * 2^23 rounds as rint does, and takes no call. */
RESQ_VALUE float slope_at(const struct slope *s, float v)
{
    if (v < s->low)
        return s->first;
    return v > s->high ? s->last : (v + 12582912.0f) - 12582912.0f - v;
}

/* Element-wise gradient scaling (EWGS, quant/learned.h): dy passed on through a rounding; adds its part of the
 * gradient by the scale to *sum. */
RESQ_VALUE float slope_scale(const struct slope *s, float v, float dy, float delta, double *sum)
{
    float r = v < s->low ? s->first : v > s->high ? s->last : (v + 12582912.0f) - 12582912.0f;
    float passed = slope_passes(s, v) ? dy + delta * fabsf(dy) * (v - r) : 0.0f;
    *sum += (double)(dy * r) - (passed != 0 ? (double)passed * (double)v : 0);
    return passed;
}

/* A learned scale's gradient from the sum of dy * slope over the mini-batch. */
RESQ_VALUE float scale_gradient_value(double sum, size_t elements, const struct affine *y)
{
    return (float)(sum / sqrt((double)elements * (y->qmax - y->qmin)));
}

/* A moving range's end, from the batch's extreme in units of a code. */
RESQ_VALUE float range_moved(float end, double extreme, float scale, double averaging)
{
    return (float)((double)end + averaging * (extreme * (double)scale - (double)end));
}

/* ---- loss scaling ---- */

#define LOSS_SCALE_FIRST 65536.0f
#define LOSS_SCALE_LARGEST 16777216.0f /* 2^24 */
enum { LOSS_SCALE_GROWTH_STEPS = 2000 };

/* After a step: halved where it overflowed (not below 2^-24), doubled after 2000 steps that did not. */
RESQ_VALUE void scale_update_value(struct device_scale *s)
{
    if (s->overflow) {
        s->scale = s->scale > 5.9604644775390625e-08f ? s->scale / 2 : s->scale;
        s->good = 0;
        s->in_a_row++;
        s->skipped++;
        return;
    }
    s->in_a_row = 0;
    if (++s->good >= LOSS_SCALE_GROWTH_STEPS) {
        s->good = 0;
        s->scale = s->scale < LOSS_SCALE_LARGEST ? s->scale * 2 : s->scale;
    }
}

#endif

/* arithmetic.h: the arithmetic of single values that more than one backend needs, compiled for the CPU and, by
 * nvcc, for a GPU: C that is C++ too. lib/quant/QUANT.md, exec/gradient_qat.c, train/loss.h and train/optimizer.h
 * state it; what is here gives the same bits, without contraction of products and sums (-ffp-contract=off,
 * -fmad=false). */
#ifndef RESQ_KERNEL_ARITHMETIC_H
#define RESQ_KERNEL_ARITHMETIC_H

#include "kernel/device.h"
#include <float.h>
#include <math.h>

#ifdef __CUDACC__
#define RESQ_VALUE static __host__ __device__ __forceinline__
#else
#define RESQ_VALUE static inline
#endif

/* ---- codes ---- */

#define SMALLEST_SCALE 1.1920928955078125e-07f /* 2^-23 */
/* Beyond this no code depends on a value any more, and the conversion to int would be undefined. */
#define CODE_LIMIT 1073741824.0f /* 2^30 */

/* clamp(rint(v) + zero_point, low, high); NaN counts as -infinity. */
RESQ_VALUE int code_round(float v, int zero_point, int low, int high)
{
    v = v > -CODE_LIMIT ? v : -CODE_LIMIT;
    v = v < CODE_LIMIT ? v : CODE_LIMIT;
    int q = (int)rintf(v) + zero_point;
    q = q > low ? q : low;
    return q < high ? q : high;
}

/* affine_from_range: 1, or 0 where low..high is no range or too wide. */
RESQ_VALUE int map_from_range(double low, double high, int bits, struct device_map *map)
{
    if (!(low - low == 0) || !(high - high == 0) || low > high)
        return 0;
    float l = low < 0 ? (float)low : 0, h = high > 0 ? (float)high : 0;
    int qmax = (1 << bits) - 1;
    float scale = (h - l) / (float)qmax;
    if (!(scale - scale == 0))
        return 0;
    scale = scale < SMALLEST_SCALE ? SMALLEST_SCALE : scale;
    float zero_point = -rintf(l / scale);
    map->scale = scale;
    map->zero_point = (int)(zero_point < (float)qmax ? zero_point : (float)qmax);
    map->qmin = 0;
    map->qmax = qmax;
    return 1;
}

/* The map of a source, its learned scale raised in place: 1, or 0 where it is not finite (the map is then the given
 * one). */
RESQ_VALUE int map_of(const struct device_map_source *s, struct device_map *map)
{
    *map = s->given;
    if (s->mode == MAP_RANGE)
        return map_from_range((double)*s->low, (double)*s->high, s->bits, map);
    if (s->mode != MAP_LEARNED)
        return 1;
    float scale = *s->scale;
    if (!(scale - scale == 0))
        return 0;
    if (scale < SMALLEST_SCALE)
        *s->scale = scale = SMALLEST_SCALE;
    map->scale = scale;
    return 1;
}

/* ---- weights ---- */

RESQ_VALUE float weight_scale(float magnitude, int qmax)
{
    float scale = magnitude / (float)qmax;
    return scale > SMALLEST_SCALE ? scale : SMALLEST_SCALE;
}

RESQ_VALUE int weight_code(float w, float scale, int qmax)
{
    float v = rintf(w / scale);
    v = v > (float)qmax ? (float)qmax : v < (float)-qmax ? (float)-qmax : v;
    return (int)v;
}

RESQ_VALUE double bias_code_value(float bias, float scale_x, float scale_w)
{
    float scale = scale_x * scale_w;
    return rint((double)bias / (double)scale);
}

/* scale_w, doubled until the bias' code fits. */
RESQ_VALUE float weight_scale_for_bias(float bias, float scale_x, float scale_w)
{
    while (fabs(bias_code_value(bias, scale_x, scale_w)) > 1073741824.0)
        scale_w *= 2;
    return scale_w;
}

RESQ_VALUE float multiplier_value(float scale_x, float scale_w, float scale_y /* 0: logits */)
{
    float product = scale_x * scale_w;
    return scale_y > 0 ? product / scale_y : product;
}

RESQ_VALUE float pool_multiplier_value(const struct device_map *x, const struct device_map *y, int pixels)
{
    return x->scale / (y->scale * (float)pixels);
}

/* The lowest code of an output, whose clamp is the relu. */
RESQ_VALUE int low_code_value(const struct device_map *y, int relu)
{
    return relu && y->zero_point > y->qmin ? y->zero_point : y->qmin;
}

/* All but the arrays; y NULL: logits; residual may be NULL. */
RESQ_VALUE struct device_requantize requantize_of(const struct device_map *x, const struct device_map *y,
                                                  const struct device_map *residual, int relu)
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

RESQ_VALUE struct slope slope_of(const struct device_map *y, int relu)
{
    int first = low_code_value(y, relu) - y->zero_point, last = y->qmax - y->zero_point;
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

RESQ_VALUE int slope_passes(const struct slope *s, float v)
{
    return v >= s->low && v <= s->high;
}

RESQ_VALUE float slope_at(const struct slope *s, float v)
{
    if (v < s->low)
        return s->first;
    return v > s->high ? s->last : rintf(v) - v;
}

/* A learned scale's gradient from the sum of dy * slope over the mini-batch. */
RESQ_VALUE float scale_gradient_value(double sum, size_t elements, const struct device_map *y)
{
    return (float)(sum / sqrt((double)elements * (y->qmax - y->qmin)));
}

/* A moving range's end, from the batch's extreme in units of a code. */
RESQ_VALUE float range_moved(float end, double extreme, float scale, double averaging)
{
    return (float)((double)end + averaging * (extreme * (double)scale - (double)end));
}

/* ---- loss ---- */

/* What one row of logits needs twice: log p[k] = logit[k] - maximum - log_sum. best: the first of the largest. */
struct loss_row {
    double maximum, log_sum;
    int best;
};

RESQ_VALUE struct loss_row loss_row_of(const float *logits, int k)
{
    struct loss_row r;
    r.best = 0;
    for (int i = 1; i < k; i++)
        if (logits[i] > logits[r.best])
            r.best = i;
    r.maximum = logits[r.best];
    double sum = 0;
    for (int i = 0; i < k; i++)
        sum += exp((double)logits[i] - r.maximum);
    r.log_sum = log(sum);
    return r;
}

RESQ_VALUE double loss_row_value(const struct loss_row *r, const float *logits, int k, int label, double smoothing)
{
    double loss = -(1 - smoothing) * ((double)logits[label] - r->maximum - r->log_sum);
    if (smoothing > 0) {
        double all = 0;
        for (int i = 0; i < k; i++)
            all += (double)logits[i] - r->maximum - r->log_sum;
        loss -= smoothing / k * all;
    }
    return loss;
}

/* d loss / d logit i of a mini-batch of n rows, times scale. */
RESQ_VALUE float loss_row_gradient(const struct loss_row *r, const float *logits, int k, int label, int i,
                                   double smoothing, int n, float scale)
{
    double p = exp((double)logits[i] - r->maximum - r->log_sum);
    double q = smoothing / k + (i == label ? 1 - smoothing : 0);
    return (float)((p - q) / (double)n * (double)scale);
}

/* ---- optimizer ---- */

/* One parameter's step. Nesterov: own 1, along momentum; else own 0, along 1. */
RESQ_VALUE float sgd_value(float w, float *velocity, float gradient, float decay, float momentum, float step,
                           float own, float along)
{
    float g = gradient + decay * w;
    *velocity = momentum * *velocity + g;
    return w - step * (own * g + along * *velocity);
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

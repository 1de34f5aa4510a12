/* scalar.h: arithmetic of single values that several layers do, compiled for the CPU and, by nvcc, for a GPU: C
 * that is C++ too. lib/quant/QUANT.md, train/loss.h and train/optimizer.h state it. The bits are the
 * same everywhere, since products and sums are not contracted (-ffp-contract=off, -fmad=false). */
#ifndef RESQ_BASE_SCALAR_H
#define RESQ_BASE_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define RESQ_VALUE static __host__ __device__ __forceinline__
#else
#define RESQ_VALUE static inline
#endif

/* ---- codes ---- */

#define ZERO_SCALE 0x1p-23f       /* of what is all zero: PyTorch's least scale */
#define SMALLEST_NORMAL 0x1p-126f /* no scale, and no product of two, is less */

/* Affine quantization of activations, per tensor: real = scale * (q - zero_point). Every layer and every device has
 * this struct; where it comes from a file, what reads it checks the ranges. */
struct affine {
    float scale;        /* > 0, normal */
    uint8_t zero_point; /* in [qmin, qmax] */
    uint8_t qmin, qmax; /* codes in use: 0 and 2^bits - 1 */
};

/* That of [low, high] widened to hold zero, bits 2..8: 1, or 0 where that is no range or so wide that the scale is
 * not finite. quant/affine.h, affine_from_range, states it. */
RESQ_VALUE int affine_from_range_value(double low, double high, int bits, struct affine *a)
{
    if (!(low - low == 0) || !(high - high == 0) || low > high)
        return 0;
    const float l = low < 0 ? (float)low : 0, h = high > 0 ? (float)high : 0, qmax = (float)((1 << bits) - 1);
    const float scale = (h - l) / qmax;
    if (!(scale - scale == 0))
        return 0;
    a->scale = scale >= SMALLEST_NORMAL ? scale : h > l ? SMALLEST_NORMAL : ZERO_SCALE;
    const float zero_point = -rintf(l / a->scale); /* l <= 0 */
    a->zero_point = (uint8_t)(zero_point < qmax ? zero_point : qmax);
    a->qmin = 0;
    a->qmax = (uint8_t)qmax;
    return 1;
}

/* Beyond this no code depends on a value any more, and the conversion to int would be undefined. */
#define CODE_LIMIT 1073741824.0f /* 2^30 */

/* clamp(rint(v) + zero_point, low, high), ties to even; NaN counts as -infinity. Codes are 0..255. */
RESQ_VALUE uint8_t code_round(float v, int zero_point, int low, int high)
{
    v = v > -CODE_LIMIT ? v : -CODE_LIMIT;
    v = v < CODE_LIMIT ? v : CODE_LIMIT;
    int q = (int)rintf(v) + zero_point;
    q = q > low ? q : low;
    return (uint8_t)(q < high ? q : high);
}

/* clamp(rint(x / scale) + zero_point): a division (ONNX QuantizeLinear). */
RESQ_VALUE uint8_t affine_quantize(const struct affine *a, float x)
{
    return code_round(x / a->scale, a->zero_point, a->qmin, a->qmax);
}

RESQ_VALUE float affine_dequantize(const struct affine *a, uint8_t q)
{
    return a->scale * (float)((int)q - (int)a->zero_point);
}

RESQ_VALUE float weight_scale(float magnitude, int qmax)
{
    float scale = magnitude / (float)qmax;
    return scale >= SMALLEST_NORMAL ? scale : magnitude > 0 ? SMALLEST_NORMAL : ZERO_SCALE;
}

/* A trained scale of an activation, kept from falling below 2^-23, or below what it was at first. */
RESQ_VALUE float learned_scale_value(float scale, float first)
{
    float least = first < ZERO_SCALE ? first : ZERO_SCALE;
    return scale < least ? least : scale;
}

RESQ_VALUE int weight_code(float w, float scale, int qmax)
{
    float v = rintf(w / scale);
    v = v > (float)qmax ? (float)qmax : v < (float)-qmax ? (float)-qmax : v;
    return (int)v;
}

/* At f32 scale_x * scale_w, divided in double: one rounding. */
RESQ_VALUE double bias_code_value(float bias, float scale_x, float scale_w)
{
    float scale = scale_x * scale_w;
    return rint((double)bias / (double)scale);
}

/* scale_w, doubled until its product with scale_x is a normal number and the bias' code fits. */
RESQ_VALUE float weight_scale_for_bias(float bias, float scale_x, float scale_w)
{
    while (scale_x * scale_w < SMALLEST_NORMAL || fabs(bias_code_value(bias, scale_x, scale_w)) > 0x1p30)
        scale_w *= 2;
    return scale_w;
}

/* ---- loss ---- */

#define TARGETS_MOST 4

/* What rows of logits are to say: a label each, or a mixture of up to TARGETS_MOST of them. */
struct targets {
    const uint16_t *labels;  /* [n]: the first of each row */
    const uint16_t *labels2; /* [n][more]: further ones; may be the same. NULL where there are none */
    const float *share; /* [n][more]: theirs, each in [0,1], a row's sum at most 1; the first label has the rest */
    int more;           /* 0..TARGETS_MOST - 1 */
};

/* One row of them. best: the first label of the largest share, which counts as the right one. */
struct target {
    int count, best;
    int labels[TARGETS_MOST];
    double share[TARGETS_MOST];
};

RESQ_VALUE struct target target_of(const struct targets *t, size_t row)
{
    struct target of;
    double left = 1;
    int best = 0;
    of.count = 1 + t->more;
    of.labels[0] = t->labels[row];
    for (int j = 1; j < of.count; j++) {
        const size_t at = row * (size_t)t->more + (size_t)j - 1;
        of.labels[j] = t->labels2[at];
        of.share[j] = t->share[at];
        left -= of.share[j];
    }
    of.share[0] = left > 0 ? left : 0;
    for (int j = 1; j < of.count; j++)
        if (of.share[j] > of.share[best])
            best = j;
    of.best = of.labels[best];
    return of;
}

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

/* A label without a share has no part in it, whatever its logit is. */
RESQ_VALUE double loss_row_value(const struct loss_row *r, const float *logits, int k, const struct target *target,
                                 double smoothing)
{
    double wanted = 0;
    for (int j = 0; j < target->count; j++)
        if (target->share[j] > 0)
            wanted += target->share[j] * ((double)logits[target->labels[j]] - r->maximum - r->log_sum);
    double loss = -(1 - smoothing) * wanted;
    if (smoothing > 0) {
        double all = 0;
        for (int i = 0; i < k; i++)
            all += (double)logits[i] - r->maximum - r->log_sum;
        loss -= smoothing / k * all;
    }
    return loss;
}

/* d loss / d logit i of a mini-batch of n rows, times scale. */
RESQ_VALUE float loss_row_gradient(const struct loss_row *r, const float *logits, int k,
                                   const struct target *target, int i, double smoothing, int64_t n, float scale)
{
    double p = exp((double)logits[i] - r->maximum - r->log_sum), share = 0;
    for (int j = 0; j < target->count; j++)
        share += i == target->labels[j] ? target->share[j] : 0;
    double q = smoothing / k + (1 - smoothing) * share;
    return (float)((p - q) / (double)n * (double)scale);
}

/* ---- a batch norm folded into the convolution before it; factor = gamma / sqrt(variance + eps) ---- */

/* One output's weights; to may be the same. Returns whether any is other than 0. */
RESQ_VALUE int fold_weights(const float *weight, size_t count, double factor, float *to)
{
    int nonzero = 0;
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)((double)weight[i] * factor);
        nonzero |= to[i] != 0;
    }
    return nonzero;
}

RESQ_VALUE float folded_bias(float bias, float beta, float mean, double factor)
{
    return (float)((double)beta + ((double)bias - (double)mean) * factor);
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

#endif

/* device_calls.h: what kernel/contract/device.h's functions are given: structs on the device, descriptions of
 * shapes, and calls of many arguments. Part of that contract, and included by it. */
#ifndef RESQ_KERNEL_CONTRACT_DEVICE_CALLS_H
#define RESQ_KERNEL_CONTRACT_DEVICE_CALLS_H

#include "base/scalar.h"
#include <stddef.h>
#include <stdint.h>

enum device_type { DEVICE_F32, DEVICE_F16, DEVICE_BF16, DEVICE_U8, DEVICE_S8, DEVICE_S32 };

/* ---- structs on the device ---- */

/* How a map comes about (`maps` below), once a step. Pointers are into the device's parameters and state. */
enum device_map_mode { MAP_GIVEN, MAP_LEARNED, MAP_RANGE };
struct device_map_source {
    int32_t mode, bits; /* bits: MAP_RANGE */
    struct affine given;
    float *scale;      /* MAP_LEARNED: raised in place where it fell too low, see learned_scale_value */
    float *low, *high; /* MAP_RANGE: affine_from_range of quant/affine.h */
};

/* struct requantize of kernel.h, without its arrays. */
struct device_requantize {
    float residual_multiplier;
    int32_t zero_point_x, zero_point_y, residual_zero_point, low, high;
};

/* What changes from step to step, written by the caller before it. */
struct device_scalars {
    float rate, bias_rate; /* of learning: of most parameters, and of those flagged DEVICE_FLAG_BIAS */
    float share;           /* of the new value in the averages */
};

/* Dynamic loss scaling. kernel/contract/arithmetic.h has its update. All-zero but scale is the beginning. */
struct device_scale {
    float scale;      /* the loss is multiplied by it */
    int32_t overflow; /* of this step: some gradient is not finite */
    int32_t good;     /* steps since the last change */
    int32_t in_a_row; /* steps skipped without one that was not */
    int32_t skipped;  /* in all */
};

/* What a step leaves. */
struct device_report {
    double loss; /* sum over the rows */
    int32_t correct, images;
    int32_t bad_map; /* 0, or 1 + the index of the first map whose scale or range is not finite; set by `maps` */
};

enum device_flag { DEVICE_FLAG_DECAY = 1, DEVICE_FLAG_BIAS = 2 };
enum { DEVICE_FLAG_FLOATS = 16 /* parameters that share one byte of flags */ };

/* ---- descriptions ---- */

/* Square kernels, one group; n images of h x w x c -> out_h x out_w x k. type: of x, w, y and their gradients (sums
 * are f32 or better); DEVICE_U8: x and y u8, w s8, sums s32 and exact. */
struct device_conv {
    int n, h, w, c;
    int out_h, out_w, k;
    int kernel, stride, pad;
    enum device_type type;
};

enum device_pass { DEVICE_FORWARD, DEVICE_DATA, DEVICE_WEIGHT, DEVICE_PASSES };
/* With passes: their algorithms are the first of a fixed order that can be used, so the same on all devices of a
 * kind, and not what was fastest. */
enum { DEVICE_FIXED = 1 << DEVICE_PASSES };

/* Batch norm over n*h*w values a channel: y = [relu]((x - mean) / sqrt(variance + eps) * gamma + beta [+ other]).
 */
struct device_norm {
    int n, h, w, c;
    enum device_type type; /* of x, other, y and their gradients */
    int relu, has_other;
    double eps, momentum;
};

/* y = x w' + bias; x [n][c], w [k][c], y [n][k]. */
struct device_linear {
    int n, c, k;
    enum device_type type; /* of x, w, dy, dx */
    enum device_type y_type;
};

/* The mean over the pixels of a map: x [n][pixels][c] -> y [n][c]. */
struct device_pool {
    int n, pixels, c;
    enum device_type type; /* of x, y and their gradients */
};

/* ---- calls of more than seven arguments: fields as the function says; NULL or 0 where it does not ---- */

/* conv_forward: y = [relu](conv(x, w) + bias [+ other]), floats of the plan's type. */
struct device_conv_call {
    const void *x, *w;
    const float *bias; /* [k]; or NULL */
    const void *other; /* of y's shape; or NULL; may be y */
    int relu;
    void *y, *workspace;
};

struct device_conv_data_call {
    const void *dy, *w;
    int accumulate; /* dx += */
    void *dx, *workspace;
};

/* norm_forward, in training. running_*: updated with the unbiased variance, running += momentum * (batch - running);
 * saved_*: the mini-batch's mean and 1/sqrt(variance + eps), for backward. All float * are [c]. */
struct device_norm_call {
    const void *x, *other; /* other: NULL without */
    const float *gamma, *beta;
    float *running_mean, *running_variance, *saved_mean, *saved_inv_std;
    void *y, *reserve, *workspace;
};

/* norm_backward. dx overwritten. d_other: NULL without other; overwritten with dy where the relu let it pass. dgamma,
 * dbeta overwritten. No two of x, y, dy, dx and d_other are the same memory. */
struct device_norm_backward_call {
    const void *x, *y, *dy;
    const float *gamma, *beta, *saved_mean, *saved_inv_std;
    void *reserve, *dx, *d_other;
    float *dgamma, *dbeta;
    void *workspace;
};

/* ---- batch norm of a mini-batch that is cut into shards, which may lie on several devices ----
 * A shard's sums are functions of its images alone; exec adds them up over all shards, and every device makes the same
 * of the total. `norm` of these calls: n is the shard's images; eps and momentum are not read. */

/* norm_statistics: of sums [c][2] (of x and of its squares) over `rows` values a channel, what device_norm_call has
 * besides, and y = x * scale + shift for scale_shift. */
struct device_norm_statistics_call {
    int c;
    double rows, eps, momentum;
    const double *sums;
    const float *gamma, *beta;
    float *running_mean, *running_variance, *saved_mean, *saved_inv_std, *scale, *shift;
};

/* linear_backward. dx NULL: not wanted; dw f32 [k][c] and db f32 [k] (NULL: no bias) overwritten. */
struct device_linear_backward_call {
    const void *x, *w, *dy;
    void *dx;
    float *dw, *db;
};

/* normalize: y = (pixel / 255 - mean[c]) / std[c], computed in f32; mean and std by value, c <= 4. */
struct device_normalize_call {
    const uint8_t *pixels;
    size_t rows;
    int c;
    float mean[4], std[4];
    enum device_type type; /* of y */
    void *y;
};

/* scale_shift: y = [relu](x * scale[c] + shift[c] [+ other]); may be in place. */
struct device_scale_shift_call {
    enum device_type type; /* of x, other and y */
    const void *x;
    size_t rows;
    int c;
    const float *scale, *shift;
    const void *other; /* or NULL */
    int relu;
    void *y;
};

/* add: y = [relu](a + b); y may be a or b. */
struct device_add_call {
    enum device_type type;
    const void *a, *b;
    size_t count;
    int relu;
    void *y;
};

/* loss: logits f32 [n][k], targets [n], whose arrays are on the device -> report's loss, correct and images
 * (overwritten), as train/loss.h states them, and dlogits = (p - q) / of [* scale->scale] in `type`. */
struct device_loss_call {
    const float *logits;
    struct targets targets;
    int n, k;
    double smoothing;
    const struct device_scale *scale; /* or NULL */
    enum device_type type;
    void *dlogits;
    struct device_report *report;
    int of; /* images of the mini-batch, of which these n are a shard; 0: n */
};

/* quantize_weights: layer_quantize of quant/affine.h: w f32 [k][per], bias f32 [k] or NULL (zeros) -> codes, code_scale
 * [k], code_bias [k]. */
struct device_quantize_weights_call {
    const float *w, *bias;
    int k, per, bits, per_tensor;
    const struct affine *x; /* on the device */
    int8_t *codes;
    float *code_scale;
    int32_t *code_bias;
};

/* dequantize_weights: w = code_scale[k] * code, in `type`. */
struct device_dequantize_weights_call {
    const int8_t *codes;
    const float *code_scale;
    int k, per;
    enum device_type type;
    void *w;
};

/* requantize_prepare: multiplier[k] = (x->scale * code_scale[k]) [/ y->scale] and *requantize. Maps on the device. */
struct device_requantize_call {
    int k;
    const float *code_scale;
    const struct affine *x, *y, *residual; /* y NULL: logits; residual may be NULL */
    int relu;
    float *multiplier;
    struct device_requantize *requantize;
};

/* average_pool_u8. Maps on the device. */
struct device_pool_u8_call {
    const uint8_t *x;
    const struct affine *map_x, *map_y;
    uint8_t *y;
    float *before; /* or NULL */
};

/* straight_through, as exec/train/qat.c has it: dy in place, 0 where the value before rounding was clamped.
 * scale_gradient: NULL, or = sum(dy * d q / d scale) / sqrt(elements * (qmax - qmin)), with dy as it came. */
struct device_straight_through_call {
    const float *before; /* [n][elements] */
    int n;
    size_t elements;
    int relu;
    const struct affine *map; /* on the device */
    enum device_type type;    /* of dy */
    void *dy;
    float *scale_gradient;
};

/* range_update, the moving range: batch extremes of `before` (with 0; low is 0 where relu) times map->scale; low +=
 * averaging * (batch low - low), high likewise, in double. */
struct device_range_call {
    const float *before;
    size_t count;
    int relu;
    const struct affine *map; /* on the device */
    double averaging;
    float *low, *high;
};

struct device_conv_u8_call {
    const void *x;                              /* u8 [n][h][w][c] */
    const void *packed;                         /* from conv_u8_pack */
    const float *multiplier;                    /* [k] */
    const struct device_requantize *requantize; /* on the device */
    const void *residual;                       /* u8 or NULL */
    void *y;                                    /* u8; may be NULL where logits is given */
    float *before;                              /* v, the value before rounding, or NULL */
    float *logits;                              /* (float)acc * multiplier and nothing more, or NULL */
};

/* One step of SGD over flat buffers of `count` floats, as train/optimizer.h states it; where *scale says overflow
 * nothing is changed. */
struct device_sgd {
    size_t count; /* a multiple of DEVICE_FLAG_FLOATS */
    float *parameters, *velocity;
    const float *gradients; /* divided by scale->scale first, where scale is given */
    const uint8_t *flags;   /* [count / DEVICE_FLAG_FLOATS] of enum device_flag, on the device */
    float *average;         /* += share * (parameter - average), with the new parameter; or NULL */
    void *copy;             /* the new parameters rounded to copy_type; or NULL */
    enum device_type copy_type;
    const struct device_scalars *scalars; /* on the device */
    const struct device_scale *scale;     /* on the device; or NULL */
    float momentum, weight_decay;
    int nesterov;
};

/* What carries bytes between devices of several processes. */
enum { DEVICE_PEERS_ID_BYTES = 128 };
struct device_peers_offer {
    unsigned char id[DEVICE_PEERS_ID_BYTES]; /* of a meeting, which one process makes and all are given */
    char library[64];                        /* "NCCL 2.28.3" */
};

/* peers_exchange: process r gets send_bytes[r] bytes from send + send_offset[r]; from it come receive_bytes[r] bytes to
 * receive + receive_offset[r]. Tables [processes], read before it returns. */
struct device_exchange_call {
    const void *send;
    const size_t *send_bytes, *send_offset;
    void *receive;
    const size_t *receive_bytes, *receive_offset;
};

#endif

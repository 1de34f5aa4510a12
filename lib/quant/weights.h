/* weights.h: from a layer's real weights and bias to codes: real = scale * q, symmetric, a scale an output channel or
 * one for all. lib/quant/QUANT.md states the arithmetic. Lowering and quantization-aware training call the same
 * functions, so that they agree. Weights w are f32 [outputs, per_output], codes q s8 in
 * the same order, scale [outputs]. */
#ifndef RESQ_QUANT_WEIGHTS_H
#define RESQ_QUANT_WEIGHTS_H

#include "base/scalar.h"
#include "base/status.h"
#include <stdint.h>

enum weight_observer {
    WEIGHT_MAX, /* the largest magnitude has the largest code */
    WEIGHT_MSE  /* the scale of least squared error, see weight_scale_search */
};

/* How a layer's weights become codes. */
struct weight_codes {
    int bits;       /* 2..8 */
    int per_tensor; /* one scale for all channels */
    enum weight_observer observer;
    const float *scale; /* [outputs] given, where no observer is asked; or NULL */
};

/* The largest code, 2^(bits-1) - 1; the smallest is its negative. */
static inline int weight_qmax(int bits)
{
    return (1 << (bits - 1)) - 1;
}

/* "max" or "mse"; -1 for any other name. */
int weight_observer_find(const char *name);
const char *weight_observer_name(enum weight_observer o);

/* Of count weights: the factor f in {0.20, 0.21 .. 1.00} for which s = f * weight_scale(max|w|, qmax) has the least
 * sum of (w - s * code)^2, then eight times the better of two neighbours, at half the distance each time, none above
 * 1. s is rounded to f32 before it is tried; sums are double, in the order of the weights; of equals the larger s. */
float weight_scale_search(const float *w, size_t count, int qmax);

/* scale[c] by the observer (2^-23 for zeros, at least 2^-126) or as given; q = clamp(rint(w / scale), -qmax, qmax). */
void weights_quantize(const float *w, int outputs, int per_output, const struct weight_codes *how, int8_t *q,
                      float *scale);

/* bias i32 at scale_x * scale_w[c], rint; scale_w[c] is raised (doubling, weights requantized) until that product is
 * a normal number and |bias| <= 2^30: returns how many channels were raised. bias [O] f32 in (NULL: zeros), bias_q [O]
 * out. */
int bias_quantize(const float *w, const float *bias, int outputs, int per_output, int bits, float scale_x,
                  int8_t *q, float *scale, int32_t *bias_q);

/* Both for one layer. bias NULL: zeros. With per_tensor a raised scale is raised for all channels. Returns how many
 * channels were raised. */
int layer_quantize(const float *w, const float *bias, int outputs, int per_output, const struct weight_codes *how,
                   float scale_x, int8_t *q, float *scale, int32_t *bias_q);

/* The sums of the positive and of the negated negative ones of count weights. */
void weights_signed_sums(const int8_t *w, int count, int64_t *positive, int64_t *negative);

/* The largest absolute value that the i32 accumulator of any partial sum of w * (q - zero_point) and the bias can
 * take, over all channels: max over c of max(P * up + N * down, P * down + N * up) + |bias|, where P, N are the
 * sums of positive and of negated negative weights, up = qmax - zero_point and down = zero_point - qmin. The caller
 * refuses where it is >= 2^31. */
int64_t accumulator_bound(const int8_t *q, const int32_t *bias, int outputs, int per_output, uint8_t zero_point,
                          uint8_t qmin, uint8_t qmax);

#endif

/* affine.h: the constants of quantized arithmetic, which lib/quant/QUANT.md states once. Activations: u8 codes in
 * [qmin, qmax], affine, per tensor: `struct affine` of base/scalar.h, with affine_quantize and affine_dequantize.
 * Weights: s8 in [-qmax, qmax], symmetric. */
#ifndef RESQ_QUANT_AFFINE_H
#define RESQ_QUANT_AFFINE_H

#include "base/scalar.h"
#include "base/status.h"
#include <stdint.h>

/* The affine map for [low, high] widened to hold zero: scale = (high-low)/(qmax-qmin), 2^-23 where that is 0 (PyTorch's
 * least), at least 2^-126, zero_point = clamp(qmin - rint(low/scale)) in f32 (PyTorch's HistogramObserver/MinMaxObserver). bits 2..8. NaN,
 * Inf, low > high or a width beyond f32 is STATUS_RANGE. */
int affine_from_range(double low, double high, int bits, struct affine *out, struct message *m) RESQ_USE_RESULT;

/* Symmetric per-channel weights: scale[c] = max|w[c]| / qmax with qmax = 2^(bits-1) - 1 (127 for 8 bits), 2^-23 for
 * zeros, at least 2^-126; q = clamp(rint(w / scale), -qmax, qmax). per_tensor: one scale for all. w [O, per_output] f32; q the same
 * in s8; scale [O]. bits 2..8. */
void weights_quantize(const float *w, int outputs, int per_output, int bits, int per_tensor, int8_t *q,
                      float *scale);

/* bias i32 at scale_x * scale_w[c], rint; scale_w[c] is raised (doubling, weights requantized) until that product is
 * a normal number and |bias| <= 2^30: returns how many channels were raised. w, q, scale as above; bias [O] f32 in
 * (NULL: zeros), bias_q [O] out. */
int bias_quantize(const float *w, const float *bias, int outputs, int per_output, int bits, float scale_x,
                  int8_t *q, float *scale, int32_t *bias_q);

/* Both for one layer: what lowering and quantization-aware training call, so that they agree. bias NULL: zeros.
 * With per_tensor a raised scale is raised for all channels. Returns how many channels were raised. */
int layer_quantize(const float *w, const float *bias, int outputs, int per_output, int bits, int per_tensor,
                   float scale_x, int8_t *q, float *scale, int32_t *bias_q);

/* The largest absolute value that the i32 accumulator of any partial sum of w * (q - zero_point) and the bias can
 * take, over all channels: max over c of max(P * up + N * down, P * down + N * up) + |bias|, where P, N are the
 * sums of positive and of negated negative weights, up = qmax - zero_point and down = zero_point - qmin. The caller
 * refuses where it is >= 2^31. */
int64_t accumulator_bound(const int8_t *q, const int32_t *bias, int outputs, int per_output, uint8_t zero_point,
                          uint8_t qmin, uint8_t qmax);

#endif

/* affine.h: real = scale * (q - zero_point). lib/quant/QUANT.md states the arithmetic once; this computes its
 * constants of activations: u8 codes in [qmin, qmax], per tensor. weights.h has those of weights. */
#ifndef RESQ_QUANT_AFFINE_H
#define RESQ_QUANT_AFFINE_H

#include "base/scalar.h"
#include "base/status.h"
#include "quant/weights.h"
#include <stdint.h>

struct affine {
    float scale;        /* > 0, normal */
    uint8_t zero_point; /* in [qmin, qmax] */
    uint8_t qmin, qmax; /* codes in use: 0 and 2^bits - 1 */
};

/* The affine map for [low, high] widened to hold zero: scale = (high-low)/(qmax-qmin), 2^-23 where that is 0 (PyTorch's
 * least), at least 2^-126, zero_point = clamp(qmin - rint(low/scale)) in f32 (PyTorch's HistogramObserver/MinMaxObserver). bits 2..8. NaN,
 * Inf, low > high or a width beyond f32 is STATUS_RANGE. */
int affine_from_range(double low, double high, int bits, struct affine *out, struct message *m) RESQ_USE_RESULT;
/* The bits that its codes take. */
static inline int affine_bits(const struct affine *a)
{
    int bits = 1;
    while (bits < 8 && a->qmax >= 1 << bits)
        bits++;
    return bits;
}
/* clamp(rint(x / scale) + zero_point): division, ties to even (ONNX QuantizeLinear). */
uint8_t affine_quantize(const struct affine *a, float x);
float affine_dequantize(const struct affine *a, uint8_t q);

#endif

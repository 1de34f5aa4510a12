/* affine.h: the constants of quantized activations, which lib/quant/QUANT.md states once: u8 codes in [qmin, qmax],
 * affine, per tensor: `struct affine` of base/scalar.h, with affine_quantize and affine_dequantize.
 * weights.h has those of weights. */
#ifndef RESQ_QUANT_AFFINE_H
#define RESQ_QUANT_AFFINE_H

#include "base/scalar.h"
#include "base/status.h"
#include "quant/weights.h"
#include <stdint.h>

/* The affine map for [low, high] widened to hold zero: scale = (high-low)/(qmax-qmin), 2^-23 where that is 0 (PyTorch's
 * least), at least 2^-126, zero_point = clamp(qmin - rint(low/scale)) in f32 (PyTorch's
 * HistogramObserver/MinMaxObserver). bits 2..8. NaN, Inf, low > high or a width beyond f32 is STATUS_RANGE. */
int affine_from_range(double low, double high, int bits, struct affine *out, struct message *m) RESQ_USE_RESULT;
/* The map whose codes less 128 are s8 with zero point 0: scale = max(-low, high) / 127, the same least scales. */
int affine_symmetric(double low, double high, struct affine *out, struct message *m) RESQ_USE_RESULT;
/* The bits that its codes take. */
static inline int affine_bits(const struct affine *a)
{
    int bits = 1;
    while (bits < 8 && a->qmax >= 1 << bits)
        bits++;
    return bits;
}

#endif

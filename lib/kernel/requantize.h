/* requantize.h: the integer epilogue in plain C, as kernel.h states it; vector forms must give the same bits. */
#ifndef RESQ_KERNEL_REQUANTIZE_H
#define RESQ_KERNEL_REQUANTIZE_H

#include "kernel/kernel.h"
#include <math.h>

/* Beyond this no code depends on v any more, and the conversion to int would be undefined. */
#define REQUANTIZE_LIMIT 1073741824.0f

/* clamp(rint(v) + zero_point, low, high); NaN counts as -infinity. */
static inline uint8_t requantize_round(float v, uint8_t zero_point, uint8_t low, uint8_t high)
{
    v = v > -REQUANTIZE_LIMIT ? v : -REQUANTIZE_LIMIT;
    v = v < REQUANTIZE_LIMIT ? v : REQUANTIZE_LIMIT;
    int q = (int)rintf(v) + zero_point;
    q = q > low ? q : low;
    return (uint8_t)(q < high ? q : high);
}

/* The outputs [k_begin, k_end) of one pixel; `at` is the index of its output 0 in residual, y, before and logits.
 */
static inline void requantize_pixel(const struct conv_u8_call *call, const int32_t *acc, int k_begin, int k_end,
                                    size_t at)
{
    const struct requantize *rq = call->requantize;
    for (int k = k_begin; k < k_end; k++) {
        size_t i = at + (size_t)k;
        float v = (float)acc[k - k_begin] * rq->multiplier[k];
        if (call->logits)
            call->logits[i] = v;
        if (call->residual)
            v += (float)((int)call->residual[i] - rq->residual_zero_point) * rq->residual_multiplier;
        if (call->before)
            call->before[i] = v;
        if (call->y)
            call->y[i] = requantize_round(v, rq->zero_point_y, rq->low, rq->high);
    }
}

#endif

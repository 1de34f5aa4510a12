/* requantize.h: the integer epilogue in plain C, as kernel.h states it; vector forms must give the same bits. */
#ifndef RESQ_KERNEL_CONTRACT_REQUANTIZE_H
#define RESQ_KERNEL_CONTRACT_REQUANTIZE_H

#include "base/scalar.h"
#include "kernel/contract/kernel.h"

/* Where the outputs of one pixel lie: its output 0, NULL where the call has no such tensor. */
struct requantize_pointers {
    const uint8_t *residual;
    uint8_t *y;
    float *before, *logits;
};

static inline struct requantize_pointers requantize_at(const struct conv_u8_call *call, int image, int row, int col)
{
    struct requantize_pointers at = {NULL, NULL, NULL, NULL};
    if (call->residual)
        at.residual = call->residual + layout_at(&call->residual_at, image, row, col);
    if (call->y)
        at.y = call->y + layout_at(&call->y_at, image, row, col);
    if (call->before)
        at.before = call->before + layout_at(&call->before_at, image, row, col);
    if (call->logits)
        at.logits = call->logits + layout_at(&call->logits_at, image, row, col);
    return at;
}

/* The outputs [k_begin, k_end) of one pixel. */
static inline void requantize_pixel(const struct requantize *rq, const struct requantize_pointers *at,
                                    const int32_t *acc, int k_begin, int k_end)
{
    for (int k = k_begin; k < k_end; k++) {
        float v = (float)acc[k - k_begin] * rq->multiplier[k];
        if (at->logits)
            at->logits[k] = v;
        if (at->residual)
            v += (float)((int)at->residual[k] - rq->residual_zero_point) * rq->residual_multiplier;
        if (at->before)
            at->before[k] = v;
        if (at->y)
            at->y[k] = code_round(v, rq->zero_point_y, rq->low, rq->high);
    }
}

#endif

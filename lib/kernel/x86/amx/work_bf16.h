/* work_bf16.h: one call of the bfloat16 convolution, shared by the files that find its pixels. */
#ifndef RESQ_KERNEL_X86_AMX_WORK_BF16_H
#define RESQ_KERNEL_X86_AMX_WORK_BF16_H

#include "kernel/x86/amx/blocks_bf16.h"
#include "kernel/x86/amx/reduction.h"
#include <immintrin.h>

/* ---- weights ---- */

static inline size_t group_bytes(const struct conv_shape *s)
{
    return steps_of(s) * WEIGHT_TILE;
}

/* ---- one call ---- */

struct work {
    const struct conv_shape *s;
    const struct conv_bf16_call *call;
    struct blocks blocks;
    struct pixel_offsets offsets;
};

static inline __mmask16 lanes_at(const struct work *w, int k)
{
    int count = w->s->out - k;
    return (__mmask16)(count < OUTPUTS ? (1 << count) - 1 : 0xffff);
}

/* Never -0, which a product by zero would turn into 0. */
static inline void bias_read(const struct work *w, int k, float *first)
{
    __m512 bias = _mm512_setzero_ps();
    if (w->call->bias)
        bias = _mm512_add_ps(bias, _mm512_maskz_loadu_ps(lanes_at(w, k), w->call->bias + k));
    _mm512_store_ps(first, bias);
}

static inline void offsets_set(struct work *w, int i, int image, int row, int col)
{
    const struct conv_bf16_call *call = w->call;
    w->offsets.y[i] = layout_at(&call->y_at, image, row, col);
    w->offsets.residual[i] = layout_at(&call->residual_at, image, row, col);
    w->offsets.sums[i] = layout_at(&call->sums_at, image, row, col);
}

/* Outputs from k on, of a block that begins at this pixel. */
static inline struct block_outputs outputs_at(const struct work *w, int k, int image, int row, int col)
{
    const struct conv_bf16_call *call = w->call;
    struct block_outputs to = {.offsets = &w->offsets, .lanes = lanes_at(w, k)};
    if (call->residual)
        to.residual = call->residual + layout_at(&call->residual_at, image, row, col) + k;
    if (call->y)
        to.y = call->y + layout_at(&call->y_at, image, row, col) + k;
    if (call->sums)
        to.sums = call->sums + layout_at(&call->sums_at, image, row, col) + k;
    return to;
}

static inline const char *group_at(const struct work *w, int k)
{
    return (const char *)w->call->packed + (size_t)(k / OUTPUTS) * group_bytes(w->s);
}

/* copies_bf16.c: images [first, images) of the call, their inputs copied to scratch. */
size_t bf16_copies_scratch(const struct conv_shape *s);
void bf16_copies_run(struct work *w, int first, void *scratch);

#endif

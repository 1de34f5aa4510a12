/* tile_f32.h: one register tile of tiles_f32.inc, for the set that brings its loop:
 * included behind its vector_f32_*.h. */
#ifndef RESQ_KERNEL_TEMPLATE_TILE_F32_H
#define RESQ_KERNEL_TEMPLATE_TILE_F32_H

#include "kernel/template/tiles_f32.h"

/* One tile's work. Accumulators are variables of their own, not arrays: compilers keep arrays in memory. */
struct tile {
    const float *const *x; /* a pointer for each pixel, to its window's first value */
    const size_t *y, *r;   /* offsets of each pixel's outputs in out and residual */
    const float *w;        /* [runs][length][16] */
    int runs;
    size_t length, stride; /* floats in a run; from one run to the next */
    const float *bias;     /* [16] */
    const float *residual;
    float *out;
    int width, relu;   /* how many of the 16 outputs exist */
    const float *clip; /* [low, high] or NULL */
};

/* Outputs [at, at + LANES) of pixel i. */
INLINE void tile_store(const struct tile *t, int i, int at, vec sum)
{
    float *out = t->out + t->y[i] + at;
    const float *residual = t->residual ? t->residual + t->r[i] + at : NULL;
    int whole = t->width >= at + LANES;
    vec_mask mask = vec_first(t->width - at);
    if (residual)
        sum = vec_add(sum, whole ? vec_load(residual) : vec_load_some(residual, mask));
    if (t->relu)
        sum = vec_relu(sum);
    if (t->clip)
        sum = vec_clip(t->clip, sum);
    if (whole)
        vec_store(out, sum);
    else
        vec_store_some(out, mask, sum);
}

typedef void tile_function(const struct tile *t);

#endif

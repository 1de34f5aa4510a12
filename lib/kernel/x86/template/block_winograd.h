/* block_winograd.h: Winograd F(4x4,3x3) over blocks: what its parts share. A set includes it behind its
 * block_vectors_*.h.
 *
 * For one place of a tile the 32 images of a block are 32 tiles, and each of the 36 points is a product of cells as
 * any other: V [32 images][32 channels] by U [channels][outputs]. Transforms run in float32. Points 0, +-A, +-B and
 * infinity; G's rows are divided by about their length (LENGTH), without the factors of A and B, which the output's
 * transform has instead. What V, U and Z (of the weight gradient) are is an element's: block_winograd_i16.inc or
 * block_winograd_f32.inc, which come before the parts: block_winograd_pack.inc, _conv.inc, _weight.inc. */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_WINOGRAD_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_WINOGRAD_H

#include "kernel/x86/template/block_winograd_shape.h"

enum { SIDE = 6, POINTS = SIDE * SIDE };

#define A1 0.65f
#define A2 (A1 * A1)
#define A3 (A1 * A1 * A1)
#define B1 1.5f
#define B2 (B1 * B1)
#define B3 (B1 * B1 * B1)
#define SUM2 (A2 + B2)
#define PRODUCT2 (A2 * B2)
#define ROW_0 (PRODUCT2 + SUM2 + 1.0f)
#define ROW_A ((A1 + 1.0f) * (B2 + 1.0f))
#define ROW_B ((B1 + 1.0f) * (A2 + 1.0f))
#define LENGTH_A 1.25f
#define LENGTH_B 2.875f
/* G's factors with LENGTH and what an element divides the rows of V by (DIVISOR). */
#define FACTOR_0 (DIVISOR_0 / PRODUCT2)
#define FACTOR_A (DIVISOR_A * LENGTH_A / (2.0f * A2 * (A2 - B2)))
#define FACTOR_B (DIVISOR_B * LENGTH_B / (2.0f * B2 * (B2 - A2)))
#define FACTOR_5 DIVISOR_0
/* A's sums of absolute coefficients. */
#define Z_A ((1.0f + A1) * (1.0f + A2))
#define Z_B ((1.0f + B1) * (1.0f + B2))

/* B^T without the divisors of its rows. */
INLINE void input_transform(const vec d[SIDE], vec o[SIDE])
{
    const vec a1 = vec_set(A1), a2 = vec_set(A2), b1 = vec_set(B1), b2 = vec_set(B2);
    const vec sum = vec_set(SUM2), product = vec_set(PRODUCT2);
    vec even_a = vec_fnma(b2, d[2], d[4]), odd_a = vec_fnma(b2, d[1], d[3]);
    vec even_b = vec_fnma(a2, d[2], d[4]), odd_b = vec_fnma(a2, d[1], d[3]);
    o[0] = vec_fma(product, d[0], vec_fnma(sum, d[2], d[4]));
    o[1] = vec_fma(a1, odd_a, even_a);
    o[2] = vec_fnma(a1, odd_a, even_a);
    o[3] = vec_fma(b1, odd_b, even_b);
    o[4] = vec_fnma(b1, odd_b, even_b);
    o[5] = vec_fma(product, d[1], vec_fnma(sum, d[3], d[5]));
}

/* A: four outputs' gradients at the points. */
INLINE void gradient_transform(const vec d[TILE], vec o[SIDE])
{
    vec even_a = vec_fma(vec_set(A2), d[2], d[0]);
    vec odd_a = vec_fma(vec_set(A3), d[3], vec_mul(vec_set(A1), d[1]));
    vec even_b = vec_fma(vec_set(B2), d[2], d[0]);
    vec odd_b = vec_fma(vec_set(B3), d[3], vec_mul(vec_set(B1), d[1]));
    o[0] = d[0];
    o[1] = vec_add(even_a, odd_a);
    o[2] = vec_sub(even_a, odd_a);
    o[3] = vec_add(even_b, odd_b);
    o[4] = vec_sub(even_b, odd_b);
    o[5] = d[3];
}

/* G, each row divided by its LENGTH. */
INLINE void weight_transform(const vec g[3], vec o[SIDE])
{
    vec even_a = vec_fma(vec_set(A2), g[2], g[0]), odd_a = vec_mul(vec_set(A1), g[1]);
    vec even_b = vec_fma(vec_set(B2), g[2], g[0]), odd_b = vec_mul(vec_set(B1), g[1]);
    const vec by_a = vec_set(1 / LENGTH_A), by_b = vec_set(1 / LENGTH_B);
    o[0] = g[0];
    o[1] = vec_mul(vec_add(even_a, odd_a), by_a);
    o[2] = vec_mul(vec_sub(even_a, odd_a), by_a);
    o[3] = vec_mul(vec_add(even_b, odd_b), by_b);
    o[4] = vec_mul(vec_sub(even_b, odd_b), by_b);
    o[5] = g[2];
}

/* What both directions need: a map of `in` cells a pixel, of so many inputs, to a map of `out` cells. */
struct winograd_way {
    const struct block_conv *s;
    int source_h, source_w, in, h, w, out, pad;
    int inputs, outputs; /* real channels */
    size_t v_plane; /* values from a point to the next: no power of two, which would share one set of the cache */
};

static inline struct winograd_way winograd_way_of(const struct block_conv *s, enum block_direction d)
{
    struct winograd_way y = {.s = s};
    int forward = d == BLOCK_FORWARD;
    y.source_h = forward ? s->h : s->out_h;
    y.source_w = forward ? s->w : s->out_w;
    y.h = forward ? s->out_h : s->h;
    y.w = forward ? s->out_w : s->w;
    y.inputs = forward ? s->c : s->k;
    y.outputs = forward ? s->k : s->c;
    y.in = cells_of(y.inputs);
    y.out = cells_of(y.outputs);
    y.pad = forward ? s->pad : 2 - s->pad;
    y.v_plane = (size_t)y.in * CELL + BLOCK_CHANNELS;
    return y;
}

#endif

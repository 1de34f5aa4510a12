/* block_row.h: 32 channels of one image as vectors of floats, natural order. Included by a set's block_vectors_*.h
 * behind its vec, LANES and add_double. */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_ROW_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_ROW_H

#include "kernel/x86/template/block_shape.h"

enum { ROW_VECTORS = BLOCK_CHANNELS / LANES };

struct row {
    vec v[ROW_VECTORS];
};

#define EACH_VECTOR(i) _Pragma("GCC unroll 4") for (int i = 0; i < ROW_VECTORS; i++)

INLINE struct row row_add(struct row a, struct row b)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_add(a.v[i], b.v[i]);
    return y;
}

INLINE struct row row_sub(struct row a, struct row b)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_sub(a.v[i], b.v[i]);
    return y;
}

INLINE struct row row_mul(struct row a, struct row b)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_mul(a.v[i], b.v[i]);
    return y;
}

INLINE struct row row_fma(struct row a, struct row b, struct row c)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_fma(a.v[i], b.v[i], c.v[i]);
    return y;
}

INLINE struct row row_relu(struct row a)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_relu(a.v[i]);
    return y;
}

INLINE struct row row_floats(const float *p)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_load(p + i * LANES);
    return y;
}

INLINE struct row row_set(float v)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_set(v);
    return y;
}

/* The first `count` of 32 floats, zeros behind; their memory alone is touched. */
INLINE struct row row_floats_some(const float *p, int count)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_load_some(p + i * LANES, vec_first(count - i * LANES));
    return y;
}

INLINE void row_floats_store_some(float *p, int count, struct row v)
{
    EACH_VECTOR(i) vec_store_some(p + i * LANES, vec_first(count - i * LANES), v.v[i]);
}

struct channel_sums {
    struct row sum, squares;
};

INLINE struct channel_sums sums_zero(void)
{
    return (struct channel_sums){row_set(0), row_set(0)};
}

INLINE void sums_add(struct channel_sums *s, struct row v)
{
    s->sum = row_add(s->sum, v);
    s->squares = row_fma(v, v, s->squares);
}

INLINE void sums_to_double(const struct channel_sums *s, double *sum, double *squares)
{
    EACH_VECTOR(i) add_double(sum + i * LANES, s->sum.v[i]);
    EACH_VECTOR(i) add_double(squares + i * LANES, s->squares.v[i]);
}

#endif

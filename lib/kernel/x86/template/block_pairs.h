/* block_pairs.h: rows of a cell whose upper half holds no real channel (halves_of 1): 16 channels of two images that
 * follow each other are a row, so that no work is spent on zeros. A set that has pair_load and pair_store says so by
 * PAIRED in its block_vectors_*.h; elsewhere a row is always one image's. */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_PAIRS_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_PAIRS_H

#include "kernel/x86/template/block_row.h"

INLINE int cell_is_paired(int channels, int cell)
{
#ifdef PAIRED
    return halves_of(channels, cell) == 1;
#else
    (void)channels, (void)cell;
    return 0;
#endif
}

/* Image n's row, or (pair) n's and n + 1's: p is n's. */
INLINE struct row images_load(const bf16 *p, int planes, int pair)
{
#ifdef PAIRED
    if (pair)
        return pair_load(p, planes);
#endif
    (void)pair;
    return row_load(p, planes);
}

/* Returns what was stored; channels that are not real become zeros. */
INLINE struct row images_store(struct row v, bf16 *p, int planes, int pair)
{
#ifdef PAIRED
    if (pair)
        return pair_store(v, p, planes);
#endif
    (void)pair;
    return row_store(v, p, planes);
}

/* A bit a channel, 32 an image. */
INLINE uint32_t images_bits(const uint32_t *bits, int pair)
{
    return pair ? (bits[0] & 0xffff) | bits[1] << 16 : bits[0];
}

INLINE void images_bits_store(uint32_t v, uint32_t *bits, int pair)
{
    bits[0] = pair ? v & 0xffff : v;
    if (pair)
        bits[1] = v >> 16;
}

/* 32 channels' constants, or the first 16 for either image. */
INLINE struct row images_constants(const float *p, int pair)
{
    struct row y;
    EACH_VECTOR(i) y.v[i] = vec_load(p + (pair ? i % (ROW_VECTORS / 2) : i) * LANES);
    return y;
}

/* Adds sums to those of 32 channels, or both images' to those of 16. */
INLINE void images_sums_to_double(const struct channel_sums *s, int pair, double *sum, double *squares)
{
    EACH_VECTOR(i) add_double(sum + (pair ? i % (ROW_VECTORS / 2) : i) * LANES, s->sum.v[i]);
    EACH_VECTOR(i) add_double(squares + (pair ? i % (ROW_VECTORS / 2) : i) * LANES, s->squares.v[i]);
}

#endif

/* tree.h: how what the images of a mini-batch give is added up, so that the sum has the same bits however the images
 * are spread over kernels, threads and processes.
 *
 * A mini-batch is cut into shards of SHARD_IMAGES images, in order, the last of what is left. A shard's own sum is a
 * function of its images alone. Shards are added over a binary tree of their numbers: 0 and 1, 2 and 3 .., then pairs
 * of pairs and so on; what has no partner goes up as it is:
 *
 *     of 7 shards    ((0 + 1) + (2 + 3)) + ((4 + 5) + 6)
 *
 * So the sum of shards [a, a + n), where a is a multiple of a power of two that is at least n, is the same tree by
 * itself: a part of the whole one where n is that power, or where there are no shards beyond. */
#ifndef RESQ_BASE_TREE_H
#define RESQ_BASE_TREE_H

#include <stddef.h>

enum {
    SHARD_IMAGES = 32,
    TREE_SHARDS = 2048, /* at most: 65536 images */
    TREE_LEVELS = 12    /* partial sums of so many that stand at once, at most */
};

static inline int tree_shards(int images)
{
    return (images + SHARD_IMAGES - 1) / SHARD_IMAGES;
}

/* Images of shard `shard` of so many. */
static inline int tree_images(int images, int shard)
{
    int left = images - shard * SHARD_IMAGES;
    return left < SHARD_IMAGES ? left : SHARD_IMAGES;
}

/* The first shard of the right half of a tree [begin, end) of at least two, beginning at a multiple as above. */
static inline int tree_middle(int begin, int end)
{
    int half = 1;
    while (2 * half < end - begin)
        half *= 2;
    return begin + half;
}

/* Partial sums that stand before shard n: one for each bit of n. */
static inline int tree_depth(int n)
{
    int depth = 0;
    for (; n > 0; n &= n - 1)
        depth++;
    return depth;
}

/* ---- shards that come in order ---- */
/* Each is summed into a row of its own, tree_depth(its number), of TREE_LEVELS rows. */

/* Behind shard `shard`: how many times the last row is added to the one before it. */
static inline int tree_carries(int shard)
{
    int carries = 0;
    for (; shard & 1; shard >>= 1)
        carries++;
    return carries;
}

static inline void tree_add_floats(float *restrict to, const float *restrict from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

static inline void tree_from_doubles(const double *restrict from, size_t count, float *restrict to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (float)from[i];
}

static inline void tree_add_doubles(double *restrict to, const double *restrict from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

/* Rows of floats. The first lies where the caller wants the sum, the others side by side. */
struct tree_rows {
    float *first, *others;
    size_t count; /* floats of a row */
};

static inline float *tree_row(const struct tree_rows *t, int depth)
{
    return depth == 0 ? t->first : t->others + (size_t)(depth - 1) * t->count;
}

static inline void tree_merge(const struct tree_rows *t, int depth, int times)
{
    for (; times > 0; times--, depth--)
        tree_add_floats(tree_row(t, depth - 1), tree_row(t, depth), t->count);
}

/* Where shard `shard` is to be summed, from zeros. */
static inline float *tree_open(const struct tree_rows *t, int shard)
{
    return tree_row(t, tree_depth(shard));
}

/* It is complete there. */
static inline void tree_close(const struct tree_rows *t, int shard)
{
    tree_merge(t, tree_depth(shard), tree_carries(shard));
}

/* All of them are: the sum lies in `first`. */
static inline void tree_finish(const struct tree_rows *t, int shards)
{
    int depth = tree_depth(shards);
    tree_merge(t, depth - 1, depth - 1);
}

/* ---- shards that are there all at once ---- */

/* Row 0 of `rows` rows, `stride` floats apart, becomes the sum of all; the others are spent. */
static inline void tree_fold(float *first, size_t stride, int rows, size_t count)
{
    for (int step = 1; step < rows; step *= 2)
        for (int i = 0; i + step < rows; i += 2 * step)
            tree_add_floats(first + (size_t)i * stride, first + (size_t)(i + step) * stride, count);
}

#endif

/* blocks.h: what the tests of block.h share: shapes, random tensors, comparisons. */
#ifndef RESQ_TESTS_KERNEL_BLOCKS_H
#define RESQ_TESTS_KERNEL_BLOCKS_H

#include "kernel/contract/block.h"
#include "tests/unit/kernel/shapes.h"
#include <float.h>

/* A shape, and how many rows of its outputs the costly tests compute (0: all). */
struct block_case {
    int h, w, c, k, kernel, stride, pad, window, rows;
};

static const struct block_case block_cases[] = {
    /* the network, narrow: stem, blocks, stride 2, shortcuts */
    {32, 32, 3, 16, 3, 1, 1, 1, 4},
    {32, 32, 3, 8, 3, 1, 1, 0, 4},
    {32, 32, 16, 16, 3, 1, 1, 0, 4},
    {32, 32, 16, 32, 3, 2, 1, 0, 4},
    {32, 32, 16, 32, 1, 2, 0, 0, 4},
    {16, 16, 32, 32, 3, 1, 1, 0, 0},
    {8, 8, 64, 64, 3, 1, 1, 0, 0},
    {8, 8, 64, 128, 3, 2, 1, 0, 0},
    {4, 4, 128, 128, 3, 1, 1, 0, 0},
    /* full width */
    {32, 32, 3, 64, 3, 1, 1, 1, 3},
    {32, 32, 64, 64, 3, 1, 1, 0, 3},
    {32, 32, 64, 128, 3, 2, 1, 0, 2},
    {16, 16, 128, 128, 3, 1, 1, 0, 2},
    {16, 16, 128, 256, 1, 2, 0, 0, 2},
    {8, 8, 256, 256, 3, 1, 1, 0, 1},
    {8, 8, 256, 512, 3, 2, 1, 0, 1},
    {4, 4, 512, 512, 3, 1, 1, 0, 1},
    /* odd maps, channels, strides, kernels */
    {5, 7, 3, 10, 3, 1, 1, 0, 0},
    {5, 7, 3, 40, 3, 2, 1, 1, 0},
    {5, 7, 3, 33, 5, 1, 2, 1, 0},
    {6, 9, 1, 8, 5, 1, 2, 1, 0},
    {5, 7, 33, 70, 3, 2, 1, 0, 0},
    {7, 5, 40, 17, 3, 2, 1, 0, 0},
    {6, 9, 13, 97, 1, 2, 0, 0, 0},
    {1, 3, 96, 48, 1, 1, 0, 0, 0},
    {9, 8, 4, 18, 5, 2, 2, 0, 0},
    {8, 8, 65, 6, 5, 1, 2, 0, 0},
    /* transformed by some sets: edges of tiles, every padding, more cells of weights than one round takes */
    {9, 10, 33, 40, 3, 1, 1, 0, 0},
    {11, 10, 20, 70, 3, 1, 0, 0, 0},
    {9, 8, 5, 6, 3, 1, 2, 0, 0},
    {64, 1, 40, 3, 3, 1, 1, 0, 0},
    {32, 8, 160, 136, 3, 1, 1, 0, 5},
    {11, 10, 3, 7, 7, 2, 3, 0, 0},
    {10, 11, 6, 5, 3, 3, 1, 0, 0},
    {7, 7, 6, 5, 2, 2, 0, 0, 0},
    {6, 6, 7, 16, 3, 1, 0, 0, 0},
    {5, 5, 4, 4, 1, 1, 1, 0, 0},
    {1, 1, 7, 5, 3, 1, 1, 0, 0},
};

enum { BLOCK_CASES = sizeof block_cases / sizeof *block_cases };

static inline struct block_conv block_case_at(int i, int planes)
{
    const struct block_case *v = &block_cases[i];
    struct block_conv s = {.h = v->h,
                           .w = v->w,
                           .c = v->c,
                           .k = v->k,
                           .kernel = v->kernel,
                           .stride = v->stride,
                           .pad = v->pad,
                           .window = v->window,
                           .planes = planes};
    s.out_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.out_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    return s;
}

static inline void block_print(const char *isa, const struct block_conv *s, const char *what)
{
    print_error("%s: %s: %dx%d c=%d k=%d kernel=%d stride=%d pad=%d planes=%d window=%d\n", isa, what, s->h, s->w,
                s->c, s->k, s->kernel, s->stride, s->pad, s->planes, s->window);
}

/* A block's tensor. */
struct tensor {
    int h, w, c, planes; /* c: the real channels */
    size_t values;
    bf16 *p;
};

static inline struct tensor tensor_new(int h, int w, int c, int planes)
{
    struct tensor t = {.h = h, .w = w, .c = c, .planes = planes, .values = block_tensor_values(h * w, c, planes)};
    t.p = bytes_new(t.values, sizeof(bf16));
    return t;
}

/* What a convolution takes and gives. */
static inline struct tensor tensor_input(const struct block_conv *s)
{
    return s->window ? tensor_new(s->out_h, s->out_w, s->c * s->kernel * s->kernel, s->planes)
                     : tensor_new(s->h, s->w, s->c, s->planes);
}

static inline struct tensor tensor_output(const struct block_conv *s)
{
    return tensor_new(s->out_h, s->out_w, s->k, s->planes);
}

static inline struct tensor tensor_copy(const struct tensor *from)
{
    struct tensor t = tensor_new(from->h, from->w, from->c, from->planes);
    memcpy(t.p, from->p, t.values * sizeof(bf16));
    return t;
}

static inline int tensor_same(const struct tensor *a, const struct tensor *b)
{
    return a->values == b->values && memcmp(a->p, b->p, a->values * sizeof(bf16)) == 0;
}

/* The layout as block.h words it: [H][W][C/32][P][32 images][32 channels], or floats that take the room of two. */
static inline bf16 *tensor_at(const struct tensor *t, int y, int x, int image, int c)
{
    size_t cells = (size_t)(t->c + 31) / 32, cell = (size_t)(y * t->w + x) * cells + (size_t)(c / 32);
    size_t in = (size_t)image * 32 + (size_t)(c % 32);
    return t->p + cell * (size_t)t->planes * 1024 + (t->planes == 2 ? 2 * in : in);
}

/* From one of the bf16 that a value lies in to the next. */
static inline size_t tensor_step(const struct tensor *t)
{
    return t->planes == 2 ? 1 : 1024;
}

/* Of every value the magnitude: of each plane, which is what the products are made of. */
static inline void values_absolute(bf16 *p, size_t count, int planes)
{
    for (size_t i = 0; i < count; i++)
        if (planes != 2 || i % 2 == 1) /* a float's upper half */
            p[i] = (bf16)(p[i] & 0x7fff);
}

/* The sum of the planes, exact in double. */
static inline double tensor_value(const struct tensor *t, int y, int x, int image, int c)
{
    double v = 0;
    float plain;
    if (t->planes == 2) {
        memcpy(&plain, tensor_at(t, y, x, image, c), sizeof plain);
        return (double)plain;
    }
    for (int i = 0; i < t->planes; i++)
        v += (double)bf16_to_float(tensor_at(t, y, x, image, c)[i * 1024]);
    return v;
}

/* Floats [h][w][32][c] as planes; images beyond the given number and channels beyond c stay zero. */
static inline void tensor_set(struct tensor *t, const float *v, int images)
{
    for (int i = 0; i < t->h * t->w; i++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int c = 0; c < t->c; c++, v++)
                if (n < images)
                    planes_store(*v, tensor_at(t, i / t->w, i % t->w, n, c), 1024, t->planes);
}

static inline void tensor_random(struct tensor *t, int images, int absolute, uint64_t seed)
{
    size_t count = (size_t)(t->h * t->w * BLOCK_IMAGES * t->c);
    float *v = floats_new(count, seed);
    for (size_t i = 0; absolute && i < count; i++)
        v[i] = fabsf(v[i]);
    tensor_set(t, v, images);
    memory_free(v);
}

/* How far a value's rounding to the planes may move it. */
static inline double planes_error(double v, int planes)
{
    return (planes == 1 ? 0x1p-8 : 0x1p-24) * fabs(v);
}

/* Whether every value of `got` lies as near to `want` as the contract asks: 1e-5 of the sum of absolute products
 * (or terms) before rounding. Most lie much nearer, or one of the small products is missing; only where both round
 * to bfloat16 across a tie they may not. */
static inline int tensor_near(const struct tensor *got, const struct tensor *want, const struct tensor *absolute)
{
    size_t different = 0, count = (size_t)(got->h * got->w * BLOCK_IMAGES * block_channels(got->c));
    for (int i = 0; i < got->h * got->w; i++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int c = 0; c < block_channels(got->c); c++) {
                double a = tensor_value(got, i / got->w, i % got->w, n, c);
                double b = tensor_value(want, i / got->w, i % got->w, n, c);
                double all = tensor_value(absolute, i / got->w, i % got->w, n, c);
                if (!(fabs(a - b) <= 1e-5 * all + 2 * planes_error(b, got->planes)))
                    return print_error("pixel %d image %d channel %d: %.9g, not %.9g\n", i, n, c, a, b), 0;
                different += fabs(a - b) > 3e-7 * all; /* a lost product of planes is 2^-17 at most */
            }
    if (different > 8 && different * 50 > count)
        return print_error("%zu of %zu differ\n", different, count), 0;
    return 1;
}

/* ---- transformed shapes (see `tile`) ---- */

static inline int block_tile(const struct block_kernel *kernel, const struct block_conv *s)
{
    return kernel->tile ? kernel->tile(s) : 0;
}

/* The largest magnitude of an image in `side` x `side` pixels from (y, x) on, over all channels. */
static inline double tensor_largest(const struct tensor *t, int y, int x, int side, int image)
{
    double most = 0;
    for (int i = y < 0 ? 0 : y; i < y + side && i < t->h; i++)
        for (int j = x < 0 ? 0 : x; j < x + side && j < t->w; j++)
            for (int c = 0; c < t->c; c++)
                most = fmax(most, fabs(tensor_value(t, i, j, image, c)));
    return most;
}

/* As one plane holds them, so that it does not matter who rounds them. */
static inline float *floats_rounded(const float *v, size_t count)
{
    float *p = bytes_new(count, sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = bf16_to_float(bf16_from_float(v[i]));
    return p;
}

/* Every item of a pack; `backward` may be left out by NULL. */
static inline void pack_all(const struct block_kernel *kernel, const struct block_conv *s, const float *weight,
                            void *forward, void *backward)
{
    for (int i = 0; i < kernel->pack_items(s); i++)
        kernel->pack(s, weight, i, forward, backward);
}

static inline void *packed_new(const struct block_kernel *kernel, const struct block_conv *s,
                               enum block_direction d)
{
    size_t bytes = kernel->packed_bytes(s, d);
    void *p = bytes_new(bytes, 1);
    memset(p, 0xff, bytes); /* NaN in every format: pack leaves nothing out */
    return p;
}

static inline size_t block_weights(const struct block_conv *s)
{
    return (size_t)s->k * (size_t)s->c * (size_t)s->kernel * (size_t)s->kernel;
}

/* Whether the table's block kernels compute such tensors, as the definition or as the set's own: not the definition
 * again under another name. */
static inline int takes(const struct kernel_table *table, int planes)
{
    return strcmp(table->isa, "ref") == 0 ||
           (kernel_block_is_native(table) && (planes == 1 || planes == table->block.float_planes));
}

/* for each instruction set of this machine whose block kernels are its own and take such tensors */
#define FOR_EACH_NATIVE(table, planes) \
    FOR_EACH_TABLE(table) if (kernel_block_is_native(table) && takes(table, planes))

/* How many there are. */
static inline int natives(int planes)
{
    int sets = 0;
    FOR_EACH_NATIVE(table, planes)
    sets++;
    return sets;
}

/* Whether some set is held to the sums of absolute products, which then are to be computed. */
static inline int untiled(const struct block_conv *s)
{
    int sets = 0;
    FOR_EACH_NATIVE(table, s->planes)
    sets += !block_tile(&table->block, s);
    return sets > 0;
}

#endif

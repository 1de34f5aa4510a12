/* shapes.h: what the kernel tests share: shapes to try, random tensors, and a loop over the instruction sets. */
#ifndef RESQ_TESTS_KERNEL_SHAPES_H
#define RESQ_TESTS_KERNEL_SHAPES_H

#include "base/memory.h"
#include "base/random.h"
#include "kernel/contract/kernel.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

/* h, w, c, out, kernel, stride, pad; the output's size is filled in. */
static const int shape_list[][7] = {
    /* ResNet-18 at widths 8 and 16: stem, blocks, stride 2, shortcuts, last layer */
    {32, 32, 3, 8, 3, 1, 1},
    {32, 32, 8, 8, 3, 1, 1},
    {32, 32, 8, 16, 3, 2, 1},
    {16, 16, 32, 32, 3, 1, 1},
    {8, 8, 64, 64, 3, 1, 1},
    {8, 8, 64, 128, 3, 2, 1},
    {4, 4, 128, 128, 3, 1, 1},
    {16, 16, 16, 32, 1, 2, 0},
    {8, 8, 32, 64, 1, 2, 0},
    {1, 1, 128, 10, 1, 1, 0},
    /* odd maps, channels and outputs */
    {5, 7, 1, 1, 3, 1, 1},
    {5, 7, 3, 10, 3, 2, 1},
    {7, 5, 5, 17, 3, 1, 1},
    {5, 7, 17, 1, 3, 1, 1},
    {7, 5, 33, 10, 3, 2, 1},
    {6, 9, 13, 17, 1, 1, 0},
    {6, 9, 13, 17, 1, 2, 0},
    {9, 6, 65, 33, 3, 1, 1},
    {9, 11, 67, 70, 3, 2, 1},
    {3, 41, 3, 20, 3, 1, 1},
    {150, 2, 4, 5, 3, 1, 1},
    /* whole blocks of 64 channels: rows of 16 pixels and more, small maps */
    {6, 16, 64, 20, 3, 1, 1},
    {7, 18, 64, 33, 3, 1, 1},
    {13, 35, 64, 18, 3, 2, 1},
    {5, 17, 128, 16, 1, 1, 0},
    {9, 33, 64, 40, 1, 2, 0},
    {5, 7, 64, 35, 3, 1, 1},
    {7, 5, 128, 16, 3, 2, 1},
    {4, 4, 64, 48, 3, 1, 1},
    {2, 3, 192, 33, 3, 1, 1},
    {6, 5, 64, 17, 1, 2, 0},
    {1, 1, 64, 10, 1, 1, 0},
    {4, 19, 64, 16, 3, 1, 0},
    /* other kernels, strides and paddings */
    {8, 8, 5, 6, 5, 1, 2},
    {9, 8, 4, 18, 5, 2, 2},
    {11, 10, 3, 7, 7, 2, 3},
    {10, 11, 6, 5, 3, 3, 1},
    {7, 7, 6, 5, 2, 2, 0},
    {6, 6, 6, 16, 3, 1, 0},
    {6, 6, 7, 16, 3, 1, 2},
    {5, 5, 4, 4, 1, 1, 1},
    {4, 4, 3, 5, 1, 3, 2},
    {2, 2, 9, 5, 3, 1, 1},
    {1, 1, 7, 5, 3, 1, 1},
    {1, 1, 7, 5, 3, 2, 1},
    {1, 3, 40, 48, 1, 1, 0},
};

enum { SHAPES = sizeof shape_list / sizeof *shape_list };

static inline struct conv_shape shape_at(int i)
{
    const int *v = shape_list[i];
    struct conv_shape s = {
        .h = v[0], .w = v[1], .c = v[2], .out = v[3], .kernel = v[4], .stride = v[5], .pad = v[6]};
    s.out_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.out_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    return s;
}

static inline size_t inputs_of(const struct conv_shape *s)
{
    return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

static inline size_t outputs_of(const struct conv_shape *s)
{
    return (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out;
}

static inline size_t weights_of(const struct conv_shape *s)
{
    return (size_t)s->out * (size_t)s->c * (size_t)s->kernel * (size_t)s->kernel;
}

static inline void shape_print(const char *isa, const struct conv_shape *s)
{
    print_error("%s: %dx%d c=%d out=%d kernel=%d stride=%d pad=%d\n", isa, s->h, s->w, s->c, s->out, s->kernel,
                s->stride, s->pad);
}

static inline void *bytes_new(size_t count, size_t size)
{
    struct message m;
    void *p = memory_new(count, size, &m);
    assert_non_null(p);
    return p;
}

/* In [-1,1), a few of them zero. */
/* A seed's values, as many as were asked for at most: the same are wanted again and again, of other counts. */
struct seed_floats {
    uint64_t seed;
    struct random_stream r; /* at what comes next */
    size_t count;
    float *p; /* NULL: of no seed yet */
};

static inline const float *seed_floats_of(size_t count, uint64_t seed)
{
    static struct seed_floats all[128];
    struct seed_floats *s = &all[seed % 128];
    if (!s->p || s->seed != seed || s->count < count) {
        size_t had = s->p && s->seed == seed ? s->count : 0;
        float *p = bytes_new(count, sizeof *p);
        if (had)
            memcpy(p, s->p, had * sizeof *p);
        else
            s->r = random_open(seed, RANDOM_TEST, 0, 0);
        for (size_t i = had; i < count; i++)
            p[i] = random_below(&s->r, 16) ? (float)(2 * random_uniform(&s->r) - 1) : 0.0f;
        memory_free(s->p);
        s->seed = seed, s->count = count, s->p = p;
    }
    return s->p;
}

static inline float *floats_new(size_t count, uint64_t seed)
{
    float *p = bytes_new(count, sizeof *p);
    memcpy(p, seed_floats_of(count, seed), count * sizeof *p);
    return p;
}

static inline float *floats_absolute(const float *x, size_t count)
{
    float *p = bytes_new(count, sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = fabsf(x[i]);
    return p;
}

static inline uint8_t *codes_new(size_t count, uint64_t seed)
{
    struct random_stream r = random_open(seed, RANDOM_TEST, 1, 0);
    uint8_t *p = bytes_new(count, 1);
    for (size_t i = 0; i < count; i++)
        p[i] = (uint8_t)random_below(&r, 256);
    return p;
}

/* In [-127,127] */
static inline int8_t *weights_new(size_t count, uint64_t seed)
{
    struct random_stream r = random_open(seed, RANDOM_TEST, 2, 0);
    int8_t *p = bytes_new(count, 1);
    for (size_t i = 0; i < count; i++)
        p[i] = (int8_t)((int)random_below(&r, 255) - 127);
    return p;
}

static inline const struct kernel_table *table_of(const char *isa)
{
    const struct kernel_table *table;
    struct message m;
    assert_int_equal(kernel_table_get(&table, isa, &m), 0);
    return table;
}

/* Index of the first value further from `want` than 1e-5 of the sum of absolute products, or -1. */
static inline ptrdiff_t first_apart(const float *got, const float *want, const float *absolute, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-5f * absolute[i] + 1e-30f))
            return (ptrdiff_t)i;
    return -1;
}

/* for each instruction set of this machine; `table` is its table */
#define FOR_EACH_TABLE(table)                                      \
    for (int isa_index = 0; kernel_isa_at(isa_index); isa_index++) \
        for (const struct kernel_table *table = table_of(kernel_isa_at(isa_index)); table; table = NULL)

#endif

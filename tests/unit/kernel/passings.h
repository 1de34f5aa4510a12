/* passings.h: maps, gradients, bits and constants that a pass over blocks comes in, of several sizes. */
#ifndef RESQ_TEST_PASSINGS_H
#define RESQ_TEST_PASSINGS_H

#include "tests/unit/kernel/blocks.h"

/* The forms that a pass comes in, and its size. */
struct passing {
    int pixels, real, c, planes, images, form; /* c: of all cells */
    struct tensor x, dy, other;
    uint32_t *positive;
    float *constants[3];
};

/* pixels, real channels: cells that are full, and last ones that are half full or less */
enum { SIZES = 8, FIRST_HALF = 4 };
static const int sizes[SIZES][2] = {{1, 32}, {5, 96}, {33, 32}, {34, 64}, {3, 16}, {2, 40}, {35, 48}, {33, 8}};

static inline struct passing passing_new(int size, int planes, int images)
{
    int real = sizes[size][1];
    struct passing p = {
        .pixels = sizes[size][0], .real = real, .c = block_channels(real), .planes = planes, .images = images};
    p.x = tensor_new(1, p.pixels, real, planes);
    p.dy = tensor_new(1, p.pixels, real, planes);
    p.other = tensor_new(1, p.pixels, real, planes);
    tensor_random(&p.x, images, 0, 1);
    tensor_random(&p.dy, images, 0, 2);
    tensor_random(&p.other, images, 0, 3);
    size_t words = (size_t)p.pixels * (size_t)p.c;
    p.positive = bytes_new(words, sizeof *p.positive);
    struct random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < words; i++)
        p.positive[i] = (uint32_t)random_below(&r, 65536) << 16 | (uint32_t)random_below(&r, 65536);
    for (int i = 0; i < 3; i++) {
        p.constants[i] = floats_new((size_t)p.c, 6 + (uint64_t)i);
        for (int c = 0; c < p.c; c++)
            p.constants[i][c] = c < real ? p.constants[i][c] + (i == 0 ? 1.5f : 0) : 0;
    }
    return p;
}

static inline struct block_map map_of(const struct passing *p)
{
    return (struct block_map){p->pixels, p->real, p->planes, p->images};
}

static inline void passing_free(struct passing *p)
{
    memory_free(p->x.p), memory_free(p->dy.p), memory_free(p->other.p), memory_free(p->positive);
    for (int i = 0; i < 3; i++)
        memory_free(p->constants[i]);
}

/* One for all forms: none needs it as another leaves it. */
#define FOR_EACH_PASSING(p, forms)                                                                                \
    for (int size = 0; size < SIZES; size++)                                                                      \
        for (int planes = 1; planes <= 3; planes++)                                                               \
            for (int images = 5; images <= 32; images += 27)                                                      \
                for (struct passing p = passing_new(size, planes, images); p.x.p; passing_free(&p), p.x.p = NULL) \
                    for (int form = 0; form < (forms) && (p.form = form, 1); form++)

#define FOR_EACH_VALUE(p, i, n, c)             \
    for (int i = 0; i < (p)->pixels; i++)      \
        for (int n = 0; n < BLOCK_IMAGES; n++) \
            for (int c = 0; c < (p)->c; c++)

static inline void wrong(const struct kernel_table *table, const struct passing *p, const char *what, int i, int n,
                         int c)
{
    print_error("%s: %s: %d pixels, %d channels, %d planes, %d images, form %d: at pixel %d image %d channel %d\n",
                table->isa, what, p->pixels, p->c, p->planes, p->images, p->form, i, n, c);
    fail();
}

static inline int bit_of(const struct passing *p, const uint32_t *positive, int i, int n, int c)
{
    return (int)(positive[(i * (p->c / 32) + c / 32) * 32 + n] >> (c % 32) & 1);
}

#endif

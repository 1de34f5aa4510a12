/* arrange.h: activations laid out in every way that a struct layout can say, made from dense ones and back. */
#ifndef RESQ_TESTS_KERNEL_ARRANGE_H
#define RESQ_TESTS_KERNEL_ARRANGE_H

#include "tests/unit/kernel/shapes.h"

/* How much more than dense; border: of x alone, outputs have one of marks. */
struct arrangement {
    int border;
    size_t image, row, pixel; /* elements left between */
};

static const struct arrangement arrangements[] = {
    {0, 0, 0, 0}, {1, 0, 0, 0}, {1, 7, 5, 3}, {2, 64, 0, 0}, {0, 0, 3, 1}, {3, 1, 0, 64},
};

enum { ARRANGEMENTS = sizeof arrangements / sizeof *arrangements, MARK = 0xA5 };

struct arranged {
    unsigned char *base;
    struct layout at;
    int images, h, w, c;
    size_t size, bytes, origin; /* of an element; of the buffer; bytes from base to image 0's pixel (0,0) */
};

static inline struct arranged arranged_new(const struct arrangement *a, int images, int h, int w, int c,
                                           size_t size)
{
    struct arranged t = {.images = images, .h = h, .w = w, .c = c, .size = size};
    size_t border = (size_t)a->border;
    t.at.border = a->border;
    t.at.pixel = (size_t)c + a->pixel;
    t.at.row = ((size_t)w + 2 * border) * t.at.pixel + a->row;
    t.at.image = ((size_t)h + 2 * border) * t.at.row + a->image;
    t.origin = (border * t.at.row + border * t.at.pixel) * size;
    t.bytes = (size_t)images * t.at.image * size;
    t.base = bytes_new(t.bytes, 1);
    memset(t.base, MARK, t.bytes);
    return t;
}

static inline void *arranged_origin(const struct arranged *t)
{
    return t->base + t->origin;
}

static inline unsigned char *arranged_pixel(const struct arranged *t, int image, int row, int col)
{
    return t->base + (ptrdiff_t)t->origin + layout_at(&t->at, image, row, col) * (ptrdiff_t)t->size;
}

/* The pixels from a dense tensor; the border from one element. */
static inline void arranged_fill(struct arranged *t, const void *dense, const void *padding)
{
    const unsigned char *from = dense;
    size_t pixel = (size_t)t->c * t->size;
    int b = t->at.border;
    for (int i = 0; i < t->images; i++)
        for (int row = -b; row < t->h + b; row++)
            for (int col = -b; col < t->w + b; col++) {
                unsigned char *to = arranged_pixel(t, i, row, col);
                if (row >= 0 && row < t->h && col >= 0 && col < t->w) {
                    memcpy(to, from, pixel);
                    from += pixel;
                } else {
                    for (int c = 0; c < t->c; c++)
                        memcpy(to + (size_t)c * t->size, padding, t->size);
                }
            }
}

/* The pixels to a dense tensor; what lies between them must still be marks. */
static inline void arranged_gather(const struct arranged *t, void *dense)
{
    unsigned char *to = dense;
    size_t pixel = (size_t)t->c * t->size;
    for (int i = 0; i < t->images; i++)
        for (int row = 0; row < t->h; row++)
            for (int col = 0; col < t->w; col++, to += pixel) {
                unsigned char *from = arranged_pixel(t, i, row, col);
                memcpy(to, from, pixel);
                memset(from, MARK, pixel);
            }
    for (size_t k = 0; k < t->bytes; k++)
        assert_int_equal(t->base[k], MARK);
}

static inline void arranged_free(struct arranged *t)
{
    memory_free(t->base);
}

#endif

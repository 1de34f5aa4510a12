/* block_taps.h: which pixels and weights a pixel of a convolution's result is the sum of, in both directions. */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_TAPS_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_TAPS_H

#include "kernel/x86/template/block_shape.h"

/* The source pixels that a destination pixel sums over. */
struct taps {
    int count;
    const bf16 *a[MOST_TAPS]; /* a pixel's cells */
    const bf16 *b[MOST_TAPS]; /* that tap's weights for 32 outputs */
};

/* What both directions need to know of their source and destination. */
struct way {
    int source_h, source_w, source_cells; /* cells of one plane a pixel */
    int w, cells;                         /* the destination */
    int inputs, outputs;                  /* real channels of both */
    int forward;
    size_t tap_values;   /* packed weights of one tap and 32 outputs */
    size_t panel_values; /* of all taps */
};

/* packed_planes: of the weights. */
static inline struct way way_of(const struct block_conv *s, enum block_direction d, int packed_planes)
{
    struct way y = {.forward = d == BLOCK_FORWARD};
    int in = cells_of(conv_inputs(s)), out = cells_of(s->k);
    y.inputs = y.forward ? conv_inputs(s) : s->k;
    y.outputs = y.forward ? s->k : conv_inputs(s);
    y.source_h = y.forward ? s->h : s->out_h;
    y.source_w = y.forward ? s->w : s->out_w;
    y.source_cells = y.forward ? in : out;
    y.w = y.forward ? s->out_w : s->w;
    y.cells = y.forward ? out : in;
    if (s->window) { /* the windows lie where the outputs do */
        y.source_h = s->out_h;
        y.source_w = s->out_w;
    }
    y.tap_values = (size_t)y.source_cells * (size_t)packed_planes * CELL;
    y.panel_values = y.tap_values * (size_t)conv_taps(s);
    return y;
}

/* The source coordinate that tap `r` takes for destination coordinate `at`, or -1. */
static inline int source_of(const struct block_conv *s, int forward, int at, int r, int size)
{
    int i;
    if (forward) {
        i = at * s->stride - s->pad + r;
    } else {
        i = at + s->pad - r;
        if (i < 0 || i % s->stride != 0)
            return -1;
        i /= s->stride;
    }
    return i >= 0 && i < size ? i : -1;
}

static inline void taps_find(const struct block_conv *s, const struct way *y, const bf16 *x, const bf16 *panel,
                             int row, int column, struct taps *taps)
{
    size_t pixel = (size_t)y->source_cells * (size_t)s->planes * CELL;
    taps->count = 0;
    if (s->window) {
        taps->a[0] = x + ((size_t)row * (size_t)y->source_w + (size_t)column) * pixel;
        taps->b[0] = panel;
        taps->count = 1;
        return;
    }
    for (int r = 0; r < s->kernel; r++) {
        int i = source_of(s, y->forward, row, r, y->source_h);
        for (int t = 0; i >= 0 && t < s->kernel; t++) {
            int j = source_of(s, y->forward, column, t, y->source_w);
            if (j < 0)
                continue;
            taps->a[taps->count] = x + ((size_t)i * (size_t)y->source_w + (size_t)j) * pixel;
            taps->b[taps->count++] = panel + (size_t)(r * s->kernel + t) * y->tap_values;
        }
    }
}

#endif

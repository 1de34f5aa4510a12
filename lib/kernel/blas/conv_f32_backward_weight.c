/* Gradient of a convolution by its weights. An item is one tap: the pixels that it sees are gathered from x and dy,
 * a few images of a shard at a time, and multiplied. */
#include "base/tree.h"
#include "kernel/blas/columns.h"
#include "kernel/list.h"
#include <string.h>

static int items(const struct conv_shape *s)
{
    return s->kernel * s->kernel;
}

static int group_images(const struct conv_shape *s)
{
    int images = (int)(2 * BLOCK_PIXELS / shape_pixels(s));
    return images < 1 ? 1 : images < SHARD_IMAGES ? images : SHARD_IMAGES;
}

static size_t side_bytes(const struct conv_shape *s, int channels)
{
    return round_up_64((size_t)group_images(s) * shape_pixels(s) * (size_t)channels * sizeof(float));
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return side_bytes(s, s->c) + side_bytes(s, s->out) +
           TREE_LEVELS * (size_t)s->c * (size_t)s->out * sizeof(float);
}

/* Appends one image's pairs of pixels for tap [r,t] to xs and gs, `pixels` long so far; returns how many there are
 * then. */
static size_t gather(const struct conv_shape *s, const float *x, const float *dy, int r, int t, size_t pixels,
                     float *xs, float *gs)
{
    size_t c = (size_t)s->c, k = (size_t)s->out;
    for (int oy = 0; oy < s->out_h; oy++)
        for (int ox = 0; ox < s->out_w; ox++, dy += k) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
                continue;
            memcpy(xs + pixels * c, x + ((size_t)iy * (size_t)s->w + (size_t)ix) * c, c * sizeof *xs);
            memcpy(gs + pixels * k, dy, k * sizeof *gs);
            pixels++;
        }
    return pixels;
}

static void run(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                void *scratch)
{
    float *xs = scratch, *gs = (float *)(void *)((char *)xs + side_bytes(s, s->c));
    float *sum = (float *)(void *)((char *)gs + side_bytes(s, s->out));
    int r = item / s->kernel, t = item % s->kernel, group = group_images(s);
    size_t c = (size_t)s->c, k = (size_t)s->out;
    const struct tree_rows tree = {sum, sum + c * k, c * k};
    for (int shard = 0; shard < tree_shards(images); shard++) {
        float *row = tree_open(&tree, shard);
        memset(row, 0, c * k * sizeof *row);
        for (int n = 0, own = tree_images(images, shard); n < own;) {
            size_t pixels = 0;
            for (int end = n + group; n < own && n < end; n++, x += shape_inputs(s), dy += shape_outputs(s))
                pixels = gather(s, x, dy, r, t, pixels, xs, gs);
            if (pixels)
                blas_multiply(1, k, c, pixels, gs, xs, 1, row);
        }
        tree_close(&tree, shard);
    }
    tree_finish(&tree, tree_shards(images));
    for (int i = 0; i < s->out; i++)
        for (int j = 0; j < s->c; j++)
            dw[shape_weight_at(s, i, j, r, t)] = *sum++;
}

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_blas_taps = {
    .items = items, .scratch_bytes = scratch_bytes, .run = run};

/* Gradient of a convolution by its weights: the definition. An item is one output channel. */
#include "base/tree.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

static int items(const struct conv_shape *s)
{
    return s->out;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return shape_reduced(s) * (sizeof(double) + TREE_LEVELS * sizeof(float));
}

/* Adds one output pixel's gradient g to the sums [R,R,C] of the weights that made it. */
static void add_pixel(const struct conv_shape *s, const float *x, int oy, int ox, float g, double *sum)
{
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, sum += s->c) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
                continue;
            const float *in = x + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c;
            for (int c = 0; c < s->c; c++)
                sum[c] += (double)g * (double)in[c];
        }
}

static void run(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                void *scratch)
{
    double *sum = scratch;
    size_t count = shape_reduced(s);
    float *rows = (float *)(void *)(sum + count);
    const struct tree_rows tree = {rows, rows + count, count};
    for (int shard = 0; shard < tree_shards(images); shard++) {
        float *row = tree_open(&tree, shard);
        memset(sum, 0, count * sizeof *sum);
        for (int n = 0; n < tree_images(images, shard); n++, x += shape_inputs(s))
            for (int oy = 0; oy < s->out_h; oy++)
                for (int ox = 0; ox < s->out_w; ox++, dy += s->out)
                    add_pixel(s, x, oy, ox, dy[item], sum);
        tree_from_doubles(sum, count, row);
        tree_close(&tree, shard);
    }
    tree_finish(&tree, tree_shards(images));
    for (int c = 0; c < s->c; c++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++)
                dw[shape_weight_at(s, item, c, r, t)] =
                    rows[(size_t)(r * s->kernel + t) * (size_t)s->c + (size_t)c];
}

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_ref_direct = {
    .items = items, .scratch_bytes = scratch_bytes, .run = run};

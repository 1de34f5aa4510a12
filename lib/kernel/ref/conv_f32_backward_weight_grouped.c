/* Gradient of a convolution with groups by its weights: the definition. An item is 16
 * output channels, the last fewer. */
#include "base/tree.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

enum { OUTPUTS = 16 };

static int items(const struct conv_shape *s)
{
    return (s->out + OUTPUTS - 1) / OUTPUTS;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return shape_reduced(s) * OUTPUTS * (sizeof(double) + TREE_LEVELS * sizeof(float));
}

/* One tap of one output pixel: outputs [first, first + count). x [C], dy [K], sum [C/G,16] */
static void add_tap(const struct conv_shape *s, const float *x, const float *dy, int first, int count, double *sum)
{
    int inputs = shape_group_inputs(s), outputs = shape_group_outputs(s);
    for (int c = 0; c < inputs; c++, sum += OUTPUTS)
        for (int k = 0; k < count; k++)
            sum[k] += (double)dy[first + k] * (double)x[(first + k) / outputs * inputs + c];
}

static void add_pixel(const struct conv_shape *s, const float *x, const float *dy, int oy, int ox, int first,
                      double *sum)
{
    int count = s->out - first < OUTPUTS ? s->out - first : OUTPUTS;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, sum += (size_t)shape_group_inputs(s) * OUTPUTS) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                add_tap(s, x + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c, dy, first, count, sum);
        }
}

static void run(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                void *scratch)
{
    double *sum = scratch;
    size_t count = shape_reduced(s) * OUTPUTS;
    float *rows = (float *)(void *)(sum + count);
    const struct tree_rows tree = {rows, rows + count, count};
    int first = item * OUTPUTS, inputs = shape_group_inputs(s);
    for (int shard = 0; shard < tree_shards(images); shard++) {
        float *row = tree_open(&tree, shard);
        memset(sum, 0, count * sizeof *sum);
        for (int n = 0; n < tree_images(images, shard); n++, x += shape_inputs(s))
            for (int oy = 0; oy < s->out_h; oy++)
                for (int ox = 0; ox < s->out_w; ox++, dy += s->out)
                    add_pixel(s, x, dy, oy, ox, first, sum);
        tree_from_doubles(sum, count, row);
        tree_close(&tree, shard);
    }
    tree_finish(&tree, tree_shards(images));
    for (int k = 0; k < OUTPUTS && first + k < s->out; k++)
        for (int c = 0; c < inputs; c++)
            for (int r = 0; r < s->kernel; r++)
                for (int t = 0; t < s->kernel; t++)
                    dw[shape_weight_at(s, first + k, c, r, t)] =
                        rows[((size_t)(r * s->kernel + t) * (size_t)inputs + (size_t)c) * OUTPUTS + (size_t)k];
}

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_grouped_ref_direct = {
    .items = items, .scratch_bytes = scratch_bytes, .run = run};

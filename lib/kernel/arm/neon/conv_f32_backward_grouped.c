/* Gradients of a depthwise convolution: four channels at a time. By the input, each pixel gathers from the outputs that saw
 * it; by the weights, an item is four channels, each tap summed over one image in a register and over images in double. */
#include "kernel/list.h"
#include "kernel/arm/neon/depthwise_f32.h"

/* ---- by the input ---- */

static size_t no_scratch(const struct conv_shape *s)
{
    (void)s;
    return 0;
}

/* The output coordinate whose tap r lies on input coordinate i, or -1. */
static int output_of(int i, int r, int stride, int pad, int outputs)
{
    int o = i + pad - r;
    return o >= 0 && o % stride == 0 && o / stride < outputs ? o / stride : -1;
}

static vec gather(const struct conv_shape *s, const float *dy, const float *packed, int iy, int ix, int count)
{
    vec sum = vec_zero();
    for (int r = 0; r < s->kernel; r++) {
        int oy = output_of(iy, r, s->stride, s->pad, s->out_h);
        for (int t = 0; t < s->kernel && oy >= 0; t++) {
            int ox = output_of(ix, t, s->stride, s->pad, s->out_w);
            if (ox < 0)
                continue;
            const float *g = dy + ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out;
            sum = vec_fma(channels_load(g, count), vec_load(packed + (size_t)(r * s->kernel + t) * stride_of(s)),
                          sum);
        }
    }
    return sum;
}

static void run_data(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                     void *scratch)
{
    (void)scratch;
    for (int iy = 0; iy < s->h; iy++)
        for (int ix = 0; ix < s->w; ix++, dx += s->c)
            for (int k = 0; k < s->c; k += LANES) {
                int count = s->c - k;
                vec v = gather(s, dy + k, (const float *)packed + k, iy, ix, count);
                if (accumulate)
                    v = vec_add(v, channels_load(dx + k, count));
                channels_store(dx + k, count, v);
            }
}

const struct conv_f32_backward_data_kernel conv_f32_backward_data_grouped_neon_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = no_scratch, .run = run_data};

/* ---- by the weights ---- */

static int items(const struct conv_shape *s)
{
    return (s->out + LANES - 1) / LANES;
}

static size_t sums_bytes(const struct conv_shape *s)
{
    return shape_reduced(s) * LANES * sizeof(double);
}

/* One tap of one image: the sum over its output pixels of dy * x. */
static vec tap_sum(const struct conv_shape *s, const float *x, const float *dy, int r, int t, int count)
{
    vec sum = vec_zero();
    for (int oy = 0; oy < s->out_h; oy++) {
        int iy = oy * s->stride - s->pad + r;
        vec row = vec_zero();
        for (int ox = 0; ox < s->out_w && iy >= 0 && iy < s->h; ox++) {
            int ix = ox * s->stride - s->pad + t;
            if (ix < 0 || ix >= s->w)
                continue;
            row = vec_fma(channels_load(x + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c, count),
                          channels_load(dy + ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out, count),
                          row);
        }
        sum = vec_add(sum, row);
    }
    return sum;
}

static void run_weight(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                       void *scratch)
{
    double *sums = scratch;
    int first = item * LANES, taps = s->kernel * s->kernel;
    int count = s->out - first;
    memset(sums, 0, sums_bytes(s));
    for (int n = 0; n < images; n++, x += shape_inputs(s), dy += shape_outputs(s))
        for (int tap = 0; tap < taps; tap++) {
            float part[LANES];
            vec_store(part, tap_sum(s, x + first, dy + first, tap / s->kernel, tap % s->kernel, count));
            for (int k = 0; k < LANES; k++)
                sums[tap * LANES + k] += (double)part[k];
        }
    for (int k = 0; k < LANES && first + k < s->out; k++)
        for (int tap = 0; tap < taps; tap++)
            dw[(size_t)(first + k) * (size_t)taps + (size_t)tap] = (float)sums[tap * LANES + k];
}

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_grouped_neon_depthwise = {
    .supports = supports, .items = items, .scratch_bytes = sums_bytes, .run = run_weight};

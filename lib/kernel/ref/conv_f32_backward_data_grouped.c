/* Gradient of a convolution with groups by its input: the definition. Each input pixel gathers from the outputs that
 * saw it. */
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s) * sizeof(float);
}

/* [R,R,K/G,C]: the inputs lie side by side. */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    int inputs = shape_group_inputs(s), outputs = shape_group_outputs(s);
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int k = 0; k < outputs; k++)
                for (int c = 0; c < s->c; c++)
                    *to++ = weight[shape_weight_at(s, c / inputs * outputs + k, c % inputs, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return (size_t)s->c * sizeof(double);
}

/* The output coordinate whose tap r lies on input coordinate i, or -1. */
static int output_of(int i, int r, int stride, int pad, int outputs)
{
    int o = i + pad - r;
    return o >= 0 && o % stride == 0 && o / stride < outputs ? o / stride : -1;
}

/* One tap of one input pixel. dy [K], w [K/G,C] */
static void add_pixel(const struct conv_shape *s, const float *dy, const float *w, double *sum)
{
    int inputs = shape_group_inputs(s), outputs = shape_group_outputs(s);
    for (int k = 0; k < outputs; k++, w += s->c) {
        if (inputs == 1 && outputs == 1)
            for (int c = 0; c < s->c; c++)
                sum[c] += (double)dy[c] * (double)w[c];
        else
            for (int c = 0; c < s->c; c++)
                sum[c] += (double)dy[c / inputs * outputs + k] * (double)w[c];
    }
}

static void gather(const struct conv_shape *s, const float *dy, const float *w, int iy, int ix, double *sum)
{
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, w += (size_t)shape_group_outputs(s) * (size_t)s->c) {
            int oy = output_of(iy, r, s->stride, s->pad, s->out_h),
                ox = output_of(ix, t, s->stride, s->pad, s->out_w);
            if (oy >= 0 && ox >= 0)
                add_pixel(s, dy + ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out, w, sum);
        }
}

static void run(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                void *scratch)
{
    double *sum = scratch;
    for (int iy = 0; iy < s->h; iy++)
        for (int ix = 0; ix < s->w; ix++, dx += s->c) {
            memset(sum, 0, scratch_bytes(s));
            gather(s, dy, packed, iy, ix, sum);
            for (int c = 0; c < s->c; c++)
                dx[c] = (float)(accumulate ? (double)dx[c] + sum[c] : sum[c]);
        }
}

const struct conv_f32_backward_data_kernel conv_f32_backward_data_grouped_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

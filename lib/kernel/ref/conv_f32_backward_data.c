/* Gradient of a convolution by its input: the definition. Each input pixel gathers from the outputs that saw it. */
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s) * sizeof(float);
}

/* [R,R,K,C]: the inputs lie side by side. */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int k = 0; k < s->out; k++)
                for (int c = 0; c < s->c; c++)
                    *to++ = weight[shape_weight_at(s, k, c, r, t)];
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

static void gather(const struct conv_shape *s, const float *dy, const float *packed, int iy, int ix, double *sum)
{
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++) {
            int oy = output_of(iy, r, s->stride, s->pad, s->out_h),
                ox = output_of(ix, t, s->stride, s->pad, s->out_w);
            if (oy < 0 || ox < 0)
                continue;
            const float *g = dy + ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out;
            const float *w = packed + (size_t)(r * s->kernel + t) * (size_t)s->out * (size_t)s->c;
            for (int k = 0; k < s->out; k++, w += s->c)
                for (int c = 0; c < s->c; c++)
                    sum[c] += (double)g[k] * (double)w[c];
        }
}

static void run(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                void *scratch)
{
    double *sum = scratch;
    for (int iy = 0; iy < s->h; iy++)
        for (int ix = 0; ix < s->w; ix++, dx += s->c) {
            memset(sum, 0, (size_t)s->c * sizeof *sum);
            gather(s, dy, packed, iy, ix, sum);
            for (int c = 0; c < s->c; c++)
                dx[c] = (float)(accumulate ? (double)dx[c] + sum[c] : sum[c]);
        }
}

const struct conv_f32_backward_data_kernel conv_f32_backward_data_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

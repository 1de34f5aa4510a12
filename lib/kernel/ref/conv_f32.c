/* Convolution, forward: the definition. Sums in double, so that the result is the exact one to within its last
 * rounding. */
#include "kernel/list.h"
#include "kernel/shape.h"
#include <string.h>

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s) * sizeof(float);
}

/* [R,R,C,K]: the outputs lie side by side. */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int c = 0; c < s->c; c++)
                for (int k = 0; k < s->out; k++)
                    *to++ = weight[shape_weight_at(s, k, c, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return (size_t)s->out * sizeof(double);
}

static void add_pixel(const struct conv_shape *s, const float *x, const float *w, double *sum)
{
    for (int c = 0; c < s->c; c++, w += s->out)
        for (int k = 0; k < s->out; k++)
            sum[k] += (double)x[c] * (double)w[k];
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    double *sum = scratch;
    for (int oy = call->row_begin; oy < call->row_end; oy++)
        for (int ox = 0; ox < s->out_w; ox++) {
            size_t at = ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out;
            memset(sum, 0, (size_t)s->out * sizeof *sum);
            for (int r = 0; r < s->kernel; r++)
                for (int t = 0; t < s->kernel; t++) {
                    int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
                    if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
                        continue;
                    add_pixel(s, call->x + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c,
                              (const float *)call->packed +
                                  (size_t)(r * s->kernel + t) * (size_t)s->c * (size_t)s->out,
                              sum);
                }
            for (int k = 0; k < s->out; k++) {
                float v = (float)(sum[k] + (call->bias ? (double)call->bias[k] : 0.0) +
                                  (call->residual ? (double)call->residual[at + (size_t)k] : 0.0));
                call->y[at + (size_t)k] = call->relu ? relu_value(v) : v;
            }
        }
}

const struct conv_f32_kernel conv_f32_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

/* Convolution with groups, forward: the definition. Sums in double, as without groups. */
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s) * sizeof(float);
}

/* [R,R,C/G,K]: the outputs lie side by side. */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int c = 0; c < shape_group_inputs(s); c++)
                for (int k = 0; k < s->out; k++)
                    *to++ = weight[shape_weight_at(s, k, c, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return (size_t)s->out * sizeof(double);
}

/* One tap of one output pixel. x [C], w [C/G,K] */
static void add_pixel(const struct conv_shape *s, const float *x, const float *w, double *sum)
{
    int inputs = shape_group_inputs(s), outputs = shape_group_outputs(s);
    for (int c = 0; c < inputs; c++, w += s->out) {
        if (inputs == 1 && outputs == 1)
            for (int k = 0; k < s->out; k++)
                sum[k] += (double)x[k] * (double)w[k];
        else
            for (int k = 0; k < s->out; k++)
                sum[k] += (double)x[k / outputs * inputs + c] * (double)w[k];
    }
}

static void add_window(const struct conv_shape *s, const struct conv_f32_call *call, int image, int oy, int ox,
                       double *sum)
{
    const float *w = call->packed;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, w += (size_t)shape_group_inputs(s) * (size_t)s->out) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                add_pixel(s, call->x + layout_at(&call->x_at, image, iy, ix), w, sum);
        }
}

static void store(const struct conv_shape *s, const struct conv_f32_call *call, int image, int oy, int ox,
                  const double *sum)
{
    float *y = call->y + layout_at(&call->y_at, image, oy, ox);
    const float *residual = call->residual ? call->residual + layout_at(&call->residual_at, image, oy, ox) : NULL;
    for (int k = 0; k < s->out; k++) {
        float v =
            (float)(sum[k] + (call->bias ? (double)call->bias[k] : 0.0) + (residual ? (double)residual[k] : 0.0));
        y[k] = clamped_value(call->relu, call->clip, v);
    }
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    double *sum = scratch;
    for (int image = 0; image < call->images; image++)
        for (int oy = call->row_begin; oy < call->row_end; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                memset(sum, 0, scratch_bytes(s));
                add_window(s, call, image, oy, ox, sum);
                store(s, call, image, oy, ox, sum);
            }
}

const struct conv_f32_kernel conv_f32_grouped_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

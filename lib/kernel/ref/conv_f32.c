/* Convolution, forward: the definition. Sums in double, so that the result is the exact one to within its last
 * rounding. */
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

enum { OUTPUTS = 16 };

static size_t block_weights(const struct conv_shape *s)
{
    return shape_reduced(s) * OUTPUTS;
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * block_weights(s) * sizeof(float);
}

/* [ceil(K/16)][R,R,C,16], zeros beyond K: the outputs of a block lie side by side. */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        float *to = (float *)packed + (size_t)(k / OUTPUTS) * block_weights(s) + k % OUTPUTS;
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++)
                for (int c = 0; c < s->c; c++, to += OUTPUTS)
                    *to = weight[shape_weight_at(s, k, c, r, t)];
    }
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    (void)s;
    return 0;
}

static void add_pixel(const struct conv_shape *s, const float *x, const float *w, double *sum)
{
    for (int c = 0; c < s->c; c++, w += OUTPUTS)
        for (int k = 0; k < OUTPUTS; k++)
            sum[k] += (double)x[c] * (double)w[k];
}

/* The window of one output pixel, for one block of outputs. */
static void add_window(const struct conv_shape *s, const struct conv_f32_call *call, int image, int oy, int ox,
                       const float *w, double *sum)
{
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, w += (size_t)s->c * OUTPUTS) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                add_pixel(s, call->x + layout_at(&call->x_at, image, iy, ix), w, sum);
        }
}

static void store(const struct conv_f32_call *call, int image, int oy, int ox, const double *sum, int k_begin,
                  int k_end)
{
    float *y = call->y + layout_at(&call->y_at, image, oy, ox);
    const float *residual = call->residual ? call->residual + layout_at(&call->residual_at, image, oy, ox) : NULL;
    for (int k = k_begin; k < k_end; k++) {
        float v = (float)(sum[k - k_begin] + (call->bias ? (double)call->bias[k] : 0.0) +
                          (residual ? (double)residual[k] : 0.0));
        y[k] = clamped_value(call->relu, call->clip, v);
    }
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    (void)scratch;
    for (int image = 0; image < call->images; image++)
        for (int k = 0; k < s->out; k += OUTPUTS)
            for (int oy = call->row_begin; oy < call->row_end; oy++)
                for (int ox = 0; ox < s->out_w; ox++) {
                    double sum[OUTPUTS] = {0};
                    add_window(s, call, image, oy, ox,
                               (const float *)call->packed + (size_t)(k / OUTPUTS) * block_weights(s), sum);
                    store(call, image, oy, ox, sum, k, s->out - k < OUTPUTS ? s->out : k + OUTPUTS);
                }
}

const struct conv_f32_kernel conv_f32_ref_direct = {
    .out_grain = OUTPUTS, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

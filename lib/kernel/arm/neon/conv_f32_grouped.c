/* Depthwise convolution of floats: four channels of a pixel at a time, in one register through all of its taps. */
#include "kernel/list.h"
#include "kernel/arm/neon/depthwise_f32.h"

static size_t scratch_bytes(const struct conv_shape *s)
{
    (void)s;
    return 0;
}

/* The taps of an output pixel that lie on the map, and where they begin. */
struct window {
    int top, bottom, left, right; /* of the kernel: [top, bottom) x [left, right) */
    const float *x;               /* of tap (0,0), which may lie outside */
};

static vec window_sum(const struct conv_shape *s, const struct conv_f32_call *call, const struct window *w, int k,
                      int count)
{
    const float *weights = (const float *)call->packed + k;
    vec sum = call->bias ? channels_load(call->bias + k, count) : vec_zero();
    for (int r = w->top; r < w->bottom; r++)
        for (int t = w->left; t < w->right; t++) {
            const float *x = w->x + layout_at(&call->x_at, 0, r, t) + k;
            sum = vec_fma(channels_load(x, count), vec_load(weights + (size_t)(r * s->kernel + t) * stride_of(s)),
                          sum);
        }
    return sum;
}

static void run_pixel(const struct conv_shape *s, const struct conv_f32_call *call, const struct window *w,
                      int image, int oy, int ox)
{
    float *y = call->y + layout_at(&call->y_at, image, oy, ox);
    const float *residual = call->residual ? call->residual + layout_at(&call->residual_at, image, oy, ox) : NULL;
    for (int k = 0; k < s->out; k += LANES) {
        int count = s->out - k;
        vec v = window_sum(s, call, w, k, count);
        if (residual)
            v = vec_add(v, channels_load(residual + k, count));
        if (call->relu)
            v = vec_relu(v);
        channels_store(y + k, count, v);
    }
}

/* [begin, end) of the kernel's taps that lie on 0..size - 1. */
static void taps_of(const struct conv_shape *s, int first, int size, int *begin, int *end)
{
    *begin = first < 0 ? -first : 0;
    *end = size - first < s->kernel ? size - first : s->kernel;
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    (void)scratch;
    for (int image = 0; image < call->images; image++)
        for (int oy = call->row_begin; oy < call->row_end; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                int iy = oy * s->stride - s->pad, ix = ox * s->stride - s->pad;
                struct window w = {.x = call->x + layout_at(&call->x_at, image, iy, ix)};
                taps_of(s, iy, s->h, &w.top, &w.bottom);
                taps_of(s, ix, s->w, &w.left, &w.right);
                run_pixel(s, call, &w, image, oy, ox);
            }
}

const struct conv_f32_kernel conv_f32_grouped_neon_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

/* Gradient of a convolution by its input: one matrix product a block of pixels gives each window's gradient, col2im
 * adds them up. */
#include "kernel/blas/columns.h"
#include "kernel/list.h"
#include <string.h>

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s) * sizeof(float);
}

/* [K,R,R,C] */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    size_t taps = (size_t)(s->kernel * s->kernel);
    for (size_t k = 0; k < (size_t)s->out; k++)
        for (size_t c = 0; c < (size_t)s->c; c++)
            for (size_t tap = 0; tap < taps; tap++)
                to[(k * taps + tap) * (size_t)s->c + c] = *weight++;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return block_pixels(s) * shape_reduced(s) * sizeof(float);
}

static void window_add(const struct conv_shape *s, const float *window, size_t pixel, float *dx)
{
    int top = (int)(pixel / (size_t)s->out_w) * s->stride - s->pad;
    int left = (int)(pixel % (size_t)s->out_w) * s->stride - s->pad;
    for (int iy = top; iy < top + s->kernel; iy++)
        for (int ix = left; ix < left + s->kernel; ix++, window += s->c) {
            if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
                continue;
            float *to = dx + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c;
            for (int c = 0; c < s->c; c++)
                to[c] += window[c];
        }
}

static void run(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                void *scratch)
{
    float *columns = scratch;
    if (!accumulate)
        memset(dx, 0, shape_inputs(s) * sizeof *dx);
    for (size_t first = 0; first < shape_pixels(s); first += BLOCK_PIXELS) {
        size_t left = shape_pixels(s) - first, count = left < BLOCK_PIXELS ? left : BLOCK_PIXELS;
        blas_multiply(0, count, shape_reduced(s), (size_t)s->out, dy + first * (size_t)s->out, packed, 0, columns);
        for (size_t i = 0; i < count; i++)
            window_add(s, columns + i * shape_reduced(s), first + i, dx);
    }
}

const struct conv_f32_backward_data_kernel conv_f32_backward_data_blas_col2im = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

/* Convolution, forward: im2col and one matrix product a block of pixels. */
#include "kernel/blas/columns.h"
#include "kernel/list.h"

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s) * sizeof(float);
}

/* [R,R,C,K] */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    size_t taps = (size_t)(s->kernel * s->kernel);
    for (size_t k = 0; k < (size_t)s->out; k++)
        for (size_t c = 0; c < (size_t)s->c; c++)
            for (size_t tap = 0; tap < taps; tap++)
                to[(tap * (size_t)s->c + c) * (size_t)s->out + k] = *weight++;
}

static size_t columns_bytes(const struct conv_shape *s)
{
    return round_up_64(block_pixels(s) * shape_reduced(s) * sizeof(float));
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return columns_bytes(s) + block_pixels(s) * (size_t)s->out * sizeof(float);
}

static void epilogue(const struct conv_shape *s, const struct conv_f32_call *call, const float *sum, int image,
                     size_t pixel)
{
    int row = (int)(pixel / (size_t)s->out_w), col = (int)(pixel % (size_t)s->out_w);
    float *y = call->y + layout_at(&call->y_at, image, row, col);
    const float *residual = call->residual ? call->residual + layout_at(&call->residual_at, image, row, col) : NULL;
    for (int k = 0; k < s->out; k++) {
        float v = sum[k] + (call->bias ? call->bias[k] : 0.0f);
        if (residual)
            v += residual[k];
        y[k] = clamped_value(call->relu, call->clip, v);
    }
}

static void run_image(const struct conv_shape *s, const struct conv_f32_call *call, int image, float *columns,
                      float *sums)
{
    const float *x = call->x + layout_at(&call->x_at, image, 0, 0);
    size_t begin = (size_t)call->row_begin * (size_t)s->out_w, end = (size_t)call->row_end * (size_t)s->out_w;
    for (size_t first = begin / BLOCK_PIXELS * BLOCK_PIXELS; first < end; first += BLOCK_PIXELS) {
        size_t left = shape_pixels(s) - first, count = left < BLOCK_PIXELS ? left : BLOCK_PIXELS;
        columns_f32(s, x, &call->x_at, first, count, columns);
        blas_multiply(0, count, (size_t)s->out, shape_reduced(s), columns, call->packed, 0, sums);
        for (size_t i = first > begin ? first : begin; i < first + count && i < end; i++)
            epilogue(s, call, sums + (i - first) * (size_t)s->out, image, i);
    }
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    for (int image = 0; image < call->images; image++)
        run_image(s, call, image, scratch, (float *)(void *)((char *)scratch + columns_bytes(s)));
}

/* No cut by outputs: the last bits of a product depend on its width. */
const struct conv_f32_kernel conv_f32_blas_im2col = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

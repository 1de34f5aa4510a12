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

static void epilogue(const struct conv_shape *s, const struct conv_f32_call *call, const float *sum, size_t pixel)
{
    size_t at = pixel * (size_t)s->out;
    for (size_t k = 0; k < (size_t)s->out; k++) {
        float v = sum[k] + (call->bias ? call->bias[k] : 0.0f);
        if (call->residual)
            v += call->residual[at + k];
        call->y[at + k] = call->relu ? relu_value(v) : v;
    }
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    float *columns = scratch, *sums = (float *)(void *)((char *)scratch + columns_bytes(s));
    size_t begin = (size_t)call->row_begin * (size_t)s->out_w, end = (size_t)call->row_end * (size_t)s->out_w;
    for (size_t first = begin / BLOCK_PIXELS * BLOCK_PIXELS; first < end; first += BLOCK_PIXELS) {
        size_t left = shape_pixels(s) - first, count = left < BLOCK_PIXELS ? left : BLOCK_PIXELS;
        columns_f32(s, call->x, first, count, columns);
        blas_multiply(0, count, (size_t)s->out, shape_reduced(s), columns, call->packed, 0, sums);
        for (size_t i = first > begin ? first : begin; i < first + count && i < end; i++)
            epilogue(s, call, sums + (i - first) * (size_t)s->out, i);
    }
}

const struct conv_f32_kernel conv_f32_blas_im2col = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

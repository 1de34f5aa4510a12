/* Integer convolution by a float matrix product: exact, because the reduction is cut where the sum of |w| * |x -
 * zero point| could reach 2^24, below which every partial sum, in any order, is a float. The parts are added in
 * 32-bit integers. */
#include "kernel/blas/columns.h"
#include "kernel/list.h"
#include "kernel/contract/requantize.h"
#include <string.h>

#define EXACT 16777216.0f

/* packed: int32 ends[R*R*C] (of the parts, rising, the last R*R*C), then [R,R,C,K] floats. */
static size_t ends_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_reduced(s) * sizeof(int32_t));
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return ends_bytes(s) + shape_weights(s) * sizeof(float);
}

/* How far rows of weights from `begin` on can be added up exactly for output k. */
static size_t exact_end(const struct conv_shape *s, const float *w, size_t begin, size_t end, size_t k, float span)
{
    float sum = 0;
    for (size_t i = begin; i < end; i++) {
        sum += fabsf(w[i * (size_t)s->out + k]) * span;
        if (sum >= EXACT)
            return i;
    }
    return end;
}

static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed)
{
    (void)high_x;
    int32_t *ends = packed;
    float *w = (float *)(void *)((char *)packed + ends_bytes(s));
    size_t taps = (size_t)(s->kernel * s->kernel), reduced = shape_reduced(s);
    for (size_t k = 0; k < (size_t)s->out; k++)
        for (size_t c = 0; c < (size_t)s->c; c++)
            for (size_t tap = 0; tap < taps; tap++)
                w[(tap * (size_t)s->c + c) * (size_t)s->out + k] = *weight++;
    float span = zero_point_x > 127 ? zero_point_x : (float)(255 - zero_point_x);
    for (size_t begin = 0; begin < reduced;) {
        size_t end = reduced;
        for (size_t k = 0; k < (size_t)s->out; k++)
            end = exact_end(s, w, begin, end, k, span);
        *ends++ = (int32_t)end;
        begin = end;
    }
}

static size_t columns_bytes(const struct conv_shape *s)
{
    return round_up_64(block_pixels(s) * shape_reduced(s) * sizeof(float));
}

static size_t outputs_bytes(const struct conv_shape *s)
{
    return round_up_64(block_pixels(s) * (size_t)s->out * sizeof(float));
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return columns_bytes(s) + outputs_bytes(s) + outputs_bytes(s);
}

/* One part of the reduction, added to acc [count][K]. */
static void part_add(const struct conv_shape *s, const float *columns, const float *w, size_t begin, size_t end,
                     size_t count, float *sums, int32_t *acc)
{
    blas_open();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)count, s->out, (blasint)(end - begin), 1.0f,
                columns + begin, (blasint)shape_reduced(s), w + begin * (size_t)s->out, s->out, 0.0f, sums, s->out);
    for (size_t i = 0; i < count * (size_t)s->out; i++)
        acc[i] += (int32_t)sums[i];
}

static void run_image(const struct conv_shape *s, const struct conv_u8_call *call, int image, void *scratch)
{
    float *columns = scratch, *sums = (float *)(void *)((char *)columns + columns_bytes(s));
    int32_t *acc = (int32_t *)(void *)((char *)sums + outputs_bytes(s));
    const float *w = (const float *)(const void *)((const char *)call->packed + ends_bytes(s));
    const uint8_t *x = call->x + layout_at(&call->x_at, image, 0, 0);
    size_t past = (size_t)call->row_end * (size_t)s->out_w, k = (size_t)s->out;
    for (size_t first = (size_t)call->row_begin * (size_t)s->out_w; first < past; first += BLOCK_PIXELS) {
        size_t count = past - first < BLOCK_PIXELS ? past - first : BLOCK_PIXELS;
        columns_u8(s, x, &call->x_at, call->requantize->zero_point_x, first, count, columns);
        for (size_t i = 0; i < count; i++)
            memcpy(acc + i * k, call->requantize->bias, k * sizeof *acc);
        const int32_t *ends = call->packed;
        for (size_t begin = 0; begin < shape_reduced(s); begin = (size_t)*ends++)
            part_add(s, columns, w, begin, (size_t)*ends, count, sums, acc);
        for (size_t i = first; i < first + count; i++) {
            struct requantize_pointers at =
                requantize_at(call, image, (int)(i / (size_t)s->out_w), (int)(i % (size_t)s->out_w));
            requantize_pixel(call->requantize, &at, acc + (i - first) * k, 0, s->out);
        }
    }
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    for (int image = 0; image < call->images; image++)
        run_image(s, call, image, scratch);
}

/* The parts of the reduction are those of all outputs: no cut by outputs. */
const struct conv_u8_kernel conv_u8_blas_im2col = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

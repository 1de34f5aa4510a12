/* Depthwise integer convolution: eight channels of a pixel at a time, in two registers through all of its taps: a
 * code less the zero point and a weight are 16 bits each, multiplied into 32. */
#include "kernel/list.h"
#include "kernel/arm/neon/vector_u8_128.h"
#include "kernel/contract/shape.h"

enum { CHANNELS = 2 * LANES };

static int supports(const struct conv_shape *s)
{
    return shape_group_inputs(s) == 1 && shape_group_outputs(s) == 1;
}

static size_t stride_of(const struct conv_shape *s)
{
    return (size_t)((s->out + CHANNELS - 1) / CHANNELS * CHANNELS);
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_reduced(s) * stride_of(s) * sizeof(int16_t));
}

/* [R,R,C] in 16 bits, zeros beyond C */
static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed)
{
    int16_t *to = packed;
    (void)zero_point_x, (void)high_x;
    memset(packed, 0, packed_bytes(s));
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, to += stride_of(s))
            for (int k = 0; k < s->out; k++)
                to[k] = weight[shape_weight_at(s, k, 0, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    (void)s;
    return 0;
}

/* Codes; of the last channels of a tensor only those that are there. */
static uint8x8_t codes_load(const uint8_t *x, int count)
{
    uint8_t some[CHANNELS] = {0};
    if (count < CHANNELS) {
        memcpy(some, x, (size_t)count);
        x = some;
    }
    return vld1_u8(x);
}

/* The taps of an output pixel that lie on the map, and where they begin. */
struct window {
    int top, bottom, left, right; /* of the kernel: [top, bottom) x [left, right) */
    const uint8_t *x;             /* of tap (0,0), which may lie outside */
};

struct sums {
    vector low, high;
};

static struct sums window_sums(const struct conv_shape *s, const struct conv_u8_call *call, const struct window *w,
                               int k, int count)
{
    const int16_t *weights = (const int16_t *)call->packed + k;
    int32_t bias[CHANNELS] = {0};
    memcpy(bias, call->requantize->bias + k, (size_t)count * sizeof *bias);
    struct sums sums = {vector_load(bias), vector_load(bias + LANES)};
    uint8x8_t zero = vdup_n_u8(call->requantize->zero_point_x);
    for (int r = w->top; r < w->bottom; r++)
        for (int t = w->left; t < w->right; t++) {
            uint8x8_t codes = codes_load(w->x + layout_at(&call->x_at, 0, r, t) + k, count);
            int16x8_t x = vreinterpretq_s16_u16(vsubl_u8(codes, zero));
            int16x8_t tap = vld1q_s16(weights + (size_t)(r * s->kernel + t) * stride_of(s));
            sums.low = vmlal_s16(sums.low, vget_low_s16(x), vget_low_s16(tap));
            sums.high = vmlal_high_s16(sums.high, x, tap);
        }
    return sums;
}

static void run_pixel(const struct conv_shape *s, const struct conv_u8_call *call, const struct window *w,
                      const struct requantize_pointers *at, const struct epilogue *e)
{
    for (int k = 0; k < s->out; k += CHANNELS) {
        int count = s->out - k < CHANNELS ? s->out - k : CHANNELS;
        struct sums sums = window_sums(s, call, w, k, count);
        requantize_vector(e, at, sums.low, k, count < LANES ? count : LANES);
        if (count > LANES)
            requantize_vector(e, at, sums.high, k + LANES, count - LANES);
    }
}

/* [begin, end) of the kernel's taps that lie on 0..size - 1. */
static void taps_of(const struct conv_shape *s, int first, int size, int *begin, int *end)
{
    *begin = first < 0 ? -first : 0;
    *end = size - first < s->kernel ? size - first : s->kernel;
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    struct epilogue e = epilogue_of(call->requantize);
    (void)scratch;
    for (int image = 0; image < call->images; image++)
        for (int oy = call->row_begin; oy < call->row_end; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                int iy = oy * s->stride - s->pad, ix = ox * s->stride - s->pad;
                struct window w = {.x = call->x + layout_at(&call->x_at, image, iy, ix)};
                struct requantize_pointers at = requantize_at(call, image, oy, ox);
                taps_of(s, iy, s->h, &w.top, &w.bottom);
                taps_of(s, ix, s->w, &w.left, &w.right);
                run_pixel(s, call, &w, &at, &e);
            }
}

const struct conv_u8_kernel conv_u8_grouped_neon_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

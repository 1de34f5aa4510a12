/* Integer convolution: the definition that every conv_u8 equals bit for bit. */
#include "kernel/list.h"
#include "kernel/contract/requantize.h"
#include "kernel/contract/shape.h"
#include <string.h>

/* Weights in 16 bits: compilers multiply those in vectors on any machine. */
enum { OUTPUTS = 8 };

static size_t block_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_reduced(s) * OUTPUTS * sizeof(int16_t));
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * block_bytes(s);
}

/* [ceil(K/8)][R,R,C,8], zeros beyond K: the outputs of a block lie side by side. */
static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed)
{
    (void)zero_point_x, (void)high_x;
    memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        int16_t *to = (int16_t *)(void *)((char *)packed + (size_t)(k / OUTPUTS) * block_bytes(s)) + k % OUTPUTS;
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

static void add_pixel(const struct conv_shape *s, const uint8_t *x, int zero_point, const int16_t *w, int32_t *acc)
{
    for (int c = 0; c < s->c; c++, w += OUTPUTS) {
        int16_t value = (int16_t)(x[c] - zero_point);
        for (int k = 0; k < OUTPUTS; k++)
            acc[k] += value * w[k];
    }
}

/* The window of one output pixel, for one block of outputs. Padding is the zero point: it adds nothing. */
static void add_window(const struct conv_shape *s, const struct conv_u8_call *call, int image, int oy, int ox,
                       const int16_t *w, int32_t *acc)
{
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, w += (size_t)s->c * OUTPUTS) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                add_pixel(s, call->x + layout_at(&call->x_at, image, iy, ix), call->requantize->zero_point_x, w,
                          acc);
        }
}

static void run_block(const struct conv_shape *s, const struct conv_u8_call *call, int image, int k)
{
    const struct requantize *rq = call->requantize;
    const int16_t *w = (const void *)((const char *)call->packed + (size_t)(k / OUTPUTS) * block_bytes(s));
    int count = s->out - k < OUTPUTS ? s->out - k : OUTPUTS;
    for (int oy = call->row_begin; oy < call->row_end; oy++)
        for (int ox = 0; ox < s->out_w; ox++) {
            int32_t acc[OUTPUTS] = {0};
            memcpy(acc, rq->bias + k, (size_t)count * sizeof *acc);
            add_window(s, call, image, oy, ox, w, acc);
            struct requantize_pointers at = requantize_at(call, image, oy, ox);
            requantize_pixel(rq, &at, acc, k, k + count);
        }
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    (void)scratch;
    for (int image = 0; image < call->images; image++)
        for (int k = 0; k < s->out; k += OUTPUTS)
            run_block(s, call, image, k);
}

const struct conv_u8_kernel conv_u8_ref_direct = {
    .out_grain = OUTPUTS, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

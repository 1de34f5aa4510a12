/* Integer convolution: the definition that every conv_u8 equals bit for bit. */
#include "kernel/list.h"
#include "kernel/requantize.h"
#include "kernel/shape.h"
#include <string.h>

static size_t packed_bytes(const struct conv_shape *s)
{
    return shape_weights(s);
}

/* [R,R,C,K]: the outputs lie side by side. */
static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, void *packed)
{
    (void)zero_point_x;
    int8_t *to = packed;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int c = 0; c < s->c; c++)
                for (int k = 0; k < s->out; k++)
                    *to++ = weight[shape_weight_at(s, k, c, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return (size_t)s->out * sizeof(int32_t);
}

static void add_pixel(const struct conv_shape *s, const uint8_t *x, int zero_point, const int8_t *w, int32_t *acc)
{
    for (int c = 0; c < s->c; c++, w += s->out)
        for (int k = 0; k < s->out; k++)
            acc[k] += (x[c] - zero_point) * w[k];
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    int32_t *acc = scratch;
    for (int oy = call->row_begin; oy < call->row_end; oy++)
        for (int ox = 0; ox < s->out_w; ox++) {
            memcpy(acc, call->requantize->bias, (size_t)s->out * sizeof *acc);
            /* Padding is the zero point: it adds nothing. */
            for (int r = 0; r < s->kernel; r++)
                for (int t = 0; t < s->kernel; t++) {
                    int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
                    if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
                        continue;
                    add_pixel(s, call->x + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c,
                              call->requantize->zero_point_x,
                              (const int8_t *)call->packed +
                                  (size_t)(r * s->kernel + t) * (size_t)s->c * (size_t)s->out,
                              acc);
                }
            requantize_pixel(call, acc, 0, s->out, ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out);
        }
}

const struct conv_u8_kernel conv_u8_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

/* Integer convolution with groups: the definition. */
#include "kernel/list.h"
#include "kernel/contract/requantize.h"
#include "kernel/contract/shape.h"
#include <string.h>

/* Weights in 16 bits: compilers multiply those in vectors on any machine. */
static size_t packed_bytes(const struct conv_shape *s)
{
    return round_up_64(shape_weights(s) * sizeof(int16_t));
}

/* [R,R,C/G,K]: the outputs lie side by side. */
static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed)
{
    int16_t *to = packed;
    (void)zero_point_x, (void)high_x;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int c = 0; c < shape_group_inputs(s); c++)
                for (int k = 0; k < s->out; k++)
                    *to++ = weight[shape_weight_at(s, k, c, r, t)];
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return (size_t)s->out * sizeof(int32_t);
}

/* One tap of one output pixel. x [C], w [C/G,K] */
static void add_pixel(const struct conv_shape *s, const uint8_t *x, int zero_point, const int16_t *w, int32_t *acc)
{
    int inputs = shape_group_inputs(s), outputs = shape_group_outputs(s);
    for (int c = 0; c < inputs; c++, w += s->out) {
        if (inputs == 1 && outputs == 1)
            for (int k = 0; k < s->out; k++)
                acc[k] += (x[k] - zero_point) * w[k];
        else
            for (int k = 0; k < s->out; k++)
                acc[k] += (x[k / outputs * inputs + c] - zero_point) * w[k];
    }
}

/* Padding is the zero point: it adds nothing. */
static void add_window(const struct conv_shape *s, const struct conv_u8_call *call, int image, int oy, int ox,
                       int32_t *acc)
{
    const int16_t *w = call->packed;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++, w += (size_t)shape_group_inputs(s) * (size_t)s->out) {
            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
            if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                add_pixel(s, call->x + layout_at(&call->x_at, image, iy, ix), call->requantize->zero_point_x, w,
                          acc);
        }
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    int32_t *acc = scratch;
    for (int image = 0; image < call->images; image++)
        for (int oy = call->row_begin; oy < call->row_end; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                memcpy(acc, call->requantize->bias, scratch_bytes(s));
                add_window(s, call, image, oy, ox, acc);
                struct requantize_pointers at = requantize_at(call, image, oy, ox);
                requantize_pixel(call->requantize, &at, acc, 0, s->out);
            }
}

const struct conv_u8_kernel conv_u8_grouped_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

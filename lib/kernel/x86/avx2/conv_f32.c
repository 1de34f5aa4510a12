/* Convolution, forward, direct: one call of tiles_f32. */
#include "kernel/x86/avx2/tiles_f32.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"

static struct tiles_f32 tiles_of(const struct conv_shape *s)
{
    return (struct tiles_f32){.h = s->h,
                              .w = s->w,
                              .c = s->c,
                              .top = -s->pad,
                              .left = -s->pad,
                              .taps_h = s->kernel,
                              .taps_w = s->kernel,
                              .stride = s->stride,
                              .out = s->out,
                              .cols = s->out_w};
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return tiles_f32_packed_floats(s->kernel * s->kernel, s->c, s->out) * sizeof(float);
}

static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    for (int k0 = 0; k0 < s->out; k0 += TILE_OUTPUTS, to += shape_reduced(s) * TILE_OUTPUTS)
        for (int k = 0; k < TILE_OUTPUTS; k++)
            for (int c = 0; c < s->c; c++)
                for (int tap = 0; tap < s->kernel * s->kernel; tap++)
                    to[((size_t)tap * (size_t)s->c + (size_t)c) * TILE_OUTPUTS + (size_t)k] =
                        k0 + k < s->out ? *weight++ : 0.0f;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    struct tiles_f32 t = tiles_of(s);
    return tiles_f32_scratch_bytes(&t, s->out_h);
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    struct tiles_f32 t = tiles_of(s);
    t.x_row = call->x_at.row;
    t.x_pixel = call->x_at.pixel;
    t.border = call->x_at.border;
    t.packed = call->packed;
    t.bias = call->bias;
    t.residual_row = call->residual_at.row;
    t.residual_col = call->residual_at.pixel;
    t.relu = call->relu;
    t.y_row = call->y_at.row;
    t.y_col = call->y_at.pixel;
    for (int image = 0; image < call->images; image++) {
        t.x = call->x + layout_at(&call->x_at, image, 0, 0);
        t.residual = call->residual ? call->residual + layout_at(&call->residual_at, image, 0, 0) : NULL;
        t.y = call->y + layout_at(&call->y_at, image, 0, 0);
        tiles_f32_run(&t, call->row_begin, call->row_end, scratch);
    }
}

const struct conv_f32_kernel conv_f32_avx2_direct = {.out_grain = TILE_OUTPUTS,
                                                     .packed_bytes = packed_bytes,
                                                     .pack = pack,
                                                     .scratch_bytes = scratch_bytes,
                                                     .run = run};

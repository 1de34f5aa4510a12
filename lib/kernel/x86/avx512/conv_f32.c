/* Convolution, forward, direct: one call of tiles_f32. */
#include "kernel/x86/avx512/tiles_f32_512.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

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
                              .rows = s->out_h,
                              .cols = s->out_w};
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return tiles_f32_avx512_packed_floats(s->kernel * s->kernel, s->c, s->out) * sizeof(float);
}

static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    int taps = s->kernel * s->kernel;
    memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        size_t step;
        float *to = (float *)packed + tiles_f32_avx512_packed_at(taps, s->c, s->out, k, &step);
        for (int c = 0; c < s->c; c++)
            for (int tap = 0; tap < taps; tap++)
                to[((size_t)tap * (size_t)s->c + (size_t)c) * step] = *weight++;
    }
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    struct tiles_f32 t = tiles_of(s);
    return tiles_f32_avx512_scratch_bytes(&t);
}

static void run(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch)
{
    struct tiles_f32 t = tiles_of(s);
    t.images = call->images;
    t.x = call->x;
    t.x_at = call->x_at;
    t.packed = call->packed;
    t.bias = call->bias;
    t.residual = call->residual;
    t.residual_at = call->residual_at;
    t.relu = call->relu;
    t.clip = call->clip;
    t.y = call->y;
    t.y_at = call->y_at;
    tiles_f32_avx512_run(&t, call->row_begin, call->row_end, scratch);
}

const struct conv_f32_kernel conv_f32_avx512_direct = {.out_grain = TILE_OUTPUTS,
                                                       .packed_bytes = packed_bytes,
                                                       .pack = pack,
                                                       .scratch_bytes = scratch_bytes,
                                                       .run = run};

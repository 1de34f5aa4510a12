/* Gradient of a convolution by its input, direct. Input pixels whose coordinates leave the same remainders by the
 * stride see the same taps, so each such phase is a dense stride-1 correlation of dy with its share of the weights,
 * turned around: with stride 1 one phase, with stride 2 four, and no multiplication by an inserted zero. */
#include "kernel/x86/avx2/tiles_f32.h"
#include "kernel/list.h"
#include "kernel/contract/shape.h"
#include <string.h>

/* One dimension of a phase: tap j of `taps` is weight row last - j*stride; output i reads dy from row first + i. */
struct phase {
    int taps, last, first, count;
};

static struct phase phase_of(const struct conv_shape *s, int remainder, int inputs)
{
    int lowest = (remainder + s->pad) % s->stride;
    int taps = lowest < s->kernel ? (s->kernel - 1 - lowest) / s->stride + 1 : 0;
    int last = lowest + (taps - 1) * s->stride;
    return (struct phase){.taps = taps,
                          .last = last,
                          .first = (remainder + s->pad - last) / s->stride,
                          .count = inputs > remainder ? (inputs - remainder - 1) / s->stride + 1 : 0};
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return tiles_f32_packed_floats(s->kernel * s->kernel, s->out, s->c) * sizeof(float);
}

/* One phase's weights as tiles_f32 wants them: [ceil(C/16)][taps][taps][K][16]. */
static float *pack_phase(const struct conv_shape *s, struct phase row, struct phase col, const float *weight,
                         float *to)
{
    for (int c0 = 0; c0 < s->c; c0 += TILE_OUTPUTS)
        for (int r = 0; r < row.taps; r++)
            for (int t = 0; t < col.taps; t++)
                for (int k = 0; k < s->out; k++, to += TILE_OUTPUTS) {
                    const float *from =
                        weight + shape_weight_at(s, k, c0, row.last - r * s->stride, col.last - t * s->stride);
                    size_t step = (size_t)s->kernel * (size_t)s->kernel;
                    for (int c = 0; c < TILE_OUTPUTS; c++)
                        to[c] = c0 + c < s->c ? from[(size_t)c * step] : 0.0f;
                }
    return to;
}

static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    float *to = packed;
    for (int y = 0; y < s->stride; y++)
        for (int x = 0; x < s->stride; x++)
            to = pack_phase(s, phase_of(s, y, s->h), phase_of(s, x, s->w), weight, to);
}

static struct tiles_f32 tiles_of(const struct conv_shape *s, struct phase row, struct phase col)
{
    return (struct tiles_f32){.h = s->out_h,
                              .w = s->out_w,
                              .c = s->out,
                              .top = row.first,
                              .left = col.first,
                              .taps_h = row.taps,
                              .taps_w = col.taps,
                              .stride = 1,
                              .out = s->c,
                              .cols = col.count,
                              .x_row = (size_t)s->out_w * (size_t)s->out,
                              .x_pixel = (size_t)s->out,
                              .y_row = (size_t)s->stride * (size_t)s->w * (size_t)s->c,
                              .y_col = (size_t)s->stride * (size_t)s->c};
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    size_t most = 0;
    for (int y = 0; y < s->stride; y++)
        for (int x = 0; x < s->stride; x++) {
            struct phase row = phase_of(s, y, s->h), col = phase_of(s, x, s->w);
            struct tiles_f32 t = tiles_of(s, row, col);
            size_t bytes =
                row.taps && col.taps && row.count && col.count ? tiles_f32_scratch_bytes(&t, row.count) : 0;
            most = bytes > most ? bytes : most;
        }
    return most;
}

/* A phase that no tap reaches. */
static void clear(const struct tiles_f32 *t, int rows)
{
    for (int row = 0; row < rows; row++)
        for (int col = 0; col < t->cols; col++)
            memset(t->y + (size_t)row * t->y_row + (size_t)col * t->y_col, 0, (size_t)t->out * sizeof(float));
}

static void run(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                void *scratch)
{
    const float *weights = packed;
    for (int y = 0; y < s->stride; y++)
        for (int x = 0; x < s->stride; x++) {
            struct phase row = phase_of(s, y, s->h), col = phase_of(s, x, s->w);
            struct tiles_f32 t = tiles_of(s, row, col);
            t.x = dy;
            t.packed = weights;
            t.y = dx + ((size_t)y * (size_t)s->w + (size_t)x) * (size_t)s->c;
            t.residual = accumulate ? t.y : NULL;
            t.residual_row = t.y_row;
            t.residual_col = t.y_col;
            weights += tiles_f32_packed_floats(row.taps * col.taps, s->out, s->c);
            if (!row.count || !col.count)
                continue;
            if (row.taps && col.taps)
                tiles_f32_run(&t, 0, row.count, scratch);
            else if (!accumulate)
                clear(&t, row.count);
        }
}

const struct conv_f32_backward_data_kernel conv_f32_backward_data_avx2_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};

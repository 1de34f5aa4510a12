/* Training's convolutions, forward and by the input: the definition. The values are those of the planes; sums run
 * in double, so that the result is the exact one to within its last rounding. */
#include "kernel/ref/block_ref.h"

/* Packed: the weights as the planes hold them, f32 [taps][inputs][outputs], both rounded up to 32. */
size_t block_ref_packed_bytes(const struct block_conv *s, enum block_direction d)
{
    struct block_conv t = block_taps_of(s);
    (void)d;
    return (size_t)t.kernel * (size_t)t.kernel * (size_t)block_channels(t.c) * (size_t)block_channels(t.k) *
           sizeof(float);
}

int block_ref_pack_items(const struct block_conv *s)
{
    return block_channels(s->k) / BLOCK_CHANNELS;
}

static float rounded_to_planes(float v, int planes)
{
    bf16 p[BLOCK_PLANES] = {0};
    planes_store(v, p, 1, planes);
    return planes_load(p, 1, planes);
}

void block_ref_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward)
{
    struct block_conv t = block_taps_of(s);
    int taps = t.kernel * t.kernel, inputs = block_channels(t.c), outputs = block_channels(t.k);
    for (int k = item * BLOCK_CHANNELS; k < (item + 1) * BLOCK_CHANNELS; k++)
        for (int c = 0; c < inputs; c++)
            for (int tap = 0; tap < taps; tap++) {
                float v = 0;
                if (k < t.k && c < t.c)
                    v = rounded_to_planes(
                        weight[((size_t)k * (size_t)t.c + (size_t)c) * (size_t)taps + (size_t)tap], t.planes);
                size_t at = (size_t)tap * (size_t)inputs * (size_t)outputs;
                if (forward)
                    ((float *)forward)[at + (size_t)c * (size_t)outputs + (size_t)k] = v;
                if (backward)
                    ((float *)backward)[at + (size_t)k * (size_t)inputs + (size_t)c] = v;
            }
}

size_t block_ref_conv_scratch(const struct block_conv *s)
{
    struct block_conv t = block_taps_of(s);
    return BLOCK_IMAGES * (size_t)block_channels(t.c > t.k ? t.c : t.k) * sizeof(double);
}

/* One direction: from a map of `in` channels to a map of `out` channels, both rounded up. */
struct direction {
    struct block_conv s;
    int backward;
    int source_h, source_w, in, w, out;
};

static struct direction direction_of(const struct block_conv *s, enum block_direction d)
{
    struct block_conv t = block_taps_of(s);
    int c = block_channels(t.c), k = block_channels(t.k);
    if (d == BLOCK_FORWARD)
        return (struct direction){t, 0, t.h, t.w, c, t.out_w, k};
    return (struct direction){t, 1, t.out_h, t.out_w, k, t.w, c};
}

/* The row (or column) of the source that tap r brings to row `at` of the destination; -1: none. */
static int source_of(const struct direction *d, int at, int r, int size)
{
    int i = d->backward ? at + d->s.pad - r : at * d->s.stride - d->s.pad + r;
    if (d->backward && (i < 0 || i % d->s.stride != 0))
        return -1;
    if (d->backward)
        i /= d->s.stride;
    return i >= 0 && i < size ? i : -1;
}

/* sum [32 images][outputs] += the products of one pixel of the source with one tap's weights, one after the other; of
 * four inputs (there are a multiple of 32) before the sum goes back to memory. */
static void add_pixel(const struct direction *d, const struct block_conv_call *call, int pixel, const float *weight,
                      double *sum)
{
    int count = call->k_end - call->k_begin, out = d->out;
    weight += call->k_begin;
    for (int c = 0; c < d->in; c += 4, weight += 4 * out)
        for (int n = 0; n < BLOCK_IMAGES; n++) {
            double x[4], *to = sum + n * count;
            for (int i = 0; i < 4; i++)
                x[i] = (double)planes_load(call->x + block_at(pixel, d->in, d->s.planes, n, c + i), BLOCK_CELL,
                                           d->s.planes);
            for (int k = 0; k < count; k++)
                to[k] = to[k] + x[0] * (double)weight[k] + x[1] * (double)weight[k + out] +
                        x[2] * (double)weight[k + 2 * out] + x[3] * (double)weight[k + 3 * out];
        }
}

static void store_pixel(const struct direction *d, const struct block_conv_call *call, int pixel, const double *sum)
{
    for (int n = 0; n < BLOCK_IMAGES; n++)
        for (int k = call->k_begin; k < call->k_end; k++) {
            bf16 *y = call->y + block_at(pixel, d->out, d->s.planes, n, k);
            float v = (float)*sum++;
            if (call->accumulate)
                v += planes_load(y, BLOCK_CELL, d->s.planes);
            planes_store(v, y, BLOCK_CELL, d->s.planes);
            double stored = (double)planes_load(y, BLOCK_CELL, d->s.planes);
            if (call->sums) {
                call->sums[k] += stored;
                call->sums[d->out + k] += stored * stored;
            }
        }
}

void block_ref_conv(const struct block_conv *s, enum block_direction direction, const struct block_conv_call *call,
                    void *scratch)
{
    struct direction d = direction_of(s, direction);
    size_t weights = (size_t)d.in * (size_t)d.out, sums = BLOCK_IMAGES * (size_t)(call->k_end - call->k_begin);
    for (int k = call->k_begin; call->sums && k < call->k_end; k++)
        call->sums[k] = call->sums[d.out + k] = 0;
    for (int row = call->row_begin; row < call->row_end; row++)
        for (int column = 0; column < d.w; column++) {
            memset(scratch, 0, sums * sizeof(double));
            for (int tap = 0; tap < d.s.kernel * d.s.kernel; tap++) {
                int i = source_of(&d, row, tap / d.s.kernel, d.source_h);
                int j = source_of(&d, column, tap % d.s.kernel, d.source_w);
                if (i >= 0 && j >= 0)
                    add_pixel(&d, call, i * d.source_w + j, (const float *)call->packed + (size_t)tap * weights,
                              scratch);
            }
            store_pixel(&d, call, row * d.w + column, scratch);
        }
}

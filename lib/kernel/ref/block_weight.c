/* Gradient by the weights: the definition. All in the first round; an item is one output channel. */
#include "kernel/ref/block_parts.h"

size_t block_ref_weight_scratch(const struct block_conv *s)
{
    return (size_t)s->kernel * (size_t)s->kernel * (size_t)s->c * sizeof(double);
}

size_t block_ref_weight_shared_bytes(const struct block_conv *s, int blocks)
{
    (void)s, (void)blocks;
    return 0;
}

int block_ref_weight_items(const struct block_conv *s, int blocks, int round)
{
    (void)blocks;
    return round == 0 ? s->k : 0;
}

/* sum [taps][c] += dy * x over the inputs that one output value of one image has seen. */
static void add_output(const struct block_conv *t, const bf16 *x, int oy, int ox, int image, double dy, double *sum)
{
    for (int r = 0; r < t->kernel; r++)
        for (int q = 0; q < t->kernel; q++, sum += t->c) {
            int iy = oy * t->stride - t->pad + r, ix = ox * t->stride - t->pad + q;
            if (iy < 0 || iy >= t->h || ix < 0 || ix >= t->w)
                continue;
            for (int c = 0; c < t->c; c++)
                sum[c] += dy * (double)planes_load(x + block_at(iy * t->w + ix, t->c, t->planes, image, c),
                                                   BLOCK_CELL, t->planes);
        }
}

void block_ref_weight_gradient(const struct block_conv *s, const struct block_weight_call *call, int round,
                               int item, void *shared, void *scratch)
{
    struct block_conv t = block_taps_of(s);
    int taps = t.kernel * t.kernel;
    double *sum = scratch;
    (void)shared, (void)round;
    memset(sum, 0, block_ref_weight_scratch(s));
    for (int block = 0; block < call->blocks; block++) {
        const bf16 *x = call->x + (size_t)block * call->x_block, *dy = call->dy + (size_t)block * call->dy_block;
        for (int pixel = 0; pixel < t.out_h * t.out_w; pixel++)
            for (int n = 0; n < BLOCK_IMAGES; n++) {
                const bf16 *g = dy + block_at(pixel, t.k, t.planes, n, item);
                add_output(&t, x, pixel / t.out_w, pixel % t.out_w, n, (double)planes_load(g, BLOCK_CELL, t.planes),
                           sum);
            }
    }
    float *dw = call->dw + (size_t)item * (size_t)(t.c * taps);
    for (int c = 0; c < t.c; c++)
        for (int tap = 0; tap < taps; tap++)
            *dw++ = (float)sum[tap * t.c + c];
}

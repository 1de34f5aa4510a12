/* Gradient by the weights: the definition. All in the first round; an item is 32 output channels. */
#include "base/tree.h"
#include "kernel/ref/block_ref.h"

/* Of an item: [taps][c][32 outputs]. */
static size_t sums_count(const struct block_conv *s)
{
    return (size_t)s->kernel * (size_t)s->kernel * (size_t)s->c * BLOCK_CHANNELS;
}

/* A block's in double, then rows of the tree. */
size_t block_ref_weight_scratch(const struct block_conv *s)
{
    return sums_count(s) * (sizeof(double) + TREE_LEVELS * sizeof(float));
}

size_t block_ref_weight_shared_bytes(const struct block_conv *s, int blocks)
{
    (void)s, (void)blocks;
    return 0;
}

int block_ref_weight_items(const struct block_conv *s, int blocks, int round)
{
    (void)blocks;
    return round == 0 ? block_channels(s->k) / BLOCK_CHANNELS : 0;
}

/* sum [c][32] += x * dy over the images of one pixel of the input and one of the output. */
static void add_pixel(const struct block_conv *t, const bf16 *x, int pixel, double (*dy)[BLOCK_CHANNELS],
                      double *sum)
{
    for (int c = 0; c < t->c; c++, sum += BLOCK_CHANNELS)
        for (int n = 0; n < BLOCK_IMAGES; n++) {
            double v = (double)planes_load(x + block_at(pixel, t->c, t->planes, n, c), BLOCK_CELL, t->planes);
            for (int k = 0; k < BLOCK_CHANNELS; k++)
                sum[k] += v * dy[n][k];
        }
}

static void add_block(const struct block_conv *t, const bf16 *x, const bf16 *dy, int item, double *sum)
{
    double g[BLOCK_IMAGES][BLOCK_CHANNELS];
    for (int pixel = 0; pixel < t->out_h * t->out_w; pixel++) {
        for (int i = 0; i < BLOCK_CELL; i++) {
            int n = i / BLOCK_CHANNELS, k = i % BLOCK_CHANNELS;
            size_t at = block_at(pixel, t->k, t->planes, n, item * BLOCK_CHANNELS + k);
            g[n][k] = (double)planes_load(dy + at, BLOCK_CELL, t->planes);
        }
        for (int tap = 0; tap < t->kernel * t->kernel; tap++) {
            int y = pixel / t->out_w * t->stride - t->pad + tap / t->kernel;
            int column = pixel % t->out_w * t->stride - t->pad + tap % t->kernel;
            if (y >= 0 && y < t->h && column >= 0 && column < t->w)
                add_pixel(t, x, y * t->w + column, g, sum + tap * t->c * BLOCK_CHANNELS);
        }
    }
}

void block_ref_weight_gradient(const struct block_conv *s, const struct block_weight_call *call, int round,
                               int item, void *shared, void *scratch)
{
    struct block_conv t = block_taps_of(s);
    int taps = t.kernel * t.kernel;
    double *sum = scratch;
    size_t count = sums_count(s);
    float *rows = (float *)(void *)(sum + count);
    const struct tree_rows tree = {rows, rows + count, count};
    (void)shared, (void)round;
    for (int b = 0; b < call->blocks; b++) {
        float *row = tree_open(&tree, b);
        memset(sum, 0, count * sizeof *sum);
        add_block(&t, call->x + (size_t)b * call->x_block, call->dy + (size_t)b * call->dy_block, item, sum);
        tree_from_doubles(sum, count, row);
        tree_close(&tree, b);
    }
    tree_finish(&tree, call->blocks);
    for (int k = 0; k < BLOCK_CHANNELS && item * BLOCK_CHANNELS + k < t.k; k++) {
        float *dw = call->dw + (size_t)(item * BLOCK_CHANNELS + k) * (size_t)(t.c * taps);
        for (int c = 0; c < t.c; c++)
            for (int tap = 0; tap < taps; tap++)
                *dw++ = rows[(tap * t.c + c) * BLOCK_CHANNELS + k];
    }
}

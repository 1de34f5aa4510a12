/* The passes between training's convolutions: the definition. A value at a time; multiply-adds are fused. */
#include "kernel/ref/block_parts.h"
#include "kernel/contract/shape.h"
#include <math.h>

static float input_value(const struct block_conv *s, const uint8_t *image, const float *table, int y, int x, int c)
{
    if (y < 0 || y >= s->h || x < 0 || x >= s->w)
        return 0;
    return table[c * 256 + image[((size_t)y * (size_t)s->w + (size_t)x) * (size_t)s->c + (size_t)c]];
}

void block_ref_input(const struct block_conv *s, const uint8_t *const *images, int count, const float *table,
                     int row, bf16 *y)
{
    int side = s->window ? s->kernel : 1, width = s->window ? s->out_w : s->w, inputs = s->c * side * side;
    memset(y, 0, block_tensor_values(width, inputs, s->planes) * sizeof *y);
    for (int column = 0; column < width; column++)
        for (int n = 0; n < count; n++)
            for (int i = 0; i < inputs; i++) {
                int c = i / (side * side), r = i / side % side, t = i % side;
                int iy = s->window ? row * s->stride - s->pad + r : row;
                int ix = s->window ? column * s->stride - s->pad + t : column;
                planes_store(input_value(s, images[n], table, iy, ix, c),
                             y + block_at(column, inputs, s->planes, n, i), BLOCK_CELL, s->planes);
            }
}

/* Where value i of [pixels][c/32][32 images][32 channels] lies, and whose it is. */
struct place {
    size_t at;
    int channel, image;
    size_t word; /* of `positive` */
    int bit;
};

static struct place place_of(size_t i, int c, int planes)
{
    size_t cell = i / BLOCK_CELL, cells = (size_t)(c / BLOCK_CHANNELS), in = i % BLOCK_CELL;
    int bit = (int)(in % BLOCK_CHANNELS);
    return (struct place){.at = cell * (size_t)planes * BLOCK_CELL + in,
                          .channel = (int)(cell % cells) * BLOCK_CHANNELS + bit,
                          .image = (int)(in / BLOCK_CHANNELS),
                          .word = i / BLOCK_CHANNELS,
                          .bit = bit};
}

static size_t values_of(int pixels, int c)
{
    return (size_t)pixels * (size_t)c * BLOCK_IMAGES;
}

void block_ref_norm(const bf16 *x, int pixels, int c, int planes, int images, const float *scale,
                    const float *shift, const bf16 *other, int relu, bf16 *y, uint32_t *positive)
{
    for (size_t i = 0; i < values_of(pixels, c); i++) {
        struct place p = place_of(i, c, planes);
        float v = 0;
        if (p.image < images) {
            v = fmaf(planes_load(x + p.at, BLOCK_CELL, planes), scale ? scale[p.channel] : 1,
                     shift ? shift[p.channel] : 0);
            if (other)
                v += planes_load(other + p.at, BLOCK_CELL, planes);
            if (relu)
                v = relu_value(v);
        }
        planes_store(v, y + p.at, BLOCK_CELL, planes);
        if (positive && p.bit == 0)
            positive[p.word] = 0;
        if (positive && v > 0)
            positive[p.word] |= (uint32_t)1 << p.bit;
    }
}

/* dy where positive, else 0. */
static float gradient_at(const bf16 *dy, const uint32_t *positive, const struct place *p, int planes)
{
    if (positive && !(positive[p->word] >> p->bit & 1))
        return 0;
    return planes_load(dy + p->at, BLOCK_CELL, planes);
}

void block_ref_norm_backward_sums(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c,
                                  int planes, int images, const float *mean, const float *inv_std, double *sums)
{
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    for (size_t i = 0; i < values_of(pixels, c); i++) {
        struct place p = place_of(i, c, planes);
        if (p.image >= images)
            continue;
        double g = (double)gradient_at(dy, positive, &p, planes);
        double distance = (double)planes_load(x + p.at, BLOCK_CELL, planes) - (double)mean[p.channel];
        sums[p.channel] += g;
        sums[c + p.channel] += g * distance * (double)inv_std[p.channel];
    }
}

static void store_or_add(float v, bf16 *to, int planes, int accumulate)
{
    planes_store(accumulate ? v + planes_load(to, BLOCK_CELL, planes) : v, to, BLOCK_CELL, planes);
}

void block_ref_norm_backward(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c, int planes,
                             int images, const float *a, const float *b, const float *d, bf16 *dx, int accumulate,
                             bf16 *other, int accumulate_other)
{
    for (size_t i = 0; i < values_of(pixels, c); i++) {
        struct place p = place_of(i, c, planes);
        int real = p.image < images;
        float g = real ? gradient_at(dy, positive, &p, planes) : 0, v = g;
        if (a && real)
            v = fmaf(a[p.channel], g, fmaf(b[p.channel], planes_load(x + p.at, BLOCK_CELL, planes), d[p.channel]));
        if (other)
            store_or_add(g, other + p.at, planes, accumulate_other && real);
        if (dx)
            store_or_add(v, dx + p.at, planes, accumulate && real);
    }
}

void block_ref_pool(const bf16 *x, int pixels, int c_real, int planes, int images, float *y, int y_stride)
{
    for (int n = 0; n < images; n++)
        for (int c = 0; c < c_real; c++) {
            double sum = 0;
            for (int i = 0; i < pixels; i++)
                sum += (double)planes_load(x + block_at(i, c_real, planes, n, c), BLOCK_CELL, planes);
            y[(size_t)n * (size_t)y_stride + (size_t)c] = (float)(sum / pixels);
        }
}

void block_ref_pool_backward(const float *dy, int dy_stride, int pixels, int c_real, int planes, int images,
                             bf16 *dx, int accumulate)
{
    for (int i = 0; i < pixels; i++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int c = 0; c < block_channels(c_real); c++) {
                int real = n < images && c < c_real;
                float v = real ? dy[(size_t)n * (size_t)dy_stride + (size_t)c] / (float)pixels : 0;
                store_or_add(v, dx + block_at(i, c_real, planes, n, c), planes, accumulate && real);
            }
}

/* ---- codes ---- */

void block_ref_dequantize(const uint8_t *q, size_t q_image, int images, int pixels, int c, float scale,
                          uint8_t zero_point, int planes, bf16 *y)
{
    memset(y, 0, block_tensor_values(pixels, c, planes) * sizeof *y);
    for (int n = 0; n < images; n++)
        for (int p = 0; p < pixels; p++)
            for (int k = 0; k < c; k++)
                planes_store(scale *
                                 (float)(q[(size_t)n * q_image + (size_t)p * (size_t)c + (size_t)k] - zero_point),
                             y + block_at(p, c, planes, n, k), BLOCK_CELL, planes);
}

void block_ref_within(const float *v, size_t v_image, int images, int pixels, int c, float low, float high,
                      uint32_t *bits)
{
    size_t cells = (size_t)(block_channels(c) / BLOCK_CHANNELS);
    memset(bits, 0, (size_t)pixels * cells * BLOCK_IMAGES * sizeof *bits);
    for (int n = 0; n < images; n++)
        for (int p = 0; p < pixels; p++)
            for (int k = 0; k < c; k++) {
                float at = v[(size_t)n * v_image + (size_t)p * (size_t)c + (size_t)k];
                size_t word = ((size_t)p * cells + (size_t)(k / BLOCK_CHANNELS)) * BLOCK_IMAGES + (size_t)n;
                bits[word] |= (uint32_t)(at >= low && at <= high) << (k % BLOCK_CHANNELS);
            }
}

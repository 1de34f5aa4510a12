/* The passes between training's convolutions: the definition. A value at a time; multiply-adds are fused. */
#include "kernel/ref/block_ref.h"
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
    return (struct place){.at = cell * (size_t)planes * BLOCK_CELL + cell_offset((int)in, planes),
                          .channel = (int)(cell % cells) * BLOCK_CHANNELS + bit,
                          .image = (int)(in / BLOCK_CHANNELS),
                          .word = i / BLOCK_CHANNELS,
                          .bit = bit};
}

static size_t values_of(int pixels, int c)
{
    return (size_t)pixels * (size_t)c * BLOCK_IMAGES;
}

void block_ref_norm(const struct block_norm_call *call)
{
    int planes = call->map.planes, channels = block_channels(call->map.c);
    for (size_t i = 0; i < values_of(call->map.pixels, channels); i++) {
        struct place p = place_of(i, channels, planes);
        float v = 0;
        if (p.image < call->map.images) {
            v = fmaf(planes_load(call->x + p.at, BLOCK_CELL, planes), call->scale ? call->scale[p.channel] : 1,
                     call->shift ? call->shift[p.channel] : 0);
            if (call->other)
                v += planes_load(call->other + p.at, BLOCK_CELL, planes);
            if (call->relu)
                v = relu_value(v);
        }
        planes_store(v, call->y + p.at, BLOCK_CELL, planes);
        if (call->positive && p.bit == 0)
            call->positive[p.word] = 0;
        if (call->positive && v > 0)
            call->positive[p.word] |= (uint32_t)1 << p.bit;
    }
}

/* dy where positive, else 0. */
static float gradient_at(const bf16 *dy, const uint32_t *positive, const struct place *p, int planes)
{
    if (positive && !(positive[p->word] >> p->bit & 1))
        return 0;
    return planes_load(dy + p->at, BLOCK_CELL, planes);
}

void block_ref_norm_backward_sums(const struct block_norm_backward_call *call)
{
    int planes = call->map.planes, c = block_channels(call->map.c);
    double *sums = call->sums;
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    for (size_t i = 0; i < values_of(call->map.pixels, c); i++) {
        struct place p = place_of(i, c, planes);
        if (p.image >= call->map.images)
            continue;
        double g = (double)gradient_at(call->dy, call->positive, &p, planes);
        double distance = (double)planes_load(call->x + p.at, BLOCK_CELL, planes) - (double)call->mean[p.channel];
        sums[p.channel] += g;
        sums[c + p.channel] += g * distance * (double)call->inv_std[p.channel];
    }
}

static void store_or_add(float v, bf16 *to, int planes, int accumulate)
{
    planes_store(accumulate ? v + planes_load(to, BLOCK_CELL, planes) : v, to, BLOCK_CELL, planes);
}

void block_ref_norm_backward(const struct block_norm_backward_call *call)
{
    int planes = call->map.planes, c = block_channels(call->map.c);
    for (size_t i = 0; i < values_of(call->map.pixels, c); i++) {
        struct place p = place_of(i, c, planes);
        int real = p.image < call->map.images;
        float g = real ? gradient_at(call->dy, call->positive, &p, planes) : 0, v = g;
        if (call->a && real)
            v = fmaf(call->a[p.channel], g,
                     fmaf(call->b[p.channel], planes_load(call->x + p.at, BLOCK_CELL, planes), call->d[p.channel]));
        if (call->other)
            store_or_add(g, call->other + p.at, planes, call->accumulate_other && real);
        if (call->dx)
            store_or_add(v, call->dx + p.at, planes, call->accumulate && real);
    }
}

void block_ref_pool(const struct block_map *map, const bf16 *x, float *y, int y_stride)
{
    int pixels = map->pixels, planes = map->planes, images = map->images, c_real = map->c;
    for (int n = 0; n < images; n++)
        for (int c = 0; c < c_real; c++) {
            double sum = 0;
            for (int i = 0; i < pixels; i++)
                sum += (double)planes_load(x + block_at(i, c_real, planes, n, c), BLOCK_CELL, planes);
            y[(size_t)n * (size_t)y_stride + (size_t)c] = (float)(sum / pixels);
        }
}

void block_ref_pool_backward(const struct block_map *map, const float *dy, int dy_stride, bf16 *dx, int accumulate)
{
    int pixels = map->pixels, planes = map->planes, images = map->images, c_real = map->c;
    for (int i = 0; i < pixels; i++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int c = 0; c < block_channels(c_real); c++) {
                int real = n < images && c < c_real;
                float v = real ? dy[(size_t)n * (size_t)dy_stride + (size_t)c] / (float)pixels : 0;
                store_or_add(v, dx + block_at(i, c_real, planes, n, c), planes, accumulate && real);
            }
}

/* ---- codes ---- */

void block_ref_dequantize(const struct block_map *map, const uint8_t *q, size_t q_image, float scale,
                          uint8_t zero_point, bf16 *y)
{
    int pixels = map->pixels, planes = map->planes, images = map->images, c = map->c;
    memset(y, 0, block_tensor_values(pixels, c, planes) * sizeof *y);
    for (int n = 0; n < images; n++)
        for (int p = 0; p < pixels; p++)
            for (int k = 0; k < c; k++)
                planes_store(scale *
                                 (float)(q[(size_t)n * q_image + (size_t)p * (size_t)c + (size_t)k] - zero_point),
                             y + block_at(p, c, planes, n, k), BLOCK_CELL, planes);
}

void block_ref_within(const struct block_map *map, const float *v, size_t v_image, float low, float high,
                      uint32_t *bits)
{
    int pixels = map->pixels, images = map->images, c = map->c;
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

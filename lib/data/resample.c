/* resample.c: resizing in Pillow's arithmetic (its Resample.c, 8 bits a channel): every output pixel is a weighted
 * sum of those input pixels that the filter, widened by the factor of reduction, reaches; weights in fixed point; rows
 * first, rounded to 8 bits between the passes. */
#include "data/image.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

enum { PRECISION_BITS = 32 - 8 - 2 };

static double box_filter(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static double bilinear_filter(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double bicubic_filter(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static const struct {
    double (*at)(double x);
    double support;
} filters[] = {[FILTER_BOX] = {box_filter, 0.5},
               [FILTER_BILINEAR] = {bilinear_filter, 1},
               [FILTER_BICUBIC] = {bicubic_filter, 2}};

/* Along one side: output i is the sum of weights[i * most + k] * input[first[i] + k], k < count[i]. */
struct taps {
    int *first, *count, most;
    int32_t *weights;
    double *raw; /* [most] */
};

static void taps_free(struct taps *t)
{
    memory_free(t->first);
    memory_free(t->count);
    memory_free(t->weights);
    memory_free(t->raw);
}

static int32_t fixed(double weight)
{
    return (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << PRECISION_BITS));
}

/* The taps of output i, whose filter is `scale` input pixels wide where it is 1. */
static void taps_fill(struct taps *t, int i, double centre, double support, double scale, int size,
                      enum image_filter filter)
{
    double sum = 0;
    int first = (int)(centre - support + 0.5), last = (int)(centre + support + 0.5);
    first = first < 0 ? 0 : first;
    last = last > size ? size : last;
    t->first[i] = first;
    t->count[i] = last - first;
    for (int k = 0; k < last - first; k++) {
        t->raw[k] = filters[filter].at((k + first - centre + 0.5) * (1 / scale));
        sum += t->raw[k];
    }
    for (int k = 0; k < last - first; k++)
        t->weights[i * t->most + k] = fixed(sum != 0 ? t->raw[k] / sum : t->raw[k]);
}

/* From the stretch low..high of a side of `size` pixels to `out` pixels. */
static int taps_make(struct taps *t, int size, float low, float high, int out, enum image_filter filter,
                     struct message *m)
{
    double step = (double)(high - low) / out, scale = step < 1 ? 1 : step;
    double support = filters[filter].support * scale;
    t->most = (int)ceil(support) * 2 + 1;
    t->first = memory_new((size_t)out, sizeof *t->first, m);
    t->count = memory_new((size_t)out, sizeof *t->count, m);
    t->raw = memory_new((size_t)t->most, sizeof *t->raw, m);
    t->weights = memory_new((size_t)out * (size_t)t->most, sizeof *t->weights, m);
    if (!t->first || !t->count || !t->raw || !t->weights)
        return STATUS_NOMEM;
    for (int i = 0; i < out; i++)
        taps_fill(t, i, low + (i + 0.5) * step, support, scale, size, filter);
    return 0;
}

static uint8_t clip(int32_t sum)
{
    sum >>= PRECISION_BITS; /* arithmetic: towards minus infinity */
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* out [lines][outputs][channels]: along rows, where a tap is `channels` bytes from the next and a line `in_line`
 * from the next. */
static void pass_rows(const struct taps *t, const uint8_t *in, size_t in_line, uint8_t *out, int lines, int outputs,
                      int channels)
{
    for (int y = 0; y < lines; y++, in += in_line)
        for (int x = 0; x < outputs; x++)
            for (int c = 0; c < channels; c++) {
                int32_t sum = 1 << (PRECISION_BITS - 1);
                const uint8_t *from = in + t->first[x] * channels + c;
                for (int k = 0; k < t->count[x]; k++)
                    sum += from[k * channels] * t->weights[x * t->most + k];
                *out++ = clip(sum);
            }
}

/* Along columns: lines of `bytes` bytes each. */
static void pass_columns(const struct taps *t, const uint8_t *in, uint8_t *out, int outputs, size_t bytes)
{
    for (int y = 0; y < outputs; y++)
        for (size_t i = 0; i < bytes; i++) {
            int32_t sum = 1 << (PRECISION_BITS - 1);
            const uint8_t *from = in + (size_t)t->first[y] * bytes + i;
            for (int k = 0; k < t->count[y]; k++)
                sum += from[(size_t)k * bytes] * t->weights[y * t->most + k];
            *out++ = clip(sum);
        }
}

static int is_whole(float low, float high, int size, int out)
{
    return out == size && low == 0 && high == (float)size;
}

/* Columns of `in`, of `bytes` a line, into out; whole where they stay as they are. */
static int columns_run(const uint8_t *in, struct image_shape from, const float box[4], enum image_filter filter,
                       uint8_t *out, struct image_shape to, struct message *m)
{
    struct taps t = {0};
    size_t bytes = (size_t)to.width * (size_t)to.channels;
    if (is_whole(box[1], box[3], from.height, to.height)) {
        memcpy(out, in, bytes * (size_t)to.height);
        return 0;
    }
    int status = taps_make(&t, from.height, box[1], box[3], to.height, filter, m);
    if (status >= 0)
        pass_columns(&t, in, out, to.height, bytes);
    taps_free(&t);
    return status;
}

int image_resize(const uint8_t *in, struct image_shape from, const float box[4], enum image_filter filter,
                 uint8_t *out, struct image_shape to, struct message *m)
{
    const float all[4] = {0, 0, (float)from.width, (float)from.height};
    struct taps t = {0};
    box = box ? box : all;
    if (is_whole(box[0], box[2], from.width, to.width))
        return columns_run(in, from, box, filter, out, to, m);
    uint8_t *rows = memory_new_raw((size_t)from.height * (size_t)to.width, (size_t)to.channels, m);
    int status = rows ? taps_make(&t, from.width, box[0], box[2], to.width, filter, m) : STATUS_NOMEM;
    if (status >= 0) {
        size_t line = (size_t)from.width * (size_t)from.channels;
        pass_rows(&t, in, line, rows, from.height, to.width, to.channels);
        status = columns_run(rows, from, box, filter, out, to, m);
    }
    taps_free(&t);
    memory_free(rows);
    return status;
}

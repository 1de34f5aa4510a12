/* image_ops.c: the augmentations that move or cover pixels. */
#include "data/augment.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GREY = 128 };

static size_t row_bytes(struct image_shape s)
{
    return (size_t)s.width * (size_t)s.channels;
}

/* Where the padded position p (may lie outside a side of `side`) comes from; -1: from the zeros. */
static int source_of(int p, int side, enum pad_mode mode)
{
    if (p >= 0 && p < side)
        return p;
    if (mode == PAD_ZERO)
        return -1;
    return p < 0 ? -p : 2 * (side - 1) - p; /* the edge itself is not repeated */
}

static void pixels_reflect(struct image_shape s, const uint8_t *from, uint8_t *to, int begin, int end, int shift)
{
    size_t channels = (size_t)s.channels;
    for (int x = begin; x < end; x++)
        memcpy(to + (size_t)x * channels, from + (size_t)source_of(x + shift, s.width, PAD_REFLECT) * channels,
               channels);
}

void image_crop(struct image_shape s, const uint8_t *in, uint8_t *out, int pad, enum pad_mode mode, int top,
                int left)
{
    int shift = left - pad; /* column x of out is column x + shift of in: inside from `first` to before `last` */
    int first = shift < 0 ? -shift : 0, last = shift > 0 ? s.width - shift : s.width;
    size_t row = row_bytes(s), channels = (size_t)s.channels;
    for (int y = 0; y < s.height; y++) {
        int source = source_of(y + top - pad, s.height, mode);
        uint8_t *to = out + (size_t)y * row;
        if (source < 0 || mode == PAD_ZERO)
            memset(to, 0, row);
        if (source < 0)
            continue;
        const uint8_t *from = in + (size_t)source * row;
        if (first < last)
            memcpy(to + (size_t)first * channels, from + (size_t)(first + shift) * channels,
                   (size_t)(last - first) * channels);
        if (mode == PAD_REFLECT) {
            pixels_reflect(s, from, to, 0, first, shift);
            pixels_reflect(s, from, to, last, s.width, shift);
        }
    }
}

void image_flip(struct image_shape s, uint8_t *image)
{
    int channels = s.channels;
    for (int y = 0; y < s.height; y++) {
        uint8_t *left = image + (size_t)y * row_bytes(s), *right = left + row_bytes(s) - channels;
        for (; left < right; left += channels, right -= channels)
            for (int c = 0; c < channels; c++) {
                uint8_t held = left[c];
                left[c] = right[c];
                right[c] = held;
            }
    }
}

/* Multiples of a right angle are moves of whole pixels. turns: quarter turns counter-clockwise, 0..3; only of a
 * square 1 or 3. */
static void rotate_exactly(struct image_shape s, const uint8_t *in, uint8_t *out, int turns)
{
    size_t channels = (size_t)s.channels;
    for (int y = 0; y < s.height; y++)
        for (int x = 0; x < s.width; x++) {
            int from_y = turns == 1 ? x : turns == 2 ? s.height - 1 - y : turns == 3 ? s.height - 1 - x : y;
            int from_x = turns == 1 ? s.width - 1 - y : turns == 2 ? s.width - 1 - x : turns == 3 ? y : x;
            memcpy(out + (size_t)y * row_bytes(s) + (size_t)x * channels,
                   in + (size_t)from_y * row_bytes(s) + (size_t)from_x * channels, channels);
        }
}

/* To 15 decimals, as Python's round does: by the exact decimal expansion. */
static double round_15(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.15f", value);
    return strtod(text, NULL);
}

static int64_t fixed_16(double value)
{
    return (int64_t)floor(value * 65536.0 + 0.5);
}

void image_rotate(struct image_shape s, const uint8_t *in, uint8_t *out, double degrees)
{
    double angle = fmod(degrees, 360.0);
    if (angle < 0)
        angle += 360.0;
    if (fmod(angle, 90.0) == 0 && (s.width == s.height || fmod(angle, 180.0) == 0)) {
        rotate_exactly(s, in, out, (int)(angle / 90.0) % 4);
        return;
    }
    const double cx = s.width / 2.0, cy = s.height / 2.0, radians = -(angle * (3.14159265358979323846 / 180.0));
    double c = round_15(cos(radians)), sine = round_15(sin(radians));
    double x0 = c * -cx + sine * -cy + cx, y0 = -sine * -cx + c * -cy + cy;
    int64_t xx = fixed_16(x0 + c * 0.5 + sine * 0.5), yy = fixed_16(y0 + -sine * 0.5 + c * 0.5);
    int64_t dx = fixed_16(c), dy = fixed_16(-sine), row_dx = fixed_16(sine), row_dy = fixed_16(c);
    size_t channels = (size_t)s.channels;
    for (int y = 0; y < s.height; y++, xx += row_dx, yy += row_dy) {
        int64_t xs = xx, ys = yy;
        uint8_t *to = out + (size_t)y * row_bytes(s);
        for (int x = 0; x < s.width; x++, to += channels, xs += dx, ys += dy) {
            int64_t from_x = xs >> 16, from_y = ys >> 16; /* arithmetic: towards minus infinity */
            if (from_x >= 0 && from_x < s.width && from_y >= 0 && from_y < s.height)
                memcpy(to, in + (size_t)from_y * row_bytes(s) + (size_t)from_x * channels, channels);
            else
                memset(to, 0, channels);
        }
    }
}

void image_cutout(struct image_shape s, uint8_t *image, int side, int centre_row, int centre_column)
{
    int top = centre_row - side / 2, left = centre_column - side / 2;
    int bottom = top + side, right = left + side;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    bottom = bottom > s.height ? s.height : bottom;
    right = right > s.width ? s.width : right;
    for (int y = top; y < bottom && left < right; y++)
        memset(image + (size_t)y * row_bytes(s) + left * s.channels, GREY, (size_t)((right - left) * s.channels));
}

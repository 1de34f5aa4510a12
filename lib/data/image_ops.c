/* image_ops.c: the augmentations that move or cover pixels. */
#include "data/augment.h"
#include "data/dataset.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = IMAGE_SIDE, ROW = 3 * IMAGE_SIDE, GREY = 128 };

/* Where the padded position p (may lie outside) comes from; -1: from the zeros. */
static int source_of(int p, enum pad_mode mode)
{
    if (p >= 0 && p < SIDE)
        return p;
    if (mode == PAD_ZERO)
        return -1;
    return p < 0 ? -p : 2 * (SIDE - 1) - p; /* the edge itself is not repeated */
}

static void pixels_reflect(const uint8_t *from, uint8_t *to, int begin, int end, int shift)
{
    for (int x = begin; x < end; x++)
        memcpy(to + 3 * x, from + 3 * source_of(x + shift, PAD_REFLECT), 3);
}

void image_crop(const uint8_t *in, uint8_t *out, int pad, enum pad_mode mode, int top, int left)
{
    int shift = left - pad; /* column x of out is column x + shift of in: inside from `first` to before `last` */
    int first = shift < 0 ? -shift : 0, last = shift > 0 ? SIDE - shift : SIDE;
    for (int y = 0; y < SIDE; y++) {
        int row = source_of(y + top - pad, mode);
        uint8_t *to = out + y * ROW;
        if (row < 0 || mode == PAD_ZERO)
            memset(to, 0, ROW);
        if (row < 0)
            continue;
        const uint8_t *from = in + row * ROW;
        memcpy(to + 3 * first, from + 3 * (first + shift), (size_t)(3 * (last - first)));
        if (mode == PAD_REFLECT) {
            pixels_reflect(from, to, 0, first, shift);
            pixels_reflect(from, to, last, SIDE, shift);
        }
    }
}

void image_flip(uint8_t *image)
{
    for (int y = 0; y < SIDE; y++) {
        uint8_t *left = image + y * ROW, *right = left + ROW - 3;
        for (; left < right; left += 3, right -= 3)
            for (int c = 0; c < 3; c++) {
                uint8_t held = left[c];
                left[c] = right[c];
                right[c] = held;
            }
    }
}

/* Multiples of a right angle are moves of whole pixels. turns: quarter turns counter-clockwise, 0..3. */
static void rotate_exactly(const uint8_t *in, uint8_t *out, int turns)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int from_y = y, from_x = x;
            for (int i = 0; i < turns; i++) {
                int held = from_y;
                from_y = from_x;
                from_x = SIDE - 1 - held;
            }
            memcpy(out + y * ROW + 3 * x, in + from_y * ROW + 3 * from_x, 3);
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

void image_rotate(const uint8_t *in, uint8_t *out, double degrees)
{
    double angle = fmod(degrees, 360.0);
    if (angle < 0)
        angle += 360.0;
    if (fmod(angle, 90.0) == 0) {
        rotate_exactly(in, out, (int)(angle / 90.0) % 4);
        return;
    }
    const double centre = SIDE / 2.0, radians = -(angle * (3.14159265358979323846 / 180.0));
    double c = round_15(cos(radians)), s = round_15(sin(radians));
    double x0 = c * -centre + s * -centre + centre, y0 = -s * -centre + c * -centre + centre;
    int64_t xx = fixed_16(x0 + c * 0.5 + s * 0.5), yy = fixed_16(y0 + -s * 0.5 + c * 0.5);
    int64_t dx = fixed_16(c), dy = fixed_16(-s), row_dx = fixed_16(s), row_dy = fixed_16(c);
    for (int y = 0; y < SIDE; y++, xx += row_dx, yy += row_dy) {
        int64_t xs = xx, ys = yy;
        uint8_t *to = out + y * ROW;
        for (int x = 0; x < SIDE; x++, to += 3, xs += dx, ys += dy) {
            int64_t from_x = xs >> 16, from_y = ys >> 16; /* arithmetic: towards minus infinity */
            if (from_x >= 0 && from_x < SIDE && from_y >= 0 && from_y < SIDE)
                memcpy(to, in + from_y * ROW + from_x * 3, 3);
            else
                memset(to, 0, 3);
        }
    }
}

void image_cutout(uint8_t *image, int side, int centre_row, int centre_column)
{
    int top = centre_row - side / 2, left = centre_column - side / 2;
    int bottom = top + side, right = left + side;
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    bottom = bottom > SIDE ? SIDE : bottom;
    right = right > SIDE ? SIDE : right;
    for (int y = top; y < bottom && left < right; y++)
        memset(image + y * ROW + 3 * left, GREY, (size_t)(3 * (right - left)));
}

/* image_color.c: the augmentations that change colours. Every type and cast counts: the bytes are those of 8-bit
 * image libraries that blend in float and convert to and from 8-bit HSV. */
#include "data/augment.h"
#include <math.h>

static int pixels_of(struct image_shape s)
{
    return s.height * s.width;
}

/* from + factor * (to - from): between the two truncated, beyond them clipped first. */
static uint8_t blend(int from, int to, float factor)
{
    float value = (float)from + factor * (float)(to - from);
    return value <= 0.0f ? 0 : value >= 255.0f ? 255 : (uint8_t)value;
}

static int luma(const uint8_t *pixel)
{
    return (19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 32768) >> 16;
}

/* Every byte moved away from, or towards, the same grey. */
static void blend_constant(struct image_shape s, uint8_t *image, int grey, double factor)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = blend(grey, i, (float)factor);
    for (size_t i = 0; i < image_shape_bytes(s); i++)
        image[i] = table[image[i]];
}

void image_brightness(struct image_shape s, uint8_t *image, double factor)
{
    blend_constant(s, image, 0, factor);
}

void image_contrast(struct image_shape s, uint8_t *image, double factor)
{
    int sum = 0, pixels = pixels_of(s); /* at most 2^18 * 255 */
    for (int i = 0; i < pixels; i++)
        sum += s.channels == 1 ? image[i] : luma(image + 3 * i);
    blend_constant(s, image, (sum + pixels / 2) / pixels, factor);
}

void image_saturation(struct image_shape s, uint8_t *image, double factor)
{
    for (int i = 0; i < pixels_of(s) && s.channels == 3; i++) {
        uint8_t *pixel = image + 3 * i;
        int grey = luma(pixel);
        for (int c = 0; c < 3; c++)
            pixel[c] = blend(grey, pixel[c], (float)factor);
    }
}

/* ---- hue ---- */

static int clip_8(int value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* Hue and saturation of a pixel that is not grey. high, low: its largest and smallest channel. */
static void hue_saturation(const uint8_t *pixel, int high, int low, int *hue, int *saturation)
{
    float range = (float)(high - low);
    float red = (float)(high - pixel[0]) / range, green = (float)(high - pixel[1]) / range,
          blue = (float)(high - pixel[2]) / range, h;
    if (pixel[0] == high)
        h = blue - green;
    else if (pixel[1] == high)
        h = (float)(2.0 + (double)red - (double)blue);
    else
        h = (float)(4.0 + (double)green - (double)red);
    double turns = (double)h / 6.0 + 1.0; /* in [5/6, 11/6] */
    h = (float)(turns < 1.0 ? turns : turns - 1.0);
    *hue = clip_8((int)((double)h * 255.0));
    *saturation = clip_8((int)((double)(range / (float)high) * 255.0));
}

/* A hue's sixth of the circle and its place within. */
struct sector {
    int index;
    float place;
};

static void sectors_make(struct sector sectors[256])
{
    for (int h = 0; h < 256; h++) {
        double sixths = (double)h * 6.0 / 255.0;
        sectors[h].index = (int)floor(sixths);
        sectors[h].place = (float)(sixths - (double)sectors[h].index);
    }
}

/* Rounded; neither factor is negative, so that truncation is floor. */
static uint8_t shade(int value, double part)
{
    return (uint8_t)clip_8((int)((double)value * part + 0.5));
}

static void pixel_set(uint8_t *pixel, uint8_t red, uint8_t green, uint8_t blue)
{
    pixel[0] = red;
    pixel[1] = green;
    pixel[2] = blue;
}

static void from_hsv(uint8_t *pixel, struct sector s, int saturation, uint8_t v)
{
    float fs = (float)((double)saturation / 255.0);
    uint8_t p = shade(v, 1.0 - (double)fs);
    uint8_t q = shade(v, 1.0 - (double)(fs * s.place));
    uint8_t t = shade(v, 1.0 - (double)fs * (1.0 - (double)s.place));
    switch (s.index % 6) {
    case 0:
        pixel_set(pixel, v, t, p);
        break;
    case 1:
        pixel_set(pixel, q, v, p);
        break;
    case 2:
        pixel_set(pixel, p, v, t);
        break;
    case 3:
        pixel_set(pixel, p, q, v);
        break;
    case 4:
        pixel_set(pixel, t, p, v);
        break;
    default:
        pixel_set(pixel, v, p, q);
        break;
    }
}

void image_hue(struct image_shape s, uint8_t *image, double shift)
{
    struct sector sectors[256];
    int steps = (int)(shift * 255.0);
    sectors_make(sectors);
    for (int i = 0; i < pixels_of(s) && s.channels == 3; i++) {
        uint8_t *pixel = image + 3 * i;
        int r = pixel[0], g = pixel[1], b = pixel[2], hue, saturation;
        int high = r > g ? (r > b ? r : b) : (g > b ? g : b), low = r < g ? (r < b ? r : b) : (g < b ? g : b);
        if (high == low)
            continue; /* grey stays grey whatever its hue */
        hue_saturation(pixel, high, low, &hue, &saturation);
        if (saturation == 0)
            pixel_set(pixel, (uint8_t)high, (uint8_t)high, (uint8_t)high);
        else
            from_hsv(pixel, sectors[(hue + steps) & 255], saturation, (uint8_t)high);
    }
}

/* image.c: shapes as text, and what makes one picture's shape another's. */
#include "data/image.h"
#include "base/memory.h"
#include "base/text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void image_shape_print(struct image_shape s, char out[IMAGE_SHAPE_SIZE])
{
    snprintf(out, IMAGE_SHAPE_SIZE, "u8[%d,%d,%d]", s.height, s.width, s.channels);
}

int image_shape_check(struct image_shape s, struct message *m)
{
    if (s.height < IMAGE_LEAST_SIDE || s.height > IMAGE_MOST_SIDE || s.width < IMAGE_LEAST_SIDE ||
        s.width > IMAGE_MOST_SIDE)
        return message_set(m, STATUS_RANGE, "pictures of %dx%d, want sides of %d to %d", s.height, s.width,
                           IMAGE_LEAST_SIDE, IMAGE_MOST_SIDE);
    if (s.channels != 1 && s.channels != 3)
        return message_set(m, STATUS_RANGE, "pictures of %d channels, want 1 or 3", s.channels);
    return 0;
}

int image_size_parse(const char *text, struct image_shape *s, struct message *m)
{
    char word[16];
    int64_t sides[2];
    size_t length = strcspn(text, "x");
    const char *second = text[length] ? text + length + 1 : text;
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), text);
    if (length >= sizeof word || parse_integer(word, IMAGE_LEAST_SIDE, IMAGE_MOST_SIDE, "", &sides[0], NULL) < 0 ||
        parse_integer(second, IMAGE_LEAST_SIDE, IMAGE_MOST_SIDE, "", &sides[1], NULL) < 0)
        return message_set(m, STATUS_RANGE, "'%.32s' is no HEIGHTxWIDTH of %d to %d", text, IMAGE_LEAST_SIDE,
                           IMAGE_MOST_SIDE);
    s->height = (int)sides[0];
    s->width = (int)sides[1];
    return 0;
}

int image_input_parse(const char *text, struct image_shape *s, struct message *m)
{
    const char *first = strchr(text, 'x'), *second = first ? strchr(first + 1, 'x') : NULL;
    char size[16];
    int64_t channels = 3;
    size_t length = second ? (size_t)(second - text) : strlen(text);
    length = length < sizeof size ? length : sizeof size - 1;
    memcpy(size, text, length);
    size[length] = '\0';
    TRY(image_size_parse(size, s, m));
    if (second && (parse_integer(second + 1, 1, 3, "", &channels, NULL) < 0 || channels == 2))
        return message_set(m, STATUS_RANGE, "'%.32s' has neither 1 nor 3 channels", text);
    s->channels = (int)channels;
    return 0;
}

void image_recolour(const uint8_t *in, int channels, uint8_t *out, int want, size_t pixels)
{
    if (channels == want) {
        memmove(out, in, pixels * (size_t)want);
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        if (want == 1)
            out[i] = (uint8_t)((19595 * in[3 * i] + 38470 * in[3 * i + 1] + 7471 * in[3 * i + 2] + 32768) >> 16);
        else
            out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = in[i];
    }
}

void planes_to_pixels(const uint8_t *planes, struct image_shape s, uint8_t *pixels)
{
    size_t plane = (size_t)s.height * (size_t)s.width, channels = (size_t)s.channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < plane; i++)
            pixels[channels * i + c] = planes[c * plane + i];
}

void pixels_to_planes(const uint8_t *pixels, struct image_shape s, uint8_t *planes)
{
    size_t plane = (size_t)s.height * (size_t)s.width, channels = (size_t)s.channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < plane; i++)
            planes[c * plane + i] = pixels[channels * i + c];
}

/* ---- fitting ---- */

/* The largest part of the picture that has the wanted proportions, from its middle. */
static void crop_box(struct image_shape from, struct image_shape to, float box[4])
{
    double width = from.width, height = from.height, ratio = width / height, want = (double)to.width / to.height;
    if (ratio > want)
        width = want * height;
    else if (ratio < want)
        height = width / want;
    double left = (from.width - width) * 0.5, top = (from.height - height) * 0.5;
    box[0] = (float)left;
    box[1] = (float)top;
    box[2] = (float)(left + width);
    box[3] = (float)(top + height);
}

/* The largest size of the picture's own proportions within `to`. */
static struct image_shape contained(struct image_shape from, struct image_shape to)
{
    double ratio = (double)from.width / from.height, want = (double)to.width / to.height;
    if (ratio > want)
        to.height = (int)nearbyint((double)from.height / from.width * to.width);
    else if (ratio < want)
        to.width = (int)nearbyint(ratio * to.height);
    to.height = to.height < 1 ? 1 : to.height;
    to.width = to.width < 1 ? 1 : to.width;
    return to;
}

static int pad(const uint8_t *in, struct image_shape from, enum image_filter filter, uint8_t *out,
               struct image_shape to, struct message *m)
{
    struct image_shape inner = contained(from, to);
    size_t row = (size_t)inner.width * (size_t)to.channels, whole = (size_t)to.width * (size_t)to.channels;
    uint8_t *small = memory_new_raw(image_shape_bytes(inner), 1, m);
    if (!small)
        return STATUS_NOMEM;
    int status = image_resize(in, from, NULL, filter, small, inner, m);
    size_t left = (size_t)nearbyint((to.width - inner.width) * 0.5) * (size_t)to.channels;
    size_t top = (size_t)nearbyint((to.height - inner.height) * 0.5);
    memset(out, 0, image_shape_bytes(to));
    for (size_t y = 0; y < (size_t)inner.height && status >= 0; y++)
        memcpy(out + (top + y) * whole + left, small + y * row, row);
    memory_free(small);
    return status;
}

int image_fit(const uint8_t *in, struct image_shape from, enum image_fit fit, enum image_filter filter,
              uint8_t *out, struct image_shape to, struct message *m)
{
    float box[4];
    if (fit == FIT_PAD)
        return pad(in, from, filter, out, to, m);
    if (fit == FIT_CROP)
        crop_box(from, to, box);
    return image_resize(in, from, fit == FIT_CROP ? box : NULL, filter, out, to, m);
}

int image_convert(const uint8_t *in, struct image_shape from, const struct image_wish *wish, uint8_t *out,
                  struct image_shape to, struct message *m)
{
    size_t pixels = (size_t)from.height * (size_t)from.width;
    if (from.height == to.height && from.width == to.width) {
        image_recolour(in, from.channels, out, to.channels, pixels);
        return 0;
    }
    uint8_t *recoloured = memory_new_raw(pixels, (size_t)to.channels, m);
    if (!recoloured)
        return STATUS_NOMEM;
    image_recolour(in, from.channels, recoloured, to.channels, pixels);
    from.channels = to.channels;
    int status = image_fit(recoloured, from, wish->fit, wish->filter, out, to, m);
    memory_free(recoloured);
    return status;
}

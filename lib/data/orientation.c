/* orientation.c: how a camera was held, as Exif says it. */
#include "data/picture.h"
#include "base/memory.h"
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12, TIFF_HEADER = 8 };

/* A number of 2 or 4 bytes. */
static uint32_t number_at(const uint8_t *p, int bytes, int is_big)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * (is_big ? bytes - 1 - i : i);
    return value;
}

int exif_orientation(const uint8_t *exif, size_t count)
{
    if (count < TIFF_HEADER || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0))
        return 1;
    int is_big = exif[0] == 'M';
    size_t at = number_at(exif + 4, 4, is_big);
    if (at > count - 2)
        return 1;
    size_t entries = number_at(exif + at, 2, is_big);
    at += 2;
    for (; entries > 0 && count - at >= ENTRY_BYTES; entries--, at += ENTRY_BYTES) {
        if (number_at(exif + at, 2, is_big) != TAG_ORIENTATION || number_at(exif + at + 2, 2, is_big) != TYPE_SHORT)
            continue;
        uint32_t value = number_at(exif + at + 8, 2, is_big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* The place in a picture of h x w that comes to (y, x). */
static size_t source_of(int orientation, int y, int x, int h, int w)
{
    int row = y, column = x;
    if (orientation >= 5) { /* sides change places */
        row = orientation == 6 || orientation == 7 ? h - 1 - x : x;
        column = orientation == 7 || orientation == 8 ? w - 1 - y : y;
    } else {
        row = orientation == 3 || orientation == 4 ? h - 1 - y : y;
        column = orientation == 2 || orientation == 3 ? w - 1 - x : x;
    }
    return (size_t)row * (size_t)w + (size_t)column;
}

int decoded_orient(struct decoded *d, int orientation, struct message *m)
{
    if (orientation <= 1)
        return 0;
    const struct image_shape from = d->shape;
    struct image_shape to = from;
    if (orientation >= 5) {
        to.height = from.width;
        to.width = from.height;
    }
    uint8_t *out = memory_new_raw(image_shape_bytes(to), 1, m), *p = out;
    if (!out)
        return STATUS_NOMEM;
    for (int y = 0; y < to.height; y++)
        for (int x = 0; x < to.width; x++) {
            size_t at = source_of(orientation, y, x, from.height, from.width) * (size_t)from.channels;
            memcpy(p, d->pixels + at, (size_t)from.channels);
            p += from.channels;
        }
    memory_free(d->pixels);
    d->pixels = out;
    d->shape = to;
    return 0;
}

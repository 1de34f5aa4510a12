/* image.h: the shape of a data set's pictures, and how pictures of another shape get it. */
#ifndef RESQ_DATA_IMAGE_H
#define RESQ_DATA_IMAGE_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum { IMAGE_LEAST_SIDE = 8, IMAGE_MOST_SIDE = 512, IMAGE_SHAPE_SIZE = 32 };

/* Pixels [height,width,channels], channels 1 (grey) or 3 (red first). All-zero: not known. */
struct image_shape {
    int height, width, channels;
};

#define IMAGE_CIFAR ((struct image_shape){32, 32, 3})

static inline size_t image_shape_bytes(struct image_shape s)
{
    return (size_t)s.height * (size_t)s.width * (size_t)s.channels;
}

static inline int image_shape_is(struct image_shape a, struct image_shape b)
{
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

/* "u8[32,32,3]" */
void image_shape_print(struct image_shape s, char out[IMAGE_SHAPE_SIZE]);
/* Sides 8..512, 1 or 3 channels; else STATUS_RANGE. */
int image_shape_check(struct image_shape s, struct message *m) RESQ_USE_RESULT;
/* "HxW" or "N" (a square) into height and width, each 8..512. */
int image_size_parse(const char *text, struct image_shape *s, struct message *m) RESQ_USE_RESULT;

/* The same with "xC" behind it for C channels; without: 3. */
int image_input_parse(const char *text, struct image_shape *s, struct message *m) RESQ_USE_RESULT;

/* How a picture of another size is made to fit. Pillow's words: ImageOps.fit, ImageOps.pad (with black), resize. */
enum image_fit { FIT_CROP, FIT_PAD, FIT_STRETCH };
enum image_filter { FILTER_BILINEAR, FILTER_BOX, FILTER_BICUBIC };

/* What a data set's pictures are to become. All-zero: what they are, all of one size, grey where all are grey. */
struct image_wish {
    int height, width; /* 0: the pictures' own */
    int channels;      /* 0: the pictures' own */
    enum image_fit fit;
    enum image_filter filter;
};

/* Resamples in of [from.height, from.width, channels] into out [to.height, to.width, channels], the same number of
 * channels in both. The bytes are Pillow's (Resample.c: two passes of 8 bits, coefficients of 22 bits). A side of
 * `to` is 1 or more; NULL box: the whole picture, else left, top, right, bottom within it, in pixels. */
int image_resize(const uint8_t *in, struct image_shape from, const float box[4], enum image_filter filter,
                 uint8_t *out, struct image_shape to, struct message *m) RESQ_USE_RESULT;
/* The same, by one of the three ways to fit. */
int image_fit(const uint8_t *in, struct image_shape from, enum image_fit fit, enum image_filter filter,
              uint8_t *out, struct image_shape to, struct message *m) RESQ_USE_RESULT;
/* Colour to grey (L = (19595 R + 38470 G + 7471 B + 32768) >> 16, Pillow's) or grey to colour (three times the
 * same). in and out may be the same where the number of channels is. */
void image_recolour(const uint8_t *in, int channels, uint8_t *out, int want, size_t pixels);
/* All that a wish can ask for: recolours, then fits. to: the whole shape that comes out. */
int image_convert(const uint8_t *in, struct image_shape from, const struct image_wish *wish, uint8_t *out,
                  struct image_shape to, struct message *m) RESQ_USE_RESULT;

/* Planes [C][H][W], as files have them, to pixels [H][W][C], and back. */
void planes_to_pixels(const uint8_t *planes, struct image_shape s, uint8_t *pixels);
void pixels_to_planes(const uint8_t *pixels, struct image_shape s, uint8_t *planes);

#endif

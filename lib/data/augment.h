/* augment.h: the augmentations, in PIL's arithmetic byte for byte (torchvision's PIL path; Pillow's ImageEnhance,
 * convert and transform). All work on one image [32,32,3] u8 NHWC. */
#ifndef RESQ_DATA_AUGMENT_H
#define RESQ_DATA_AUGMENT_H

#include "base/threads.h"
#include "data/batch.h"
#include <stdint.h>

enum pad_mode { PAD_ZERO, PAD_REFLECT };

struct augment_options {
    uint64_t seed;
    int crop; /* padding, 0 off .. 16 */
    enum pad_mode pad;
    double flip;           /* probability, 0 off .. 1 */
    int is_flip_alternate; /* an image is flipped, by that probability, in all even epochs or in all odd ones */
    double brightness, contrast, saturation; /* 0 off; factor uniform in [max(0,1-v), 1+v] */
    double hue;                              /* 0 off .. 0.5; shift uniform in [-hue, hue] */
    double rotation;                         /* degrees, 0 off .. 180; angle uniform in [-v, v] */
    int cutout; /* side of the square set to the mean grey (128), centre anywhere, 0 off .. 32 */
};

/* One image, out of place (in and out must not overlap). Draws are keyed by (seed, operation, epoch, index):
 * switching one operation off leaves the others' draws as they were. Order: crop, flip, colour jitter, rotation,
 * cutout. */
void augment_image(const struct augment_options *o, uint32_t epoch, uint64_t index, const uint8_t *in,
                   uint8_t *out);

/* Every image of a batch, in place, over the threads of pool (NULL: serial); the bytes do not depend on their
 * number. */
void augment_batch(const struct augment_options *o, struct threads *pool, struct batch *b);

/* The operations themselves, with given parameters. In place unless in and out are both named. */
void image_crop(const uint8_t *in, uint8_t *out, int pad, enum pad_mode mode, int top,
                int left); /* top, left 0..2*pad */
void image_flip(uint8_t *image);
void image_brightness(uint8_t *image, double factor);
void image_contrast(uint8_t *image, double factor);
void image_saturation(uint8_t *image, double factor);
void image_hue(uint8_t *image, double shift);                       /* -0.5..0.5 */
void image_rotate(const uint8_t *in, uint8_t *out, double degrees); /* positive: counter-clockwise as seen */
void image_cutout(uint8_t *image, int side, int centre_row, int centre_column);

#endif

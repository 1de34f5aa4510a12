/* augment.h: the augmentations, in PIL's arithmetic byte for byte (torchvision's PIL path; Pillow's ImageEnhance,
 * convert, transform and resize). All work on one image u8 [H,W,C] of the shape given; on grey ones, those that change
 * colours do what Pillow does: saturation and hue nothing. */
#ifndef RESQ_DATA_AUGMENT_H
#define RESQ_DATA_AUGMENT_H

#include "base/threads.h"
#include "data/batch.h"
#include <stdint.h>

enum pad_mode { PAD_ZERO, PAD_REFLECT };

struct augment_options {
    uint64_t seed;
    double resized_crop; /* least share of the area, 0 off .. 1: a random part of it, of a random shape, resized */
    int crop;            /* padding, 0 off .. 256; PAD_REFLECT: less than a side */
    enum pad_mode pad;
    double flip;           /* probability, 0 off .. 1 */
    int is_flip_alternate; /* an image is flipped, by that probability, in all even epochs or in all odd ones */
    double brightness, contrast, saturation; /* 0 off; factor uniform in [max(0,1-v), 1+v] */
    double hue;                              /* 0 off .. 0.5; shift uniform in [-hue, hue] */
    double rotation;                         /* degrees, 0 off .. 180; angle uniform in [-v, v] */
    int cutout; /* side of the square set to the mean grey (128), centre anywhere, 0 off .. 512 */
};

/* Bytes of scratch for one image. */
size_t augment_scratch_bytes(struct image_shape s);
/* One image, out of place (in, out and scratch must not overlap). Draws are keyed by (seed, operation, epoch, index):
 * switching one operation off leaves the others' draws as they were. Order: resized crop, crop, flip, colour jitter,
 * rotation, cutout. Fails only for want of memory, with resized_crop. */
int augment_image(const struct augment_options *o, struct image_shape s, uint32_t epoch, uint64_t index,
                  const uint8_t *in, uint8_t *out, uint8_t *scratch, struct message *m) RESQ_USE_RESULT;
/* 0 where the options can be done to images of this shape; else STATUS_RANGE. */
int augment_check(const struct augment_options *o, struct image_shape s, struct message *m) RESQ_USE_RESULT;

/* Every image of a batch, in place, over the threads of pool (NULL: serial); the bytes do not depend on their
 * number. */
int augment_batch(const struct augment_options *o, struct threads *pool, struct batch *b,
                  struct message *m) RESQ_USE_RESULT;

/* torchvision's RandomResizedCrop.get_params, for scale (least,1) and ratio (3/4,4/3): ten draws of area and
 * proportions, of which the first that fits is taken; else the largest part from the middle whose proportions are
 * within those. box: left, top, right, bottom. */
void resized_crop_draw(uint64_t seed, uint32_t epoch, uint64_t index, double least, struct image_shape s,
                       int box[4]);
/* That part alone, resized bilinearly (crop, then resize: pixels outside have no part in it). */
int image_resized_crop(struct image_shape s, const uint8_t *in, uint8_t *out, const int box[4],
                       struct message *m) RESQ_USE_RESULT;

/* The operations themselves, with given parameters. In place unless in and out are both named. */
void image_crop(struct image_shape s, const uint8_t *in, uint8_t *out, int pad, enum pad_mode mode, int top,
                int left); /* top, left 0..2*pad */
void image_flip(struct image_shape s, uint8_t *image);
void image_brightness(struct image_shape s, uint8_t *image, double factor);
void image_contrast(struct image_shape s, uint8_t *image, double factor);
void image_saturation(struct image_shape s, uint8_t *image, double factor);
void image_hue(struct image_shape s, uint8_t *image, double shift); /* -0.5..0.5 */
void image_rotate(struct image_shape s, const uint8_t *in, uint8_t *out,
                  double degrees); /* positive: counter-clockwise as seen */
void image_cutout(struct image_shape s, uint8_t *image, int side, int centre_row, int centre_column);

#endif

/* picture.h: one JPEG or PNG file in memory -> pixels. Internal to data. */
#ifndef RESQ_DATA_PICTURE_H
#define RESQ_DATA_PICTURE_H

#include "data/image.h"

enum { PICTURE_MAX_PIXELS = 1 << 26 };

struct decoded {
    struct image_shape shape; /* any size up to PICTURE_MAX_PIXELS; 1 channel where the file is grey */
    uint8_t *pixels;          /* [H,W,C], red first; decoded_free */
    void *scratch;            /* the decoder's */
};

/* bytes[count]: a whole file; which format it is says its first bytes, not its name. A grey file (JPEG of one
 * component, PNG of grey with alpha or without) has one channel, any other three: palettes are looked up, 16 bits cut
 * to the upper 8, alpha dropped with what it hides left as it stands, CMYK converted as Pillow does. Exif's orientation
 * is applied: pixels lie as a viewer shows them. A damaged picture and whatever the decoders only warn about are
 * STATUS_FORMAT. */
int picture_decode(const void *bytes, size_t count, struct decoded *out, struct message *m) RESQ_USE_RESULT;
void decoded_free(struct decoded *d);

/* Exif's orientation, 1..8, of a block that begins with its TIFF header; 1 where it has none or is damaged. */
int exif_orientation(const uint8_t *exif, size_t count);
/* Turns and mirrors the pixels so that the picture stands as orientation 1 would have it. */
int decoded_orient(struct decoded *d, int orientation, struct message *m) RESQ_USE_RESULT;

#endif

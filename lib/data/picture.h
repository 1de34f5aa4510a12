/* picture.h: one JPEG or PNG file in memory -> 32x32 RGB. Internal to data. */
#ifndef RESQ_DATA_PICTURE_H
#define RESQ_DATA_PICTURE_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

/* bytes[count]: a whole file; which format it is says its first bytes, not its name. image: [32,32,3], red first.
 * Grey is spread to three channels, 16 bits cut to 8, alpha dropped, CMYK converted as Pillow does. Any other size,
 * a damaged picture and whatever the decoders only warn about are STATUS_FORMAT. */
int picture_decode(const void *bytes, size_t count, uint8_t *image, struct message *m) RESQ_USE_RESULT;

#endif

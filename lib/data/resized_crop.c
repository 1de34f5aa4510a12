/* resized_crop.c: a random part of an image, brought to the image's size (Szegedy et al. 2015, arXiv:1409.4842, in
 * torchvision's form). */
#include "data/augment.h"
#include "base/memory.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

enum { DRAWS = 10 };
static const double ratio_low = 3.0 / 4, ratio_high = 4.0 / 3;

/* The largest part from the middle with a width of ratio_low..ratio_high heights. */
static void middle(struct image_shape s, int box[4])
{
    double ratio = (double)s.width / s.height;
    int width = s.width, height = s.height;
    if (ratio < ratio_low)
        height = (int)nearbyint(s.width / ratio_low);
    else if (ratio > ratio_high)
        width = (int)nearbyint(s.height * ratio_high);
    box[0] = (s.width - width) / 2;
    box[1] = (s.height - height) / 2;
    box[2] = box[0] + width;
    box[3] = box[1] + height;
}

void resized_crop_draw(uint64_t seed, uint32_t epoch, uint64_t index, double least, struct image_shape s,
                       int box[4])
{
    struct random_stream r = random_open(seed, RANDOM_RESIZED_CROP, epoch, index);
    const double all = (double)s.height * s.width, low = log(ratio_low), high = log(ratio_high);
    for (int i = 0; i < DRAWS; i++) {
        double area = all * (least + (1 - least) * random_uniform(&r));
        double ratio = exp(low + (high - low) * random_uniform(&r));
        int width = (int)nearbyint(sqrt(area * ratio)), height = (int)nearbyint(sqrt(area / ratio));
        if (width < 1 || width > s.width || height < 1 || height > s.height)
            continue;
        box[1] = (int)random_below(&r, (uint32_t)(s.height - height) + 1);
        box[0] = (int)random_below(&r, (uint32_t)(s.width - width) + 1);
        box[2] = box[0] + width;
        box[3] = box[1] + height;
        return;
    }
    middle(s, box);
}

int image_resized_crop(struct image_shape s, const uint8_t *in, uint8_t *out, const int box[4], struct message *m)
{
    const struct image_shape part = {box[3] - box[1], box[2] - box[0], s.channels};
    size_t line = (size_t)s.width * (size_t)s.channels, row = (size_t)part.width * (size_t)s.channels;
    uint8_t *cut = memory_new_raw(image_shape_bytes(part), 1, m);
    if (!cut)
        return STATUS_NOMEM;
    for (size_t y = 0; y < (size_t)part.height; y++)
        memcpy(cut + y * row, in + ((size_t)box[1] + y) * line + (size_t)box[0] * (size_t)s.channels, row);
    int status = image_resize(cut, part, NULL, FILTER_BILINEAR, out, s, m);
    memory_free(cut);
    return status;
}

#include "tools/common/wish.h"
#include <string.h>

static int is(const char *value, const char *name)
{
    return value && strcmp(value, name) == 0;
}

int wish_take(const struct wish_arguments *a, struct dataset_wish *wish, struct message *m)
{
    struct image_shape size = {0};
    if (a->grey && a->colour)
        return message_set(m, STATUS_RANGE, "--grey goes with no --colour");
    if (!a->size && (a->fit || a->filter))
        return message_set(m, STATUS_RANGE, "--%s: is of --size", a->fit ? "fit" : "filter");
    if (a->size && image_size_parse(a->size, &size, m) < 0)
        return message_prefix(m, STATUS_RANGE, "--size");
    *wish = (struct dataset_wish){.image.height = size.height,
                                  .image.width = size.width,
                                  .image.channels = a->grey     ? 1
                                                    : a->colour ? 3
                                                                : 0,
                                  .coarse = is(a->labels, "coarse"),
                                  .hold_out = (int)a->hold_out};
    wish->image.fit = is(a->fit, "pad") ? FIT_PAD : is(a->fit, "stretch") ? FIT_STRETCH : FIT_CROP;
    wish->image.filter = is(a->filter, "box")       ? FILTER_BOX
                         : is(a->filter, "bicubic") ? FILTER_BICUBIC
                                                    : FILTER_BILINEAR;
    return 0;
}

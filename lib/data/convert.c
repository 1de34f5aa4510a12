/* convert.c: records of one shape -> records of another, for sources whose pictures have theirs by definition. */
#include "data/files.h"
#include "base/memory.h"
#include <string.h>
#include <sys/mman.h>

/* A record as pixels, as another shape, and as a record again; out: a record of `to`. */
static int record_convert(const struct image_files *s, const uint8_t *record, struct image_shape to,
                          uint8_t *pixels, uint8_t *converted, uint8_t *out, struct message *m)
{
    const size_t label = (size_t)s->label_bytes;
    planes_to_pixels(record + label, s->shape, pixels);
    TRY(image_convert(pixels, s->shape, &s->wish.image, converted, to, m));
    memcpy(out, record, label);
    pixels_to_planes(converted, to, out + label);
    return 0;
}

static int file_convert(const struct image_files *s, struct bin_file *f, struct image_shape to, uint8_t *pixels,
                        uint8_t *converted, struct message *m)
{
    const size_t from_bytes = files_record_bytes(s), to_bytes = (size_t)s->label_bytes + image_shape_bytes(to);
    const size_t records = f->size / from_bytes;
    uint8_t *bytes = memory_new_raw(records, to_bytes, m);
    int status = bytes ? 0 : STATUS_NOMEM;
    for (size_t i = 0; i < records && status >= 0; i++)
        status = record_convert(s, f->bytes + i * from_bytes, to, pixels, converted, bytes + i * to_bytes, m);
    if (status < 0) {
        memory_free(bytes);
        return status;
    }
    if (f->mapped)
        munmap(f->bytes, f->size);
    else
        memory_free(f->bytes);
    *f = (struct bin_file){.bytes = bytes, .size = records * to_bytes};
    return 0;
}

int files_convert(struct image_files *s, struct message *m)
{
    const struct image_wish *wish = &s->wish.image;
    struct image_shape to = s->shape;
    if (wish->height) {
        to.height = wish->height;
        to.width = wish->width;
    }
    to.channels = wish->channels ? wish->channels : to.channels;
    if (image_shape_is(s->shape, to))
        return 0;
    int status = image_shape_check(to, m);
    uint8_t *pixels = memory_new_raw(image_shape_bytes(s->shape), 1, m);
    uint8_t *converted = memory_new_raw(image_shape_bytes(to), 1, m);
    if (status >= 0 && (!pixels || !converted))
        status = STATUS_NOMEM;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split] && status >= 0; i++)
            status = file_convert(s, &s->files[split][i], to, pixels, converted, m);
    memory_free(pixels);
    memory_free(converted);
    if (status >= 0)
        s->shape = to;
    s->digest[0] = '\0'; /* these are other records */
    return status;
}

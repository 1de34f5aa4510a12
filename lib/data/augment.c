/* augment.c: which operations an image gets, and with what parameters. Each draws from a stream of its own, and
 * draws the same numbers whatever its strength and whatever else is on. */
#include "data/augment.h"
#include "data/dataset.h"
#include "base/memory.h"
#include "base/random.h"
#include <string.h>

enum jitter { JITTER_BRIGHTNESS, JITTER_CONTRAST, JITTER_SATURATION, JITTER_HUE, JITTERS };

/* Uniform in [max(0, 1 - strength), 1 + strength]. */
static double factor_of(double strength, double uniform)
{
    double low = strength < 1 ? 1 - strength : 0;
    return low + uniform * (1 + strength - low);
}

static void jitter_one(const struct augment_options *o, struct image_shape s, int which, double uniform,
                       uint8_t *image)
{
    switch (which) {
    case JITTER_BRIGHTNESS:
        if (o->brightness > 0)
            image_brightness(s, image, factor_of(o->brightness, uniform));
        break;
    case JITTER_CONTRAST:
        if (o->contrast > 0)
            image_contrast(s, image, factor_of(o->contrast, uniform));
        break;
    case JITTER_SATURATION:
        if (o->saturation > 0)
            image_saturation(s, image, factor_of(o->saturation, uniform));
        break;
    case JITTER_HUE:
        if (o->hue > 0)
            image_hue(s, image, (2 * uniform - 1) * o->hue);
        break;
    }
}

/* The four in an order drawn for each image; those that are off are left out of it. */
static void jitter(const struct augment_options *o, struct image_shape s, struct random_stream r, uint8_t *image)
{
    int order[JITTERS] = {JITTER_BRIGHTNESS, JITTER_CONTRAST, JITTER_SATURATION, JITTER_HUE};
    double uniform[JITTERS];
    for (int i = JITTERS - 1; i > 0; i--) {
        int j = (int)random_below(&r, (uint32_t)i + 1), held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
    for (int i = 0; i < JITTERS; i++)
        uniform[i] = random_uniform(&r);
    for (int i = 0; i < JITTERS; i++)
        jitter_one(o, s, order[i], uniform[order[i]], image);
}

static void crop(const struct augment_options *o, struct image_shape s, struct random_stream r, const uint8_t *in,
                 uint8_t *out)
{
    uint32_t places = 2 * (uint32_t)o->crop + 1;
    int top = (int)random_below(&r, places);
    int left = (int)random_below(&r, places);
    image_crop(s, in, out, o->crop, o->pad, top, left);
}

/* Alternately: as drawn for epoch 0 in even epochs, the opposite in odd ones, so that any two epochs in a row show
 * both sides of every image (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.6). */
static int is_flipped(const struct augment_options *o, uint32_t epoch, uint64_t index)
{
    struct random_stream r = random_open(o->seed, RANDOM_FLIP, o->is_flip_alternate ? 0 : epoch, index);
    int is_drawn = random_uniform(&r) < o->flip;
    return is_drawn != (o->is_flip_alternate && epoch % 2 == 1);
}

static void cutout(const struct augment_options *o, struct image_shape s, struct random_stream r, uint8_t *image)
{
    int row = (int)random_below(&r, (uint32_t)s.height);
    int column = (int)random_below(&r, (uint32_t)s.width);
    image_cutout(s, image, o->cutout, row, column);
}

static void rotate(const struct augment_options *o, struct image_shape s, struct random_stream r, uint8_t *image,
                   uint8_t *scratch)
{
    memcpy(scratch, image, image_shape_bytes(s));
    image_rotate(s, scratch, image, (2 * random_uniform(&r) - 1) * o->rotation);
}

size_t augment_scratch_bytes(struct image_shape s)
{
    return image_shape_bytes(s);
}

int augment_check(const struct augment_options *o, struct image_shape s, struct message *m)
{
    int side = s.height < s.width ? s.height : s.width;
    if (o->pad == PAD_REFLECT && o->crop >= side)
        return message_set(m, STATUS_RANGE, "--crop %d: images of %dx%d can be reflected by at most %d", o->crop,
                           s.height, s.width, side - 1);
    return 0;
}

/* The part that is left for the operations in place to change. */
static int cut_out(const struct augment_options *o, struct image_shape s, uint32_t epoch, uint64_t index,
                   const uint8_t *in, uint8_t *out, uint8_t *scratch, struct message *m)
{
    if (o->resized_crop > 0) {
        int box[4];
        uint8_t *resized = o->crop > 0 ? scratch : out;
        resized_crop_draw(o->seed, epoch, index, o->resized_crop, s, box);
        TRY(image_resized_crop(s, in, resized, box, m));
        in = resized;
    }
    if (o->crop > 0)
        crop(o, s, random_open(o->seed, RANDOM_CROP, epoch, index), in, out);
    else if (in != out)
        memcpy(out, in, image_shape_bytes(s));
    return 0;
}

int augment_image(const struct augment_options *o, struct image_shape s, uint32_t epoch, uint64_t index,
                  const uint8_t *in, uint8_t *out, uint8_t *scratch, struct message *m)
{
    TRY(cut_out(o, s, epoch, index, in, out, scratch, m));
    if (o->flip > 0 && is_flipped(o, epoch, index))
        image_flip(s, out);
    if (o->brightness > 0 || o->contrast > 0 || o->saturation > 0 || o->hue > 0)
        jitter(o, s, random_open(o->seed, RANDOM_JITTER, epoch, index), out);
    if (o->rotation > 0)
        rotate(o, s, random_open(o->seed, RANDOM_ROTATION, epoch, index), out, scratch);
    if (o->cutout > 0)
        cutout(o, s, random_open(o->seed, RANDOM_CUTOUT, epoch, index), out);
    return 0;
}

enum { IMAGES_AN_ITEM = 16 };

struct augment_work {
    const struct augment_options *options;
    struct batch *batch;
    uint8_t *scratch; /* an original and augment_image's own, for each worker */
    int *statuses;    /* one an item */
};

static void augment_item(void *context, int item, int worker)
{
    const struct augment_work *w = context;
    struct batch *b = w->batch;
    int64_t first = (int64_t)item * IMAGES_AN_ITEM, last = first + IMAGES_AN_ITEM;
    size_t bytes = image_shape_bytes(b->shape);
    uint8_t *before = w->scratch + (size_t)worker * (bytes + augment_scratch_bytes(b->shape)),
            *own = before + bytes;
    for (int64_t i = first; i < last && i < b->count && w->statuses[item] >= 0; i++) {
        uint8_t *image = b->images + (size_t)i * bytes;
        memcpy(before, image, bytes);
        w->statuses[item] = augment_image(w->options, b->shape, (uint32_t)b->epoch, (uint64_t)b->indices[i], before,
                                          image, own, NULL);
    }
}

int augment_batch(const struct augment_options *o, struct threads *pool, struct batch *b, struct message *m)
{
    int items = (int)((b->count + IMAGES_AN_ITEM - 1) / IMAGES_AN_ITEM);
    size_t workers = (size_t)threads_count(pool),
           each = image_shape_bytes(b->shape) + augment_scratch_bytes(b->shape);
    TRY(augment_check(o, b->shape, m));
    struct augment_work work = {o, b, memory_new_raw(workers, each, m), memory_new((size_t)items, sizeof(int), m)};
    int status = work.scratch && work.statuses ? 0 : STATUS_NOMEM;
    if (status >= 0)
        threads_run(pool, augment_item, &work, items);
    for (int i = 0; i < items && status >= 0; i++)
        if (work.statuses[i] < 0)
            status = message_set(m, work.statuses[i], "memory exhausted: resizing images");
    memory_free(work.scratch);
    memory_free(work.statuses);
    return status;
}

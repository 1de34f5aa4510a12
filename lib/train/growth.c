#include "train/growth.h"
#include "base/text.h"
#include <string.h>

/* "SIZE:EPOCHS", the first `length` bytes of text. */
static int stage_parse(const char *text, size_t length, struct growth_stage *s, struct message *m)
{
    char item[48];
    struct image_shape shape = {0};
    const char *colon = memchr(text, ':', length);
    if (!colon || length >= sizeof item)
        return message_set(m, STATUS_RANGE, "'%.*s' is no SIZE:EPOCHS", (int)(length < 32 ? length : 32), text);
    memcpy(item, text, length);
    item[length] = '\0';
    item[colon - text] = '\0';
    TRY(image_size_parse(item, &shape, m));
    *s = (struct growth_stage){shape.height, shape.width, 0};
    return parse_integer(item + (colon - text) + 1, 1, 1000000, "epochs", &s->epochs, m);
}

int growth_parse(const char *text, struct growth *g, struct message *m)
{
    *g = (struct growth){0};
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        if (g->count == GROWTH_MAX_STAGES)
            return message_set(m, STATUS_RANGE, "more than %d sizes", (int)GROWTH_MAX_STAGES);
        TRY(stage_parse(at, length, &g->stages[g->count++], m));
        at += length;
        if (!*at)
            return STATUS_OK;
    }
}

static struct image_shape stage_shape(const struct growth *g, int i, struct image_shape whole)
{
    return (struct image_shape){g->stages[i].height, g->stages[i].width, whole.channels};
}

int growth_check(const struct growth *g, int64_t epochs, struct image_shape whole, struct message *m)
{
    int64_t small = 0;
    for (int i = 0; i < g->count; i++) {
        const struct growth_stage *s = &g->stages[i];
        small += s->epochs;
        if (s->height > whole.height || s->width > whole.width || image_shape_is(stage_shape(g, i, whole), whole))
            return message_set(m, STATUS_RANGE, "%dx%d is not smaller than the pictures, %dx%d", s->height,
                               s->width, whole.height, whole.width);
    }
    if (g->count && small >= epochs)
        return message_set(m, STATUS_RANGE,
                           "%lld epochs are smaller ones, of %lld: none would see the pictures whole",
                           (long long)small, (long long)epochs);
    return STATUS_OK;
}

struct image_shape growth_shape(const struct growth *g, int64_t epoch, struct image_shape whole)
{
    for (int i = 0; i < g->count; i++) {
        if (epoch < g->stages[i].epochs)
            return stage_shape(g, i, whole);
        epoch -= g->stages[i].epochs;
    }
    return whole;
}

double growth_cost(const struct growth *g, int64_t epochs, struct image_shape whole)
{
    double cost = 0;
    for (int i = 0; i < g->count && epochs > 0; i++) {
        int64_t here = epochs < g->stages[i].epochs ? epochs : g->stages[i].epochs;
        cost +=
            (double)here * (double)image_shape_bytes(stage_shape(g, i, whole)) / (double)image_shape_bytes(whole);
        epochs -= here;
    }
    return cost + (double)epochs;
}

int growth_shrink(const uint8_t *images, int count, struct image_shape from, uint8_t *out, struct image_shape to,
                  struct message *m)
{
    for (int i = 0; i < count; i++) {
        TRY(image_resize(images, from, NULL, FILTER_BOX, out, to, m));
        images += image_shape_bytes(from);
        out += image_shape_bytes(to);
    }
    return STATUS_OK;
}

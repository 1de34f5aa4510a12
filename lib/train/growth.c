#include "train/growth.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* "SIZE:PERCENT", the first `length` bytes of text, behind a stage that ends at `before`. */
static int stage_parse(const char *text, size_t length, int64_t before, struct growth_stage *s, struct message *m)
{
    char item[48];
    struct image_shape shape = {0};
    const char *colon = memchr(text, ':', length);
    if (!colon || length >= sizeof item)
        return message_set(m, STATUS_RANGE, "'%.*s' is no SIZE:PERCENT", (int)(length < 32 ? length : 32), text);
    memcpy(item, text, length);
    item[length] = '\0';
    item[colon - text] = '\0';
    TRY(image_size_parse(item, &shape, m));
    TRY(parse_integer(item + (colon - text) + 1, 1, 99, "percent", &s->until, m));
    *s = (struct growth_stage){shape.height, shape.width, before + s->until};
    if (s->until > 99)
        return message_set(m, STATUS_RANGE, "%lld percent in all: none would be left for the whole pictures",
                           (long long)s->until);
    return STATUS_OK;
}

int growth_parse(const char *text, struct growth *g, struct message *m)
{
    *g = (struct growth){0};
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        if (g->count == GROWTH_MAX_STAGES)
            return message_set(m, STATUS_RANGE, "more than %d sizes", (int)GROWTH_MAX_STAGES);
        int64_t before = g->count ? g->stages[g->count - 1].until : 0;
        TRY(stage_parse(at, length, before, &g->stages[g->count++], m));
        at += length;
        if (!*at)
            return STATUS_OK;
    }
}

int growth_print(const struct growth *g, struct text *t, struct message *m)
{
    for (int i = 0; i < g->count; i++) {
        const struct growth_stage *s = &g->stages[i];
        char width[16] = "";
        if (s->width != s->height)
            snprintf(width, sizeof width, "x%d", s->width);
        TRY(text_add(t, m, "%s%d%s:%lld", i ? "," : "", s->height, width,
                     (long long)(s->until - (i ? g->stages[i - 1].until : 0))));
    }
    return STATUS_OK;
}

static struct image_shape stage_shape(const struct growth *g, int i, struct image_shape whole)
{
    return (struct image_shape){g->stages[i].height, g->stages[i].width, whole.channels};
}

int growth_check(const struct growth *g, struct image_shape whole, struct message *m)
{
    for (int i = 0; i < g->count; i++) {
        const struct growth_stage *s = &g->stages[i];
        if (s->height > whole.height || s->width > whole.width || image_shape_is(stage_shape(g, i, whole), whole))
            return message_set(m, STATUS_RANGE, "%dx%d is not smaller than the pictures, %dx%d", s->height,
                               s->width, whole.height, whole.width);
    }
    return STATUS_OK;
}

int64_t growth_begin(const struct growth *g, int i, int64_t epochs)
{
    return i > 0 ? g->stages[i - 1].until * epochs / 100 : 0;
}

struct image_shape growth_shape(const struct growth *g, int64_t epoch, int64_t epochs, struct image_shape whole)
{
    for (int i = 0; i < g->count; i++)
        if (epoch < growth_begin(g, i + 1, epochs))
            return stage_shape(g, i, whole);
    return whole;
}

double growth_cost(const struct growth *g, int64_t epoch, int64_t epochs, struct image_shape whole)
{
    double cost = 0, pixels = (double)whole.height * whole.width;
    int64_t at = 0;
    for (int i = 0; i < g->count; i++) {
        int64_t end = growth_begin(g, i + 1, epochs);
        end = end < epoch ? end : epoch;
        cost += (double)(end - at) * g->stages[i].height * g->stages[i].width / pixels;
        at = end;
    }
    return cost + (double)(epoch - at);
}

enum { IMAGES_AN_ITEM = 8 };

struct shrinking {
    const uint8_t *images;
    uint8_t *out;
    int count;
    struct image_shape from, to;
    atomic_int failed;
};

static void shrink_item(void *context, int item, int worker)
{
    struct shrinking *s = context;
    const int first = item * IMAGES_AN_ITEM, end = first + IMAGES_AN_ITEM;
    (void)worker;
    for (int i = first; i < end && i < s->count; i++)
        if (image_resize(s->images + (size_t)i * image_shape_bytes(s->from), s->from, NULL, FILTER_BOX,
                         s->out + (size_t)i * image_shape_bytes(s->to), s->to, NULL) < 0)
            atomic_store(&s->failed, 1);
}

int growth_shrink(struct threads *pool, const uint8_t *images, int count, struct image_shape from, uint8_t *out,
                  struct image_shape to, struct message *m)
{
    struct shrinking s = {images, out, count, from, to, 0};
    threads_run(pool, shrink_item, &s, (count + IMAGES_AN_ITEM - 1) / IMAGES_AN_ITEM);
    return atomic_load(&s.failed) ? message_set(m, STATUS_NOMEM, "memory exhausted: shrinking images") : STATUS_OK;
}

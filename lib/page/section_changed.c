/* section_changed.c: pictures that one model gets right and the other wrong. */
#include "base/memory.h"
#include "data/batch.h"
#include "page/section.h"
#include "report/png_grid.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PICTURES = 100 };

/* Which of the paired images changed: first those that went wrong. */
struct changed {
    int64_t places[2][MOST_PICTURES]; /* in the predictions; 0: right to wrong, 1: wrong to right */
    int shown[2];
    int64_t count[2]; /* all of them */
};

static int is_right(const struct predictions *p, int64_t i)
{
    return argmax(p->logits + i * p->classes, p->classes) == p->labels[i];
}

/* most: of both kinds together; neither takes the other's half unless it is free. */
static void changed_find(struct changed *c, const struct predictions *a, const struct predictions *b, int most)
{
    memset(c, 0, sizeof *c);
    for (int64_t i = 0; i < a->count; i++) {
        int was = is_right(a, i), is = is_right(b, i);
        if (was == is)
            continue;
        int kind = was ? 0 : 1;
        if (c->count[kind]++ < most)
            c->places[kind][c->shown[kind]++] = i;
    }
    for (int kind = 0; kind < 2; kind++) {
        int other = c->shown[1 - kind] < most / 2 ? c->shown[1 - kind] : most / 2;
        c->shown[kind] = c->shown[kind] < most - other ? c->shown[kind] : most - other;
    }
}

static int64_t place_of(const struct image_set *s, int64_t index)
{
    for (int64_t i = 0; i < s->count; i++)
        if (s->indices[i] == index)
            return i;
    return -1;
}

/* ---- a picture ---- */

/* 64 pixels along its longer side, in the picture's own proportions. */
static void put_picture(struct html *h, struct image_shape s, const uint8_t *pixels, const char *label)
{
    const size_t count_of_pixels = (size_t)s.height * (size_t)s.width;
    struct picture picture = {s.width, s.height, memory_new_raw(count_of_pixels, 3, h->m)};
    void *bytes = NULL;
    size_t count = 0;
    int longer = s.width > s.height ? s.width : s.height;
    if (picture.pixels)
        image_recolour(pixels, s.channels, picture.pixels, 3, count_of_pixels);
    html_check(h, picture.pixels ? picture_encode(&picture, &bytes, &count, h->m) : STATUS_NOMEM);
    memory_free(picture.pixels);
    if (h->status < 0)
        return;
    html_put(h, "<img width=\"%d\" height=\"%d\" src=\"", 64 * s.width / longer, 64 * s.height / longer);
    html_data(h, "image/png", bytes, count);
    html_put(h, "\" alt=\"a picture of class %.40s\">", label);
    memory_free(bytes);
}

static void put_answer(struct html *h, const struct run *r, const struct run_answer *a, int64_t i)
{
    const struct predictions *p = &a->predictions;
    const float *row = p->logits + i * p->classes;
    int said = argmax(row, p->classes), right = said == p->labels[i];
    html_put(h, "<br><span class=\"%s\">%s</span> %.40s: %.40s %.0f %%", right ? "right" : "wrong",
             right ? "right" : "wrong", a->name, run_class(r, said),
             100 * softmax_probability(row, p->classes, said));
}

static void put_changed(struct html *h, const struct run *r, const struct image_set *images,
                        const struct run_answer *a, const struct run_answer *b, int64_t i)
{
    const struct predictions *p = &a->predictions;
    const char *label = run_class(r, p->labels[i]);
    int64_t place = place_of(images, p->indices[i]);
    if (place < 0 || images->labels[place] != p->labels[i]) {
        html_check(h, message_set(h->m, STATUS_MISMATCH, "image %lld: %s", (long long)p->indices[i],
                                  place < 0 ? "is not among the images" : "its label is another one"));
        return;
    }
    html_put(h, "<figure class=\"picture\" data-class=\"%.40s\">", label);
    put_picture(h, images->shape, images->images + (size_t)place * image_shape_bytes(images->shape), label);
    html_put(h, "<figcaption><b>%.40s</b> <small>#%lld</small>", label, (long long)p->indices[i]);
    put_answer(h, r, a, i);
    put_answer(h, r, b, i);
    html_raw(h, "</figcaption></figure>\n");
}

/* ---- a pair ---- */

static void put_pair(struct html *h, const struct run *r, const struct image_set *images,
                     const struct run_answer *a, const struct run_answer *b, int most)
{
    static const char *const names[] = {"right to wrong", "wrong to right"};
    struct changed c;
    changed_find(&c, &a->predictions, &b->predictions, most);
    for (int kind = 0; kind < 2; kind++) {
        html_put(h, "<h3>From %s to %s: %s, %lld of %lld images%s</h3>\n", a->name, b->name, names[kind],
                 (long long)c.count[kind], (long long)a->predictions.count,
                 c.shown[kind] < c.count[kind] ? " (the first are shown)" : "");
        html_raw(h, "<div class=\"pictures\">");
        for (int i = 0; i < c.shown[kind] && h->status >= 0; i++)
            put_changed(h, r, images, a, b, c.places[kind][i]);
        html_raw(h, "</div>\n");
    }
}

static int images_fit(const struct run *r, const struct image_set *images, const struct predictions *p,
                      struct message *m)
{
    static const char *const keys[] = {"dataset-digest", "split", "classes"};
    (void)r;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *a = record_get(images->first, keys[i]), *b = record_get(p->metadata, keys[i]);
        if (a && b && strcmp(a, b) != 0)
            return message_set(m, STATUS_MISMATCH, "%s: the images' is %.300s, the predictions' %.300s", keys[i], a,
                               b);
    }
    return 0;
}

static void put_pairs(struct html *h, const struct run *r, const struct run_answer *base, const char *path)
{
    struct image_set images;
    int pairs = 0, status = image_set_load(&images, path, h->m);
    html_check(h, status);
    if (status < 0)
        return;
    for (int i = 0; i < r->answer_count; i++)
        pairs += &r->answers[i] != base &&
                 predictions_same_images(&base->predictions, &r->answers[i].predictions, NULL) >= 0;
    status = images_fit(r, &images, &base->predictions, h->m);
    html_raw(h, "<div class=\"filter\" data-of=\"picture\"></div>\n");
    for (int i = 0; i < r->answer_count && status >= 0 && h->status >= 0; i++)
        if (&r->answers[i] != base &&
            predictions_same_images(&base->predictions, &r->answers[i].predictions, NULL) >= 0)
            put_pair(h, r, &images, base, &r->answers[i], MOST_PICTURES / pairs);
    if (status < 0 || h->status < 0)
        html_check(h, message_prefix(h->m, status < 0 ? status : h->status, "%s", path));
    image_set_free(&images);
}

void section_changed(struct html *h, const struct run *r, const char *images)
{
    const struct run_answer *base = run_float(r);
    int paired = 0;
    section_open(h, "changed", "Pictures that changed",
                 "Images that one model gets right and the other wrong, with each "
                 "model's class and its probability.");
    for (int i = 0; base && base->predictions.count && i < r->answer_count; i++)
        paired += &r->answers[i] != base && r->answers[i].predictions.count &&
                  predictions_same_images(&base->predictions, &r->answers[i].predictions, NULL) >= 0;
    char *own = memory_printf(h->m, "%s/.work/test.batches", r->path);
    struct stat info;
    html_check(h, own ? 0 : STATUS_NOMEM);
    if (!paired)
        section_missing(h, "No predictions of a float and another model on the same images here.");
    else if (images || (own && stat(own, &info) == 0))
        put_pairs(h, r, base, images ? images : own);
    else
        section_missing(h, "The test images are not here (.work/test.batches, or --images FILE).");
    memory_free(own);
    section_close(h);
}

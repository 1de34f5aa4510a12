#include "data/batch.h"
#include "base/memory.h"
#include <string.h>

static int set_grow(struct image_set *s, int64_t *capacity, int64_t more, struct message *m)
{
    if (s->count + more <= *capacity)
        return 0;
    int64_t want = s->count + more > 2 * *capacity ? s->count + more : 2 * *capacity;
    size_t old = (size_t)s->count, wanted = (size_t)want;
    const size_t bytes = image_shape_bytes(s->shape);
    void *p = memory_resize(s->images, old * bytes, wanted, bytes, m);
    if (!p)
        return STATUS_NOMEM;
    s->images = p;
    if (!(p = memory_resize(s->labels, old * sizeof *s->labels, wanted, sizeof *s->labels, m)))
        return STATUS_NOMEM;
    s->labels = p;
    if (!(p = memory_resize(s->indices, old * sizeof *s->indices, wanted, sizeof *s->indices, m)))
        return STATUS_NOMEM;
    s->indices = p;
    *capacity = want;
    return 0;
}

static int set_read(struct image_set *s, struct batch_reader *r, struct message *m)
{
    struct batch b;
    int64_t capacity = 0;
    int status;
    while ((status = batch_reader_next(r, &b, m)) > 0) {
        const size_t bytes = image_shape_bytes(b.shape);
        s->shape = b.shape;
        status = set_grow(s, &capacity, b.count, m);
        if (status >= 0) {
            memcpy(s->images + (size_t)s->count * bytes, b.images, (size_t)b.count * bytes);
            for (int64_t i = 0; i < b.count; i++)
                s->labels[s->count + i] = (uint16_t)batch_label(&b, i);
            memcpy(s->indices + s->count, b.indices, (size_t)b.count * sizeof *b.indices);
            s->count += b.count;
        }
        batch_free(&b);
        TRY(status);
    }
    return status;
}

int image_set_load(struct image_set *s, const char *path, struct message *m)
{
    struct batch_reader r;
    *s = (struct image_set){0};
    TRY(batch_reader_open(&r, path, m));
    int status = set_read(s, &r, m);
    if (status >= 0) {
        s->first = r.first;
        s->classes = r.classes;
        s->class_count = r.class_count;
        r.first = NULL;
        r.classes = NULL;
        r.class_count = 0;
    }
    batch_reader_close(&r);
    if (status < 0)
        image_set_free(s);
    return status;
}

void image_set_free(struct image_set *s)
{
    memory_free(s->indices);
    memory_free(s->images);
    memory_free(s->labels);
    record_free(s->first);
    classes_free(s->classes, s->class_count);
    *s = (struct image_set){0};
}

int images_match_input(struct image_shape images, int height, int width, int channels, struct message *m)
{
    char is[IMAGE_SHAPE_SIZE], want[IMAGE_SHAPE_SIZE];
    const struct image_shape input = {height, width, channels};
    if (image_shape_is(images, input))
        return 0;
    image_shape_print(images, is);
    image_shape_print(input, want);
    return message_set(m, STATUS_MISMATCH, "images: are %s, the model wants %s", is, want);
}

static int classes_match(const char *of_images, const char *of_model, struct message *m)
{
    char **a = NULL, **b = NULL;
    int count_a = 0, count_b = 0;
    int status = classes_from_json(of_images, &a, &count_a, m);
    if (status >= 0)
        status = classes_from_json(of_model, &b, &count_b, m);
    if (status >= 0 && count_a != count_b)
        status = message_set(m, STATUS_MISMATCH, "classes: the images have %d, the model %d", count_a, count_b);
    for (int i = 0; i < count_a && status >= 0; i++)
        if (strcmp(a[i], b[i]) != 0)
            status = message_set(m, STATUS_MISMATCH, "classes: number %d is '%s' of the images, '%s' of the model",
                                 i, a[i], b[i]);
    classes_free(a, count_a);
    classes_free(b, count_b);
    return status;
}

int data_matches_model(const struct record *batch_metadata, const struct record *model_metadata,
                       int allow_other_data, struct message *m)
{
    const char *classes_a = record_get(batch_metadata, "classes"),
               *classes_b = record_get(model_metadata, "classes");
    if (classes_a && classes_b)
        TRY(classes_match(classes_a, classes_b, m));
    const char *a = record_get(batch_metadata, "dataset-digest"), *b = record_get(model_metadata, "dataset-digest");
    if (allow_other_data || !a || !b || strcmp(a, b) == 0)
        return 0;
    return message_set(m, STATUS_MISMATCH, "dataset-digest: the images' is %s, the model's %s", a, b);
}

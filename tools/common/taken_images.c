#include "tools/common/taken_images.h"
#include "base/memory.h"
#include <string.h>

static int check_batch(const struct taken_images *t, const struct batch *b, const struct model *model,
                       struct message *m)
{
    const struct node *n = &model->graph.nodes[0];
    if (strcmp(t->reader.split, "test") == 0)
        return message_set(m, STATUS_MISMATCH,
                           "split: images of the test split must not shape a model; use the train split");
    TRY(data_matches_model(b->record, model->record, 0, m));
    return images_match_input(b->shape, n->h, n->w, n->c, m);
}

static int take_batch(struct taken_images *t, const struct batch *b, int64_t most, struct message *m)
{
    int64_t left = most - t->count, take = left < b->count ? left : b->count;
    if (take <= 0)
        return 0;
    size_t image = image_shape_bytes(b->shape), have = (size_t)t->count * image, more = (size_t)take * image;
    void *images = memory_resize(t->images, have, have + more, 1, m);
    if (!images)
        return STATUS_NOMEM;
    t->images = images;
    void *labels = memory_resize(t->labels, (size_t)t->count * sizeof *t->labels, (size_t)(t->count + take),
                                 sizeof *t->labels, m);
    if (!labels)
        return STATUS_NOMEM;
    t->labels = labels;
    for (int64_t i = 0; i < take; i++)
        t->labels[t->count + i] = (uint16_t)batch_label(b, i);
    memcpy(t->images + have, b->images, more);
    t->count += take;
    return 0;
}

static int take_all(struct taken_images *t, const struct model *model, int64_t most, struct message *m)
{
    struct batch b;
    int status;
    TRY(batch_reader_open(&t->reader, NULL, m));
    while ((status = batch_reader_next(&t->reader, &b, m)) > 0) {
        status = check_batch(t, &b, model, m);
        if (status < 0)
            message_prefix(m, status, "stdin");
        else
            status = take_batch(t, &b, most, m);
        batch_free(&b);
        TRY(status);
    }
    return status;
}

int images_take(struct taken_images *t, const struct model *model, int64_t most, struct message *m)
{
    *t = (struct taken_images){0};
    return take_all(t, model, most, m);
}

int images_share(struct taken_images *t, const struct ranks *ranks, size_t image, struct message *m)
{
    void *images = t->images;
    if (!ranks)
        return 0;
    TRY(ranks->broadcast(&t->count, sizeof t->count, m));
    TRY(spread_metadata(ranks, &t->reader.first, m));
    int status = spread_bytes(ranks, &images, (size_t)t->count * image, m);
    t->images = images;
    return status;
}

void taken_images_free(struct taken_images *t)
{
    batch_reader_close(&t->reader);
    memory_free(t->images);
    memory_free(t->labels);
    *t = (struct taken_images){0};
}

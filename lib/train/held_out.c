#include "train/held_out.h"
#include "base/memory.h"
#include "exec/infer/exec.h"
#include <stdio.h>
#include <string.h>

static const char *value_of(const struct record *r, const char *key)
{
    const char *value = record_get(r, key);
    return value ? value : "";
}

/* Only what both say can differ: data from elsewhere may say nothing. */
static int differs(const struct record *a, const struct record *b, const char *key)
{
    return *value_of(a, key) && *value_of(b, key) && strcmp(value_of(a, key), value_of(b, key)) != 0;
}

int data_require_training(const struct record *stream, const char *name, struct message *m)
{
    if (strcmp(value_of(stream, "split"), "test") != 0)
        return STATUS_OK;
    return message_set(m, STATUS_MISMATCH, "%s: split: is test, which is only for the final evaluation; want train",
                       name);
}

int data_continues_model(const struct record *stream, const struct record *model, struct message *m)
{
    const char *split = strrchr(value_of(model, "trained-on"), ' ');
    if (split && strncmp(split + 1, "test/", 5) == 0)
        return message_set(m, STATUS_MISMATCH,
                           "trained-on: is %s, of the test split, which is only for the final evaluation",
                           split + 1);
    return data_matches_model(stream, model, 0, m);
}

/* "DIGEST SPLIT/PART" */
static int describe_part(struct text *t, const struct record *stream, const char *part, struct message *m)
{
    return text_add(t, m, "%s %s/%s", value_of(stream, "dataset-digest"), value_of(stream, "split"), part);
}

static int trained_on(struct text *t, const struct record *stream, const char *before, struct message *m)
{
    TRY(describe_part(t, stream, value_of(stream, "part"), m));
    size_t digest = strlen(value_of(stream, "dataset-digest"));
    if (!before || strcmp(before, t->data) == 0 || strncmp(before, t->data, digest + 1) != 0)
        return STATUS_OK;
    text_clear(t);
    return describe_part(t, stream, "all", m);
}

int data_describe(struct record *model, const struct record *stream, struct message *m)
{
    static const char *const keys[] = {"dataset", "dataset-digest", "classes"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (record_get(stream, keys[i]))
            TRY(record_set(model, keys[i], record_get(stream, keys[i]), m));
    }
    if (!record_get(stream, "dataset-digest"))
        return STATUS_OK; /* not known, so nothing can be said */
    struct text t = {0};
    int status = trained_on(&t, stream, record_get(model, "trained-on"), m);
    if (status >= 0)
        status = record_set(model, "trained-on", t.data, m);
    text_free(&t);
    return status;
}

/* ---- refusals ---- */

/* Do two parts share images? Unknown parts are taken as apart: nothing is known against them. */
static int parts_overlap(const char *a, const char *b)
{
    if (!*a || !*b)
        return 0;
    return strcmp(a, b) == 0 || strcmp(a, "all") == 0 || strcmp(b, "all") == 0;
}

static int refuse_overlap(const char *path, const char *part, const char *other, const char *whose,
                          struct message *m)
{
    return message_set(m, STATUS_MISMATCH, "%s: part: is %s, which shares images with %s's part %s", path, part,
                       whose, other);
}

static int check_stream(const struct record *own, const char *path, const struct record *stream, struct message *m)
{
    static const char *const keys[] = {"classes", "dataset-digest"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (differs(own, stream, keys[i]))
            return message_set(m, STATUS_MISMATCH, "%s: %s: is %s, but the training images have %s", path, keys[i],
                               value_of(own, keys[i]), value_of(stream, keys[i]));
    }
    if (parts_overlap(value_of(own, "part"), value_of(stream, "part")))
        return refuse_overlap(path, value_of(own, "part"), value_of(stream, "part"), "the training stream", m);
    return STATUS_OK;
}

static int check_model(const struct record *own, const char *path, const struct record *model, const char *whose,
                       struct message *m)
{
    const char *trained = value_of(model, "trained-on"), *digest = value_of(own, "dataset-digest");
    const char *part = strrchr(trained, '/');
    if (!part || strncmp(trained, digest, strlen(digest)) != 0)
        return STATUS_OK;
    if (parts_overlap(value_of(own, "part"), part + 1))
        return refuse_overlap(path, value_of(own, "part"), part + 1, whose, m);
    return STATUS_OK;
}

/* A label counts as it travels: as one byte where that is enough. */
static int set_digest(const struct image_set *s, char hex[DIGEST_HEX], struct message *m)
{
    struct digest *d = digest_new(m);
    if (!d)
        return STATUS_NOMEM;
    digest_add(d, s->indices, (size_t)s->count * sizeof *s->indices);
    for (int64_t i = 0; i < s->count; i++) {
        const uint8_t label[2] = {(uint8_t)s->labels[i], (uint8_t)(s->labels[i] >> 8)};
        digest_add(d, label, s->class_count > 256 ? 2 : 1);
    }
    digest_add(d, s->images, (size_t)s->count * image_shape_bytes(s->shape));
    digest_finish(d, hex);
    return STATUS_OK;
}

static int open_checked(struct held_out *h, const char *path, const struct record *stream,
                        const struct record *model, struct message *m)
{
    TRY(data_require_training(h->set.first, path, m));
    if (stream)
        TRY(check_stream(h->set.first, path, stream, m));
    if (model)
        TRY(check_model(h->set.first, path, model, "the model", m));
    TRY(set_digest(&h->set, h->digest, m));
    h->logits = memory_new_raw((size_t)h->set.count, (size_t)h->set.class_count * sizeof *h->logits, m);
    return h->logits ? STATUS_OK : STATUS_NOMEM;
}

int held_out_open(struct held_out *h, const char *path, const struct record *stream, const struct record *model,
                  struct message *m)
{
    *h = (struct held_out){.logits = NULL};
    if (!path)
        return STATUS_OK;
    TRY(image_set_load(&h->set, path, m));
    int status = open_checked(h, path, stream, model, m);
    if (status < 0)
        held_out_close(h);
    return status;
}

int held_out_check(const struct held_out *h, const char *path, const struct record *model, const char *whose,
                   struct message *m)
{
    return held_out_is_open(h) ? check_model(h->set.first, path, model, whose, m) : STATUS_OK;
}

int held_out_is_open(const struct held_out *h)
{
    return h->logits != NULL;
}

/* Where a rank's images begin: whole batches of `batch`, which a device computes in calls of that shape. */
static int64_t share_begin(const struct held_out *h, int batch, int rank, int ranks)
{
    int64_t grain = batch > 0 ? batch : 1, begin = (h->set.count + grain - 1) / grain * rank / ranks * grain;
    return begin < h->set.count ? begin : h->set.count;
}

/* Logits of all images: a rank's own share of them, in order, then everybody's. */
static int logits_make(struct held_out *h, struct exec *e, int batch, struct message *m)
{
    int ranks = h->ranks ? h->ranks->count : 1, rank = h->ranks ? h->ranks->rank : 0;
    size_t row = (size_t)h->set.class_count, bytes[RANKS_MOST], offset[RANKS_MOST];
    int64_t first = share_begin(h, batch, rank, ranks), past = share_begin(h, batch, rank + 1, ranks);
    if (past > first)
        TRY(exec_run(e, h->set.images + (size_t)first * image_shape_bytes(h->set.shape), past - first,
                     h->logits + (size_t)first * row, m));
    if (ranks == 1)
        return STATUS_OK;
    for (int i = 0; i < ranks; i++) {
        int64_t begin = share_begin(h, batch, i, ranks), end = share_begin(h, batch, i + 1, ranks);
        offset[i] = (size_t)begin * row * sizeof *h->logits;
        bytes[i] = (size_t)(end - begin) * row * sizeof *h->logits;
    }
    return h->ranks->gather(h->logits + (size_t)first * row, h->logits, bytes, offset, m);
}

int held_out_evaluate(struct held_out *h, const struct model *model, const struct exec_options *options,
                      struct loss_sums *sums, struct message *m)
{
    struct exec *e;
    const struct graph *g = &model->graph;
    *sums = (struct loss_sums){0};
    TRY(exec_open(&e, model, options, m));
    int classes = exec_classes(e), status = STATUS_OK;
    if (classes != h->set.class_count)
        status = message_set(m, STATUS_MISMATCH, "the held-out images have %d classes, the model %d",
                             h->set.class_count, classes);
    if (status >= 0)
        status = images_match_input(h->set.shape, g->nodes[0].h, g->nodes[0].w, g->nodes[0].c, m);
    if (status >= 0)
        status = logits_make(h, e, options ? options->batch : 0, m);
    exec_close(e);
    if (status < 0)
        return status;
    status = loss_cross_entropy(h->logits, h->set.labels, h->set.count, classes, 0, NULL, sums, m);
    return status < 0 ? message_prefix(m, status, "on the held-out images") : STATUS_OK;
}

void held_out_close(struct held_out *h)
{
    if (h->set.first)
        image_set_free(&h->set);
    memory_free(h->logits);
    *h = (struct held_out){.logits = NULL};
}

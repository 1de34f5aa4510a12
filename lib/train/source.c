#include "train/source.h"
#include "base/memory.h"
#include "data/spread.h"
#include "exec/train/reduce.h"
#include <string.h>

static int is_first(const struct source *s)
{
    return !s->ranks || s->ranks->rank == 0;
}

/* ---- what there is to know ---- */

struct facts {
    struct image_shape shape;
    int class_count, mixed;
    int64_t total, steps;
};

/* From the first rank to the others. */
static int facts_send(struct source *s, struct message *m)
{
    struct facts f = {s->shape, s->class_count, s->mixed, s->total, s->steps};
    TRY(s->ranks->broadcast(&f, sizeof f, m));
    s->shape = f.shape;
    s->class_count = f.class_count;
    s->mixed = f.mixed;
    s->total = f.total;
    s->steps = f.steps;
    return spread_metadata(s->ranks, &s->stream, m);
}

static int share_room(struct source *s, int batch, struct message *m)
{
    size_t most = (size_t)share_most_images(batch, s->shard, s->ranks->count);
    s->images = memory_new(most, image_shape_bytes(s->shape), m);
    s->labels = memory_new(most, sizeof *s->labels, m);
    if (s->mixed) {
        s->labels2 = memory_new(most * (size_t)s->mixed, sizeof *s->labels2, m);
        s->share = memory_new(most * (size_t)s->mixed, sizeof *s->share, m);
    }
    return s->images && s->labels && (!s->mixed || (s->labels2 && s->share)) ? STATUS_OK : STATUS_NOMEM;
}

static int feed_known(struct source *s, const char *path, int batch, int64_t epochs, struct message *m)
{
    TRY(feed_open(&s->feed, path, batch, epochs, m));
    const struct batch_reader *r = feed_stream(s->feed);
    s->stream = record_copy(r->first, m);
    s->shape = r->shape;
    s->class_count = r->class_count;
    s->mixed = r->mixed;
    s->total = feed_total(s->feed);
    s->steps = s->total > 0 ? feed_steps(s->feed) : 0;
    return s->stream ? STATUS_OK : STATUS_NOMEM;
}

int source_open(struct source *s, const struct ranks *ranks, int shard, const char *path, int batch, int64_t epochs,
                struct message *m)
{
    *s = (struct source){.ranks = ranks && ranks->count > 1 ? ranks : NULL, .shard = shard};
    if (is_first(s))
        TRY(feed_known(s, path, batch, epochs, m));
    if (!s->ranks)
        return STATUS_OK;
    TRY(facts_send(s, m));
    return is_first(s) ? STATUS_OK : share_room(s, batch, m);
}

int source_start(struct source *s, int64_t epoch, int64_t step, struct message *m)
{
    return s->feed ? feed_start(s->feed, epoch, step, m) : STATUS_OK;
}

/* ---- mini-batches ---- */

struct notice {
    int64_t got, epoch, step, surplus;
    int count, last;
};

/* Values of `size` bytes an image, from the first rank's `all` to everybody's share. */
static int shares_send(const struct source *s, int count, const void *all, void *own, size_t size,
                       struct message *m)
{
    size_t tables[4][RANKS_MOST] = {{0}}; /* sent bytes and offsets, received ones */
    for (int i = 1; i < s->ranks->count; i++) {
        struct share share = share_of(count, s->shard, i, s->ranks->count);
        if (is_first(s)) {
            tables[0][i] = (size_t)share.images * size;
            tables[1][i] = (size_t)share.first * size;
        } else if (i == s->ranks->rank) {
            tables[2][0] = (size_t)share.images * size;
        }
    }
    return s->ranks->exchange(all, tables[0], tables[1], own, tables[2], tables[3], m);
}

static int batch_send(struct source *s, int got, struct minibatch *b, struct message *m)
{
    struct notice n = {.got = got};
    if (is_first(s) && got == 1)
        n = (struct notice){got, b->epoch, b->step, 0, b->count, b->last};
    if (is_first(s) && got == 0)
        n.surplus = feed_surplus(s->feed);
    TRY(s->ranks->broadcast(&n, sizeof n, m));
    s->surplus = n.surplus;
    if (n.got != 1)
        return n.got < 0 ? message_set(m, (int)n.got, "interrupted") : STATUS_OK;
    if (!is_first(s))
        *b = (struct minibatch){n.epoch,   n.step,   n.count,    n.last,  s->images,
                                s->labels, s->mixed, s->labels2, s->share};
    TRY(shares_send(s, n.count, b->images, b->images, image_shape_bytes(s->shape), m));
    TRY(shares_send(s, n.count, b->labels, b->labels, sizeof *b->labels, m));
    if (s->mixed) {
        TRY(shares_send(s, n.count, b->labels2, b->labels2, (size_t)s->mixed * sizeof *b->labels2, m));
        TRY(shares_send(s, n.count, b->share, b->share, (size_t)s->mixed * sizeof *b->share, m));
    }
    return 1;
}

int source_next(struct source *s, struct minibatch *b, const volatile sig_atomic_t *stop, struct message *m)
{
    int got = is_first(s) ? feed_next(s->feed, b, stop, m) : STATUS_OK;
    if (got < 0 && got != STATUS_INTERRUPTED)
        return got;
    if (s->ranks)
        return batch_send(s, got, b, m);
    s->surplus = got == 0 ? feed_surplus(s->feed) : 0;
    return got;
}

int source_is_stopped(const struct source *s, const volatile sig_atomic_t *stop, struct message *m)
{
    int is_stopped = stop && *stop;
    if (s->ranks)
        TRY(s->ranks->broadcast(&is_stopped, sizeof is_stopped, m));
    return is_stopped;
}

void source_close(struct source *s)
{
    feed_close(s->feed);
    record_free(s->stream);
    memory_free(s->images);
    memory_free(s->labels);
    memory_free(s->labels2);
    memory_free(s->share);
    *s = (struct source){0};
}

#include "data/spread.h"
#include "base/memory.h"
#include "base/text.h"
#include <string.h>

enum { ROUND_BYTES = 256 << 20 /* at most, as long as each rank has an image */ };

static int rank_of(const struct spread *s)
{
    return s->ranks ? s->ranks->rank : 0;
}

/* Of `count` images those of ranks before `rank`. */
static int64_t part_begin(const struct spread *s, int64_t count, int rank)
{
    return count * rank / s->ranks->count;
}

static int64_t round_most(size_t image, int ranks, int each)
{
    int64_t fit = (int64_t)(ROUND_BYTES / (image * (size_t)ranks));
    return (fit < 1 ? 1 : fit < each ? fit : each) * ranks;
}

int spread_open(struct spread *s, const struct ranks *ranks, const char *path, size_t image, int each,
                spread_visitor *visit, void *context, struct message *m)
{
    *s = (struct spread){
        .ranks = ranks && ranks->count > 1 ? ranks : NULL, .image = image, .visit = visit, .context = context};
    if (s->ranks) {
        s->most = round_most(image, ranks->count, each);
        s->images = memory_new_raw((size_t)(rank_of(s) == 0 ? s->most : s->most / ranks->count), image, m);
        if (!s->images)
            return STATUS_NOMEM;
    }
    return rank_of(s) == 0 ? batch_reader_open(&s->reader, path, m) : STATUS_OK;
}

/* The next batch of which images are wanted, in place of the one at hand: 1, 0 at the end, negative. */
static int batch_fetch(struct spread *s, struct message *m)
{
    do {
        int64_t visited;
        batch_free(&s->batch);
        s->at = s->visited = 0;
        int got = batch_reader_next(&s->reader, &s->batch, m);
        if (got <= 0)
            return got;
        visited = s->visit(s->context, &s->batch, m);
        if (visited < 0)
            return (int)visited;
        s->visited = visited;
    } while (s->visited == 0);
    return 1;
}

static int next_alone(struct spread *s, struct round *r, struct message *m)
{
    int got = batch_fetch(s, m);
    if (got > 0)
        *r = (struct round){s->visited, 0, s->visited, s->batch.images};
    return got;
}

/* The first rank's: the round's images; how many. */
static int64_t round_fill(struct spread *s, struct message *m)
{
    int64_t count = 0;
    while (count < s->most) {
        if (s->at == s->visited) {
            int got = batch_fetch(s, m);
            if (got < 0)
                return got;
            if (got == 0)
                break;
        }
        int64_t left = s->visited - s->at, room = s->most - count, take = left < room ? left : room;
        memcpy(s->images + (size_t)count * s->image, s->batch.images + (size_t)s->at * s->image,
               (size_t)take * s->image);
        s->at += take;
        count += take;
    }
    return count;
}

/* Bytes of each rank's part and where they lie, and a table of zeros. */
struct tables {
    size_t bytes[RANKS_MOST], offset[RANKS_MOST], none[RANKS_MOST];
};

static void tables_fill(struct tables *t, const struct spread *s, int64_t count, size_t size)
{
    memset(t, 0, sizeof *t);
    for (int i = 0; i < s->ranks->count; i++) {
        t->offset[i] = (size_t)part_begin(s, count, i) * size;
        t->bytes[i] = (size_t)part_begin(s, count, i + 1) * size - t->offset[i];
    }
}

/* From the first rank's images to everybody's; its own lie there already. */
static int round_send(struct spread *s, int64_t count, struct message *m)
{
    struct tables t;
    int rank = rank_of(s);
    tables_fill(&t, s, count, s->image);
    t.bytes[0] = 0;
    size_t own[RANKS_MOST] = {t.bytes[rank]};
    return rank == 0 ? s->ranks->exchange(s->images, t.bytes, t.offset, s->images, t.none, t.none, m)
                     : s->ranks->exchange(s->images, t.none, t.none, s->images, own, t.none, m);
}

int spread_next(struct spread *s, struct round *r, struct message *m)
{
    int64_t count = 0;
    if (!s->ranks)
        return next_alone(s, r, m);
    if (rank_of(s) == 0) {
        count = round_fill(s, m);
        if (count < 0)
            return (int)count;
    }
    TRY(s->ranks->broadcast(&count, sizeof count, m));
    if (count == 0)
        return 0;
    TRY(round_send(s, count, m));
    int64_t first = part_begin(s, count, rank_of(s)), past = part_begin(s, count, rank_of(s) + 1);
    *r = (struct round){count, first, past - first, s->images};
    return 1;
}

int spread_collect(const struct spread *s, const struct round *r, const void *own, size_t bytes, void *all,
                   struct message *m)
{
    struct tables t;
    size_t sent[RANKS_MOST] = {(size_t)r->own * bytes};
    if (rank_of(s) == 0)
        memmove(all, own, sent[0]);
    if (!s->ranks)
        return STATUS_OK;
    tables_fill(&t, s, r->count, bytes);
    t.bytes[0] = 0;
    return rank_of(s) == 0 ? s->ranks->exchange(own, t.none, t.none, all, t.bytes, t.offset, m)
                           : s->ranks->exchange(own, sent, t.none, NULL, t.none, t.none, m);
}

void spread_close(struct spread *s)
{
    batch_free(&s->batch);
    batch_reader_close(&s->reader);
    memory_free(s->images);
    *s = (struct spread){0};
}

/* ---- what all are to know ---- */

int spread_bytes(const struct ranks *ranks, void **data, size_t bytes, struct message *m)
{
    const size_t piece = 1 << 30; /* a call takes less than 2^31 */
    if (ranks->rank > 0) {
        *data = memory_new_raw(bytes, 1, m);
        if (!*data)
            return STATUS_NOMEM;
    }
    for (size_t at = 0; at < bytes; at += piece)
        TRY(ranks->broadcast((char *)*data + at, bytes - at < piece ? bytes - at : piece, m));
    return STATUS_OK;
}

/* "key\0value\0..." */
static int metadata_pack(const struct record *r, void **bytes, int64_t *count, struct message *m)
{
    size_t size = 0;
    for (size_t i = 0; i < r->metadata_count; i++)
        size += strlen(r->metadata[i].key) + strlen(r->metadata[i].value) + 2;
    char *at = *bytes = memory_new(size + 1, 1, m);
    if (!at)
        return STATUS_NOMEM;
    for (size_t i = 0; i < r->metadata_count; i++) {
        at = stpcpy(at, r->metadata[i].key) + 1;
        at = stpcpy(at, r->metadata[i].value) + 1;
    }
    *count = (int64_t)size;
    return STATUS_OK;
}

static int metadata_unpack(struct record *r, const char *bytes, int64_t count, struct message *m)
{
    for (const char *key = bytes; key < bytes + count;) {
        const char *value = key + strlen(key) + 1;
        TRY(record_set(r, key, value, m));
        key = value + strlen(value) + 1;
    }
    return STATUS_OK;
}

int spread_metadata(const struct ranks *ranks, struct record **stream, struct message *m)
{
    void *bytes = NULL;
    int64_t count = 0;
    if (ranks->rank == 0)
        TRY(metadata_pack(*stream, &bytes, &count, m));
    int status = ranks->broadcast(&count, sizeof count, m);
    if (status >= 0)
        status = spread_bytes(ranks, &bytes, (size_t)count, m);
    if (status >= 0 && ranks->rank > 0) {
        *stream = record_new(m);
        status = *stream ? metadata_unpack(*stream, bytes, count, m) : STATUS_NOMEM;
    }
    memory_free(bytes);
    return status;
}

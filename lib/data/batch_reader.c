#include "data/batch.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

/* What may not change within a stream. */
static const char *const fixed_keys[] = {"dataset", "dataset-digest", "classes", "split",
                                         "part",    "image",          "mean",    "std"};
enum { FIXED_KEYS = sizeof fixed_keys / sizeof fixed_keys[0] };

int batch_reader_open(struct batch_reader *r, const char *path, struct message *m)
{
    *r = (struct batch_reader){0};
    return reader_open(&r->reader, path, m);
}

void batch_reader_close(struct batch_reader *r)
{
    reader_close(r->reader);
    record_free(r->first);
    classes_free(r->classes, r->class_count);
    *r = (struct batch_reader){0};
}

/* Copies a value of the first batch to where a caller finds it; absent is "". */
static int value_keep(const struct record *record, const char *key, char *out, size_t size, struct message *m)
{
    const char *value = record_get(record, key);
    if (value && strlen(value) >= size)
        return message_set(m, STATUS_FORMAT, "%s: value of %zu bytes, want at most %zu", key, strlen(value),
                           size - 1);
    snprintf(out, size, "%s", value ? value : "");
    return 0;
}

/* The first batch: says what the stream is about. */
static int stream_begin(struct batch_reader *r, const struct record *record, struct message *m)
{
    const char *classes = record_get(record, "classes");
    if (!classes)
        return message_set(m, STATUS_FORMAT, "missing metadata: classes");
    TRY(value_keep(record, "dataset", r->dataset, sizeof r->dataset, m));
    TRY(value_keep(record, "dataset-digest", r->digest, sizeof r->digest, m));
    TRY(value_keep(record, "split", r->split, sizeof r->split, m));
    TRY(value_keep(record, "part", r->part, sizeof r->part, m));
    TRY(classes_from_json(classes, &r->classes, &r->class_count, m));
    r->first = record_new(m);
    if (!r->first)
        return STATUS_NOMEM;
    TRY(record_inherit(r->first, record, m));
    r->started = 1;
    return 0;
}

static int fixed_check(const struct batch_reader *r, const struct record *record, struct message *m)
{
    for (int i = 0; i < FIXED_KEYS; i++) {
        const char *first = record_get(r->first, fixed_keys[i]), *now = record_get(record, fixed_keys[i]);
        first = first ? first : "(none)";
        now = now ? now : "(none)";
        if (strcmp(first, now) != 0)
            return message_set(m, STATUS_MISMATCH, "%s: changes within the stream from %.200s to %.200s",
                               fixed_keys[i], first, now);
    }
    return 0;
}

/* Batches of an epoch follow each other without a gap and an epoch begins where the last one was complete. What a
 * batch does not say (it comes from elsewhere) is taken as right. */
static int place_check(const struct batch_reader *r, struct batch *b, struct message *m)
{
    int first = r->images == 0;
    if (!record_get(b->record, "epoch"))
        b->epoch = r->epoch;
    int64_t want = !first && b->epoch == r->epoch ? r->position : 0;
    if (!record_get(b->record, "position"))
        b->position = want;
    if (b->position != want)
        return message_set(m, STATUS_MISMATCH, "position: epoch %lld goes on at %lld, want %lld",
                           (long long)b->epoch, (long long)b->position, (long long)want);
    if (b->total > 0 && b->position + b->count > b->total)
        return message_set(m, STATUS_MISMATCH, "position: a batch spans two epochs: %lld + %lld images of %lld",
                           (long long)b->position, (long long)b->count, (long long)b->total);
    if (first || b->epoch == r->epoch)
        return 0;
    if (b->epoch != r->epoch + 1)
        return message_set(m, STATUS_MISMATCH, "epoch: %lld follows %lld", (long long)b->epoch,
                           (long long)r->epoch);
    if (b->total > 0 && r->position != b->total)
        return message_set(m, STATUS_MISMATCH, "epoch: %lld begins after %lld of %lld images of the last",
                           (long long)b->epoch, (long long)r->position, (long long)b->total);
    return 0;
}

static int shape_check(const struct batch_reader *r, const struct batch *b, struct message *m)
{
    char first[IMAGE_SHAPE_SIZE], now[IMAGE_SHAPE_SIZE];
    if (image_shape_is(r->shape, b->shape))
        return 0;
    image_shape_print(r->shape, first);
    image_shape_print(b->shape, now);
    return message_set(m, STATUS_MISMATCH, "images: change within the stream from %s to %s", first, now);
}

static int mixed_check(struct batch_reader *r, const struct batch *b, struct message *m)
{
    if (b->mixed && !r->takes_mixed)
        return message_set(m, STATUS_MISMATCH,
                           "labels2: mixed images (augment --cutmix, --mixup, --ricap) have no one label, and are "
                           "for training alone");
    if (r->images == 0)
        r->mixed = b->mixed;
    return r->mixed == b->mixed
               ? 0
               : message_set(m, STATUS_MISMATCH, "labels2: changes within the stream from %d labels an image to %d",
                             r->mixed, b->mixed);
}

static int batch_accept(struct batch_reader *r, struct batch *b, struct record *record, struct message *m)
{
    TRY(record_require_kind(record, "batch", m));
    if (!r->started)
        TRY(stream_begin(r, record, m));
    else
        TRY(fixed_check(r, record, m));
    TRY(batch_from_record(b, record, r->class_count, m));
    if (r->images == 0)
        r->shape = b->shape;
    int status = shape_check(r, b, m);
    if (status >= 0)
        status = mixed_check(r, b, m);
    if (status >= 0)
        status = place_check(r, b, m);
    if (status < 0) {
        *b = (struct batch){0}; /* the record stays the caller's */
        return status;
    }
    r->images += b->count;
    r->epoch = b->epoch;
    r->position = b->position + b->count;
    return 1;
}

/* After the end record nothing may come, be it a record or rubbish. */
static int nothing_follows(struct batch_reader *r, struct message *m)
{
    struct record *surplus = NULL;
    struct message reason = {0};
    int status = reader_next(r->reader, &surplus, &reason);
    record_free(surplus);
    if (status == 0)
        return 0;
    if (status > 0)
        return message_set(m, STATUS_FORMAT, "surplus record after the end record");
    if (status == STATUS_IO || status == STATUS_NOMEM)
        return message_set(m, status, "%s", reason.text);
    size_t name = strlen(reader_name(r->reader));
    const char *text = reason.text;
    if (strncmp(text, reader_name(r->reader), name) == 0 && text[name] == ':')
        text += name + 2;
    return message_set(m, STATUS_FORMAT, "surplus bytes after the end record: %s", text);
}

static int end_accept(struct batch_reader *r, const struct record *record, struct message *m)
{
    const char *text = record_get(record, "images");
    int64_t images;
    if (!r->started)
        return message_set(m, STATUS_TRUNCATED, "empty input");
    if (!text)
        return message_set(m, STATUS_FORMAT, "end record: missing metadata: images");
    TRY(parse_integer(text, 0, INT64_MAX, "end record: images", &images, m));
    if (images != r->images)
        return message_set(m, STATUS_MISMATCH, "end record: images: %lld, but the stream held %lld",
                           (long long)images, (long long)r->images);
    TRY(nothing_follows(r, m));
    r->ended = 1;
    return 0;
}

static int record_accept(struct batch_reader *r, struct batch *b, struct record *record, struct message *m)
{
    int is_end = strcmp(record_kind(record), "end") == 0;
    int status = is_end ? end_accept(r, record, m) : batch_accept(r, b, record, m);
    if (is_end || status < 0)
        record_free(record);
    return status;
}

int batch_reader_next(struct batch_reader *r, struct batch *b, struct message *m)
{
    struct record *record = NULL;
    *b = (struct batch){0};
    if (r->ended)
        return 0;
    TRY(reader_next(r->reader, &record, m)); /* names the file itself */
    int status;
    if (record)
        status = record_accept(r, b, record, m);
    else if (reader_records(r->reader) == 0)
        status = message_set(m, STATUS_TRUNCATED, "empty input");
    else
        status =
            message_set(m, STATUS_TRUNCATED, "truncated stream after %llu record%s",
                        (unsigned long long)reader_records(r->reader), reader_records(r->reader) == 1 ? "" : "s");
    return status < 0 ? message_prefix(m, status, "%s", reader_name(r->reader)) : status;
}

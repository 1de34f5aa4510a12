#include "record/describe.h"
#include "record/stream.h"
#include <string.h>

static int batch_count(struct file_summary *s, const struct record *batch, struct message *m)
{
    struct tensor *labels = record_find(batch, "labels");
    enum dtype type = labels && labels->dtype == DTYPE_U16 ? DTYPE_U16 : DTYPE_U8;
    TRY(record_require(batch, "labels", type, 1, (int64_t[]){-1}, &labels, m));
    s->images += labels->shape[0];
    s->records++;
    return STATUS_OK;
}

/* The end record: its count must be the stream's. */
static int end_check(const struct record *end, int64_t images, struct message *m)
{
    const char *count = record_get(end, "images");
    int64_t said;
    if (!count)
        return message_set(m, STATUS_FORMAT, "end record has no field images");
    TRY(parse_integer(count, 0, INT64_MAX, "field images", &said, m));
    if (said != images)
        return message_set(m, STATUS_MISMATCH, "field images: end record says %lld, the stream held %lld",
                           (long long)said, (long long)images);
    return STATUS_OK;
}

/* One record after the first. Returns 1 where it was the end record. */
static int stream_step(struct file_summary *s, const struct record *r, struct message *m)
{
    if (strcmp(record_kind(r), "end") == 0) {
        TRY(end_check(r, s->images, m));
        return 1;
    }
    TRY(record_require_kind(r, "batch", m));
    return batch_count(s, r, m);
}

/* After the first batch: more of them, then the end record, then nothing. */
static int stream_check(struct record_reader *in, struct file_summary *s, struct message *m)
{
    struct record *r;
    int status;
    while ((status = reader_next(in, &r, m)) == 1) {
        int ended = stream_step(s, r, m);
        record_free(r);
        if (ended < 0)
            return message_prefix(m, ended, "%s: record %llu", reader_name(in),
                                  (unsigned long long)reader_records(in));
        if (ended)
            return reader_finish(in, m);
    }
    TRY(status);
    return message_set(m, STATUS_TRUNCATED, "%s: truncated stream after %llu record%s: no end record",
                       reader_name(in), (unsigned long long)s->records, s->records == 1 ? "" : "s");
}

static int file_check(struct record_reader *in, struct file_summary *s, struct message *m)
{
    int status = reader_next(in, &s->first, m);
    TRY(status);
    if (status == 0)
        return message_set(m, STATUS_TRUNCATED, "%s: empty input", reader_name(in));
    if (strcmp(record_kind(s->first), "end") == 0)
        return message_set(m, STATUS_FORMAT, "%s: empty input: an end record without batches", reader_name(in));
    if (strcmp(record_kind(s->first), "batch") == 0) {
        status = batch_count(s, s->first, m);
        return status < 0 ? message_prefix(m, status, "%s: record 1", reader_name(in)) : stream_check(in, s, m);
    }
    s->records = 1;
    return reader_finish(in, m);
}

int record_check(const char *path, struct file_summary *summary, struct message *m)
{
    struct record_reader *in;
    *summary = (struct file_summary){0};
    TRY(reader_open(&in, path, m));
    int status = file_check(in, summary, m);
    reader_close(in);
    if (status < 0) {
        record_free(summary->first);
        *summary = (struct file_summary){0};
    }
    return status;
}

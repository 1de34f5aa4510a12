#include "ptq/analyse_part.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/join.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = NODE_NAME_SIZE + 32, MOST_CLASSES = 65536 };

static const char *const whats[2] = {"activations", "weights"};

/* ---- images ---- */

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void analyse_part_choose(struct analyse_options *how, uint8_t *images, uint16_t *labels, size_t image,
                         int64_t first, int64_t judged)
{
    const int64_t total = how->count, matched = how->match == MATCH_OFF ? 0 : how->match_count;
    const int64_t shown = first == 0 ? ANALYSE_SHOWN : 0;
    const int64_t head = at_most(matched > shown ? matched : shown, total);
    how->judged = at_most(judged ? judged : total, total - first);
    how->first = at_most(first, head);
    how->is_blind = first > 0;
    how->keep = 1;
    how->images = images;
    how->labels = labels;
    memmove(images + (size_t)how->first * image, images + (size_t)first * image, (size_t)how->judged * image);
    memmove(labels + how->first, labels + first, (size_t)how->judged * sizeof *labels);
    how->count = how->first + how->judged > head ? how->first + how->judged : head;
}

/* ---- to a record ---- */

static int add_rows(const struct analysis *a, struct record *to, struct message *m)
{
    const int64_t shape[2] = {a->judged, a->classes};
    const size_t each = (size_t)a->judged * (size_t)a->classes;
    TRY(record_add_copy(to, "float", DTYPE_F32, 2, shape, a->wanted, m));
    for (int i = 0; i < a->count; i++) {
        const struct analyse_row *row = &a->rows[i];
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "%s.%s.%d", row->name, whats[row->is_weights], row->bits);
        TRY(record_add_copy(to, name, DTYPE_F32, 2, shape, a->logits + (size_t)i * each, m));
    }
    return 0;
}

static int add_columns(const struct analysis *a, int64_t first, struct record *to, struct message *m)
{
    const int64_t rows = a->count;
    struct tensor *bytes, *sqnr, *accumulated;
    TRY(record_add(to, "bytes", DTYPE_I64, 1, &rows, &bytes, m));
    for (int i = 0; i < a->count; i++)
        ((int64_t *)bytes->data)[i] = a->rows[i].bytes;
    if (first > 0)
        return 0;
    TRY(record_add(to, "sqnr", DTYPE_F64, 1, &rows, NULL, m));
    TRY(record_add(to, "sqnr_accumulated", DTYPE_F64, 1, &rows, &accumulated, m));
    sqnr = record_find(to, "sqnr");
    for (int i = 0; i < a->count; i++) {
        ((double *)sqnr->data)[i] = a->rows[i].sqnr;
        ((double *)accumulated->data)[i] = a->rows[i].sqnr_accumulated;
    }
    return 0;
}

int analysis_to_record(const struct analysis *a, const uint16_t *labels, int64_t first, int64_t total,
                       struct record *record, struct message *m)
{
    TRY(record_set(record, "format", "resq 1", m));
    TRY(record_set(record, "kind", "analysis", m));
    TRY(record_set(record, "isa", a->isa, m));
    TRY(record_setf(record, "images", m, "%lld", (long long)a->judged));
    TRY(record_setf(record, "total", m, "%lld", (long long)total));
    TRY(add_columns(a, first, record, m));
    TRY(record_add_copy(record, "first", DTYPE_I64, 0, NULL, &first, m));
    TRY(add_rows(a, record, m));
    return record_add_copy(record, "labels", DTYPE_U16, 1, &a->judged, labels, m);
}

/* ---- from a record ---- */

/* A part, as its record has it. */
struct part {
    const struct record *record;
    const char *name;
    int64_t first, images, total;
    int classes, rows;
    const uint16_t *labels;
    const float *wanted;
    const int64_t *bytes;
    const double *sqnr, *accumulated; /* NULL where first is not 0 */
};

/* LAYER.weights.4, LAYER.activations.4: 1, filling the row; 0 where the tensor is no row. */
static int row_read(const char *tensor, struct analyse_row *row)
{
    for (int is_weights = 0; is_weights < 2; is_weights++) {
        char suffix[32];
        for (int bits = 2; bits <= 8; bits++) {
            int n = snprintf(suffix, sizeof suffix, ".%s.%d", whats[is_weights], bits);
            size_t length = strlen(tensor), stem = length - (size_t)n;
            if (length <= (size_t)n || stem >= NODE_NAME_SIZE || strcmp(tensor + stem, suffix) != 0)
                continue;
            *row = (struct analyse_row){.node = -1, .is_weights = is_weights, .bits = bits};
            memcpy(row->name, tensor, stem);
            return 1;
        }
    }
    return 0;
}

static int logits_check(const struct tensor *t, struct message *m)
{
    const float *values = t->data;
    for (size_t i = 0; i < t->count; i++)
        if (!isfinite(values[i]))
            return message_set(m, STATUS_RANGE, "%s: value %zu is not finite", t->name, i);
    return 0;
}

/* Every tensor that is a row has the shape of the float network's logits. */
static int rows_check(struct part *p, struct message *m)
{
    const int64_t shape[2] = {p->images, p->classes};
    for (size_t i = 0; i < p->record->tensor_count; i++) {
        struct analyse_row row;
        struct tensor *t;
        if (!row_read(p->record->tensors[i].name, &row))
            continue;
        TRY(record_require(p->record, p->record->tensors[i].name, DTYPE_F32, 2, shape, &t, m));
        TRY(logits_check(t, m));
        p->rows++;
    }
    return p->rows ? 0 : message_set(m, STATUS_MISMATCH, "no rows: a tensor LAYER.weights.BITS is missing");
}

static int columns_read(struct part *p, struct message *m)
{
    const int64_t rows = p->rows;
    struct tensor *t;
    TRY(record_require(p->record, "bytes", DTYPE_I64, 1, &rows, &t, m));
    p->bytes = t->data;
    if (p->first > 0)
        return 0;
    TRY(record_require(p->record, "sqnr", DTYPE_F64, 1, &rows, &t, m));
    p->sqnr = t->data;
    TRY(record_require(p->record, "sqnr_accumulated", DTYPE_F64, 1, &rows, &t, m));
    p->accumulated = t->data;
    return 0;
}

static int labels_check(const struct part *p, struct message *m)
{
    for (int64_t i = 0; i < p->images; i++)
        if (p->labels[i] >= p->classes)
            return message_set(m, STATUS_RANGE, "labels: image %lld: label %d of %d classes", (long long)i,
                               p->labels[i], p->classes);
    return 0;
}

static int part_read(struct part *p, const struct record *record, const char *name, struct message *m)
{
    struct tensor *t;
    const char *total = record_get(record, "total");
    *p = (struct part){.record = record, .name = name};
    TRY(record_require_kind(record, "analysis", m));
    TRY(record_require(record, "float", DTYPE_F32, 2, (const int64_t[]){-1, -1}, &t, m));
    if (t->shape[0] < 1 || t->shape[1] < 1 || t->shape[1] > MOST_CLASSES)
        return message_set(m, STATUS_MISMATCH, "float: no logits of 1 to %d classes", MOST_CLASSES);
    TRY(logits_check(t, m));
    p->wanted = t->data;
    p->images = t->shape[0];
    p->classes = (int)t->shape[1];
    TRY(record_require(record, "labels", DTYPE_U16, 1, &p->images, &t, m));
    p->labels = t->data;
    TRY(labels_check(p, m));
    TRY(record_require(record, "first", DTYPE_I64, 0, NULL, &t, m));
    p->first = *(const int64_t *)t->data;
    if (!total)
        return message_set(m, STATUS_MISMATCH, "missing metadata: total");
    TRY(parse_integer(total, 1, INT64_MAX, "total", &p->total, m));
    if (p->first < 0 || p->first > p->total - p->images)
        return message_set(m, STATUS_RANGE, "first: images %lld on are not of a stream of %lld",
                           (long long)p->first, (long long)p->total);
    TRY(rows_check(p, m));
    return columns_read(p, m);
}

/* ---- all parts ---- */

static void sort_parts(struct part *parts, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && parts[k].first < parts[k - 1].first; k--) {
            const struct part part = parts[k];
            parts[k] = parts[k - 1];
            parts[k - 1] = part;
        }
}

static int same_made_by(const struct part *a, const struct part *b, struct message *m)
{
    const char *x = record_get(a->record, "made-by"), *y = record_get(b->record, "made-by");
    return strcmp(x ? x : "", y ? y : "") == 0
               ? 0
               : message_set(m, STATUS_MISMATCH, "made-by: differs from that of %s", a->name);
}

/* Every part is of the first one's run, and its images follow on the last one's. */
static int parts_follow(const struct part *parts, int count, struct message *m)
{
    int64_t next = 0;
    for (int i = 0; i < count; i++) {
        const struct part *p = &parts[i];
        int status = parts_check(parts[0].record, p->record, parts[0].name, m);
        if (status >= 0)
            status = same_made_by(&parts[0], p, m);
        if (status >= 0 && (p->classes != parts[0].classes || p->rows != parts[0].rows))
            status = message_set(m, STATUS_MISMATCH, "%d rows of %d classes, but %s has %d of %d", p->rows,
                                 p->classes, parts[0].name, parts[0].rows, parts[0].classes);
        if (status >= 0 && p->first != next)
            status =
                message_set(m, STATUS_MISMATCH, "first: begins at image %lld, want %lld: %s", (long long)p->first,
                            (long long)next, p->first < next ? "some are there twice" : "a part is missing");
        if (status < 0)
            return message_prefix(m, status, "%s", p->name);
        next = p->first + p->images;
    }
    if (next == parts[0].total)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s: the last image is %lld, but the stream has %lld: a part is missing",
                       parts[count - 1].name, (long long)next - 1, (long long)parts[0].total);
}

/* Row i, whose tensor the first part has. */
static int row_join(struct analysis *out, int i, const char *tensor, const struct part *parts, int count,
                    struct message *m)
{
    struct analyse_row *row = &out->rows[i];
    row->sqnr = parts[0].sqnr[i];
    row->sqnr_accumulated = parts[0].accumulated[i];
    row->bytes = parts[0].bytes[i];
    for (int k = 0; k < count; k++) {
        const struct part *p = &parts[k];
        const struct tensor *t = record_find(p->record, tensor);
        if (!t || p->bytes[i] != row->bytes)
            return message_set(m, STATUS_MISMATCH, "%s: %s: %s", p->name, tensor,
                               t ? "of other bytes than in the first part" : "missing tensor");
        analyse_row_add(row, p->wanted, t->data, p->labels, p->images, p->classes);
    }
    analyse_row_finish(row, out->judged, out->classes);
    return 0;
}

static int rows_join(struct analysis *out, const struct part *parts, int count, struct message *m)
{
    const struct record *first = parts[0].record;
    out->rows = memory_new((size_t)parts[0].rows, sizeof *out->rows, m);
    if (!out->rows)
        return STATUS_NOMEM;
    out->classes = parts[0].classes;
    out->judged = parts[0].total;
    for (int k = 0; k < count; k++)
        out->correct += analyse_correct(parts[k].wanted, parts[k].labels, parts[k].images, parts[k].classes);
    for (size_t i = 0; i < first->tensor_count; i++)
        if (row_read(first->tensors[i].name, &out->rows[out->count])) {
            TRY(row_join(out, out->count, first->tensors[i].name, parts, count, m));
            if (++out->count == parts[0].rows)
                break;
        }
    return 0;
}

int analysis_join(struct analysis *out, struct record *const *records, const char *const *names, int count,
                  struct message *m)
{
    *out = (struct analysis){0};
    struct part *parts = memory_new((size_t)count, sizeof *parts, m);
    int status = parts ? 0 : STATUS_NOMEM;
    for (int i = 0; i < count && status >= 0; i++) {
        status = part_read(&parts[i], records[i], names[i], m);
        if (status < 0)
            message_prefix(m, status, "%s", names[i]);
    }
    if (status >= 0) {
        sort_parts(parts, count);
        status = parts_follow(parts, count, m);
    }
    if (status >= 0)
        status = rows_join(out, parts, count, m);
    memory_free(parts);
    return status;
}

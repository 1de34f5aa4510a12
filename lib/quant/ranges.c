#include "quant/histogram.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const suffixes[4] = {"histogram", "exponent", "min", "max"};
enum { NAME_SIZE = 96 };

int ranges_new(struct ranges *r, int count, struct message *m)
{
    *r = (struct ranges){.count = count};
    r->names = memory_new((size_t)count, sizeof *r->names, m);
    r->histograms = r->names ? memory_new((size_t)count, sizeof *r->histograms, m) : NULL;
    if (!r->histograms) {
        ranges_free(r);
        return STATUS_NOMEM;
    }
    for (int i = 0; i < count; i++)
        histogram_clear(&r->histograms[i]);
    return 0;
}

void ranges_free(struct ranges *r)
{
    memory_free(r->names);
    memory_free(r->histograms);
    *r = (struct ranges){0};
}

int ranges_find(const struct ranges *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->names[i], name) == 0)
            return i;
    return -1;
}

static int add_one(struct record *record, const char *node, int which, enum dtype dtype, int64_t count,
                   const void *data, struct message *m)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", node, suffixes[which]);
    return record_add_copy(record, name, dtype, count > 1 ? 1 : 0, &count, data, m);
}

int ranges_to_record(const struct ranges *r, struct record *record, struct message *m)
{
    for (int i = 0; i < r->count; i++) {
        const struct histogram *h = &r->histograms[i];
        int32_t exponent = h->exponent;
        TRY(add_one(record, r->names[i], 0, DTYPE_U64, HISTOGRAM_BINS, h->bins, m));
        TRY(add_one(record, r->names[i], 1, DTYPE_I32, 1, &exponent, m));
        TRY(add_one(record, r->names[i], 2, DTYPE_F32, 1, &h->min, m));
        TRY(add_one(record, r->names[i], 3, DTYPE_F32, 1, &h->max, m));
    }
    TRY(record_set(record, "format", "resq 1", m));
    return record_set(record, "kind", "ranges", m);
}

/* Counts, exponent and extremes must tell one story: everything that reads a histogram relies on it. */
static int check_histogram(struct histogram *h, const char *name, struct message *m)
{
    int first = -1, last = -1;
    if (!isfinite(h->min) || !isfinite(h->max) || h->min > h->max)
        return message_set(m, STATUS_RANGE, "%s: min %g and max %g are no range", name, (double)h->min,
                           (double)h->max);
    if (h->exponent != histogram_exponent(h->min, h->max))
        return message_set(m, STATUS_RANGE, "%s.exponent: %d does not fit min and max", name, h->exponent);
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        if (h->bins[j] > UINT64_MAX - h->count)
            return message_set(m, STATUS_RANGE, "%s.histogram: counts overflow", name);
        h->count += h->bins[j];
        last = h->bins[j] ? j : last;
        first = first < 0 && h->bins[j] ? j : first;
    }
    if (h->count == 0)
        return message_set(m, STATUS_RANGE, "%s.histogram: empty", name);
    if (first != histogram_bin(h, h->min) || last != histogram_bin(h, h->max))
        return message_set(m, STATUS_RANGE, "%s.histogram: its ends are not where min and max are", name);
    return 0;
}

static int read_one(const struct record *record, const char *name, struct histogram *h, struct message *m)
{
    static const enum dtype dtypes[4] = {DTYPE_U64, DTYPE_I32, DTYPE_F32, DTYPE_F32};
    struct tensor *t[4];
    for (int k = 0; k < 4; k++) {
        char full[NAME_SIZE];
        int64_t bins = HISTOGRAM_BINS;
        snprintf(full, sizeof full, "%s.%s", name, suffixes[k]);
        TRY(record_require(record, full, dtypes[k], k == 0, &bins, &t[k], m));
    }
    memcpy(h->bins, t[0]->data, sizeof h->bins);
    h->exponent = *(const int32_t *)t[1]->data;
    h->min = *(const float *)t[2]->data;
    h->max = *(const float *)t[3]->data;
    h->count = 0;
    return check_histogram(h, name, m);
}

/* The length of NODE in `NODE.SUFFIX`, or -1 where `which` is not the suffix or the name is too long. */
static int stem_length(const char *tensor, int which)
{
    const char *dot = strrchr(tensor, '.');
    if (!dot || strcmp(dot + 1, suffixes[which]) != 0 || dot - tensor > 63 || dot == tensor)
        return -1;
    return (int)(dot - tensor);
}

static int read_all(struct ranges *r, const struct record *record, struct message *m)
{
    int found = 0;
    for (size_t i = 0; i < record->tensor_count; i++) {
        const char *name = record->tensors[i].name;
        int length = stem_length(name, 0);
        if (length < 0)
            continue;
        memcpy(r->names[found], name, (size_t)length);
        r->names[found][length] = '\0';
        TRY(read_one(record, r->names[found], &r->histograms[found], m));
        found++;
    }
    return 0;
}

int ranges_from_record(struct ranges *r, const struct record *record, struct message *m)
{
    int count = 0;
    *r = (struct ranges){0};
    TRY(record_require_kind(record, "ranges", m));
    for (size_t i = 0; i < record->tensor_count; i++)
        count += stem_length(record->tensors[i].name, 0) >= 0;
    if (count == 0)
        return message_set(m, STATUS_MISMATCH, "no ranges: a tensor NODE.histogram is missing");
    if (record->tensor_count != 4 * (size_t)count)
        return message_set(m, STATUS_MISMATCH,
                           "%zu tensors, want histogram, exponent, min and max of %d activations",
                           record->tensor_count, count);
    TRY(ranges_new(r, count, m));
    int status = read_all(r, record, m);
    if (status < 0)
        ranges_free(r);
    return status;
}

int ranges_merge(struct ranges *into, const struct ranges *from, struct message *m)
{
    if (into->count != from->count)
        return message_set(m, STATUS_MISMATCH, "%d activations and %d", into->count, from->count);
    for (int i = 0; i < into->count; i++)
        if (strcmp(into->names[i], from->names[i]) != 0)
            return message_set(m, STATUS_MISMATCH, "activation '%s' and '%s'", into->names[i], from->names[i]);
    for (int i = 0; i < into->count; i++)
        if (into->histograms[i].count > UINT64_MAX - from->histograms[i].count)
            return message_set(m, STATUS_RANGE, "%s.histogram: counts overflow", into->names[i]);
    for (int i = 0; i < into->count; i++)
        histogram_merge(&into->histograms[i], &from->histograms[i]);
    return 0;
}

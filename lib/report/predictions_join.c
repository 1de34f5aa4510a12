#include "base/memory.h"
#include "record/join.h"
#include "report/predictions.h"
#include <stdlib.h>
#include <string.h>

static void sort_parts(struct predictions *parts, const char **names, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && parts[k].indices[0] < parts[k - 1].indices[0]; k--) {
            const struct predictions part = parts[k];
            const char *name = names[k];
            parts[k] = parts[k - 1];
            names[k] = names[k - 1];
            parts[k - 1] = part;
            names[k - 1] = name;
        }
}

static int part_add(struct predictions *out, const struct predictions *part, struct message *m)
{
    const size_t count = (size_t)part->count, classes = (size_t)part->classes;
    TRY(predictions_reserve(out, part->count, part->classes, m));
    memcpy(out->indices + out->count, part->indices, count * sizeof *out->indices);
    memcpy(out->labels + out->count, part->labels, count * sizeof *out->labels);
    memcpy(out->logits + (size_t)out->count * classes, part->logits, count * classes * sizeof *out->logits);
    out->count += part->count;
    return 0;
}

static int index_compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int check_once(const struct predictions *p, struct message *m)
{
    int64_t *sorted = memory_new_raw((size_t)p->count, sizeof *sorted, m);
    int status = sorted ? 0 : STATUS_NOMEM;
    if (sorted) {
        memcpy(sorted, p->indices, (size_t)p->count * sizeof *sorted);
        qsort(sorted, (size_t)p->count, sizeof *sorted, index_compare);
    }
    for (int64_t i = 1; i < p->count && status == 0; i++)
        if (sorted[i] == sorted[i - 1])
            status = message_set(m, STATUS_MISMATCH, "indices: image %lld is there twice", (long long)sorted[i]);
    memory_free(sorted);
    return status;
}

static int metadata_join(struct predictions *out, const struct predictions *parts, int count, struct message *m)
{
    struct record **records = memory_new((size_t)count, sizeof(struct record *), m);
    int status = records ? 0 : STATUS_NOMEM;
    for (int i = 0; i < count && status == 0; i++)
        records[i] = parts[i].metadata;
    if (status == 0)
        out->metadata = record_new(m);
    if (status == 0)
        status = out->metadata ? parts_join_lineage(out->metadata, records, count, "evaluate", m) : STATUS_NOMEM;
    if (status == 0)
        status = record_inherit(out->metadata, parts[0].metadata, m);
    memory_free(records);
    return status < 0 ? status : 0;
}

int predictions_join(struct predictions *out, struct predictions *parts, const char **names, int count,
                     struct message *m)
{
    int status = 0;
    memset(out, 0, sizeof *out);
    sort_parts(parts, names, count);
    for (int i = 0; i < count && status == 0; i++) {
        if (i > 0)
            status = parts_check(parts[0].metadata, parts[i].metadata, names[0], m);
        if (status == 0)
            status = part_add(out, &parts[i], m);
        if (status == 0 && i > 0)
            status = check_once(out, m);
        if (status < 0)
            message_prefix(m, status, "%s", names[i]);
    }
    if (status == 0)
        status = metadata_join(out, parts, count, m);
    if (status < 0)
        predictions_free(out);
    return status;
}

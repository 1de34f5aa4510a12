#include "report/predictions.h"
#include "base/memory.h"
#include "record/stream.h"
#include "report/metrics.h"
#include <math.h>
#include <string.h>

enum { NARROW_CLASSES = 256 /* at most, where a label is a byte */ };
enum { MAX_CLASSES = 65536 };

static int grow(void **block, int64_t used, int64_t capacity, size_t size, struct message *m)
{
    void *grown = memory_resize(*block, (size_t)used * size, (size_t)capacity, size, m);
    if (!grown)
        return STATUS_NOMEM;
    *block = grown;
    return 0;
}

int predictions_reserve(struct predictions *p, int64_t more, int classes, struct message *m)
{
    if (p->count && classes != p->classes)
        return message_set(m, STATUS_MISMATCH, "classes: %d, want %d", classes, p->classes);
    p->classes = classes;
    if (p->count + more <= p->capacity)
        return 0;
    int64_t capacity = p->count + more > 2 * p->capacity ? p->count + more : 2 * p->capacity;
    void *indices = p->indices, *logits = p->logits, *labels = p->labels;
    int status = grow(&indices, p->count, capacity, sizeof *p->indices, m);
    p->indices = indices;
    if (status == 0)
        status = grow(&logits, p->count, capacity, (size_t)classes * sizeof *p->logits, m);
    p->logits = logits;
    if (status == 0)
        status = grow(&labels, p->count, capacity, sizeof *p->labels, m);
    p->labels = labels;
    if (status == 0)
        p->capacity = capacity;
    return status;
}

/* ---- records ---- */

static int values_check(const struct predictions *p, struct message *m)
{
    for (int64_t i = 0; i < p->count; i++) {
        if (p->labels[i] >= p->classes)
            return message_set(m, STATUS_RANGE, "labels: image %lld: label %d of %d classes", (long long)i,
                               p->labels[i], p->classes);
        for (int c = 0; c < p->classes; c++)
            if (!isfinite(p->logits[i * p->classes + c]))
                return message_set(m, STATUS_RANGE, "logits: image %lld: class %d is not finite", (long long)i, c);
    }
    return 0;
}

int predictions_from_record(struct predictions *p, const struct record *record, struct message *m)
{
    memset(p, 0, sizeof *p);
    struct tensor *tensor;
    TRY(record_require_kind(record, "predictions", m));
    TRY(record_require(record, "logits", DTYPE_F32, 2, (const int64_t[]){-1, -1}, &tensor, m));
    int64_t n = tensor->shape[0], classes = tensor->shape[1];
    const float *logits = tensor->data;
    if (n < 1 || classes < 1 || classes > MAX_CLASSES)
        return message_set(m, STATUS_MISMATCH, "logits: no predictions of 1 to %d classes", MAX_CLASSES);
    TRY(record_require(record, "indices", DTYPE_I64, 1, &n, &tensor, m));
    const int64_t *indices = tensor->data;
    const struct tensor *named = record_find(record, "labels");
    const int is_wide = named && named->dtype == DTYPE_U16;
    TRY(record_require(record, "labels", is_wide ? DTYPE_U16 : DTYPE_U8, 1, &n, &tensor, m));
    const void *labels = tensor->data;

    int status = predictions_reserve(p, n, (int)classes, m);
    if (status == 0) {
        p->count = n;
        memcpy(p->indices, indices, (size_t)n * sizeof *indices);
        memcpy(p->logits, logits, (size_t)(n * classes) * sizeof *logits);
        for (int64_t i = 0; i < n; i++)
            p->labels[i] = is_wide ? ((const uint16_t *)labels)[i] : ((const uint8_t *)labels)[i];
        p->metadata = record_new(m);
        status = p->metadata ? record_inherit(p->metadata, record, m) : STATUS_NOMEM;
    }
    if (status >= 0)
        status = values_check(p, m);
    if (status < 0)
        predictions_free(p);
    return status < 0 ? status : 0;
}

int predictions_load(struct predictions *p, const char *path, struct message *m)
{
    memset(p, 0, sizeof *p);
    struct record *record;
    TRY(record_load(&record, path, m));
    int status = predictions_from_record(p, record, m);
    record_free(record);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}

int predictions_to_record(const struct predictions *p, struct record *record, struct message *m)
{
    int64_t shape[2] = {p->count, p->classes};
    TRY(record_set(record, "format", "resq 1", m));
    TRY(record_set(record, "kind", "predictions", m));
    TRY(record_add_copy(record, "indices", DTYPE_I64, 1, shape, p->indices, m));
    TRY(record_add_copy(record, "logits", DTYPE_F32, 2, shape, p->logits, m));
    if (p->classes > NARROW_CLASSES)
        return record_add_copy(record, "labels", DTYPE_U16, 1, shape, p->labels, m);
    TRY(record_add(record, "labels", DTYPE_U8, 1, shape, NULL, m));
    uint8_t *narrow = record_find(record, "labels")->data;
    for (int64_t i = 0; i < p->count; i++)
        narrow[i] = (uint8_t)p->labels[i];
    return 0;
}

void predictions_free(struct predictions *p)
{
    memory_free(p->indices);
    memory_free(p->logits);
    memory_free(p->labels);
    record_free(p->metadata);
    memset(p, 0, sizeof *p);
}

/* ---- pairs ---- */

static int metadata_same(const struct predictions *a, const struct predictions *b, const char *key,
                         struct message *m)
{
    const char *x = a->metadata ? record_get(a->metadata, key) : NULL;
    const char *y = b->metadata ? record_get(b->metadata, key) : NULL;
    if (!x || !y || strcmp(x, y) == 0)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s: %s, want %s", key, y, x);
}

int predictions_same_images(const struct predictions *a, const struct predictions *b, struct message *m)
{
    static const char *const keys[] = {"dataset-digest", "classes", "split", "part"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        TRY(metadata_same(a, b, keys[i], m));
    if (a->classes != b->classes)
        return message_set(m, STATUS_MISMATCH, "logits: %d classes, want %d", b->classes, a->classes);
    if (a->count != b->count)
        return message_set(m, STATUS_MISMATCH, "indices: %lld images, want %lld", (long long)b->count,
                           (long long)a->count);
    for (int64_t i = 0; i < a->count; i++) {
        if (a->indices[i] != b->indices[i])
            return message_set(m, STATUS_MISMATCH, "indices: place %lld has image %lld, want %lld", (long long)i,
                               (long long)b->indices[i], (long long)a->indices[i]);
        if (a->labels[i] != b->labels[i])
            return message_set(m, STATUS_MISMATCH, "labels: place %lld has label %d, want %d", (long long)i,
                               b->labels[i], a->labels[i]);
    }
    return 0;
}

int pair_compute(struct pair_metrics *out, const struct predictions *a, const struct predictions *b,
                 struct message *m)
{
    memset(out, 0, sizeof *out);
    out->first_right = memory_new((size_t)a->classes, sizeof *out->first_right, m);
    out->second_right = memory_new((size_t)a->classes, sizeof *out->second_right, m);
    if (!out->first_right || !out->second_right) {
        pair_free(out);
        return STATUS_NOMEM;
    }
    for (int64_t i = 0; i < a->count; i++) {
        int label = a->labels[i];
        int first = argmax(a->logits + i * a->classes, a->classes);
        int second = argmax(b->logits + i * a->classes, a->classes);
        int first_is_right = first == label, second_is_right = second == label;
        out->agree += first == second;
        out->both_right += first_is_right && second_is_right;
        out->both_wrong += !first_is_right && !second_is_right;
        out->only_first += first_is_right && !second_is_right;
        out->only_second += !first_is_right && second_is_right;
        out->first_right[label] += first_is_right;
        out->second_right[label] += second_is_right;
    }
    out->images = a->count;
    out->classes = a->classes;
    out->mcnemar_p = mcnemar_exact(out->only_first, out->only_second);
    return 0;
}

void pair_free(struct pair_metrics *x)
{
    memory_free(x->first_right);
    memory_free(x->second_right);
    memset(x, 0, sizeof *x);
}

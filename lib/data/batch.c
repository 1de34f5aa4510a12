#include "data/batch.h"
#include "base/text.h"
#include <string.h>

enum { MAX_COUNT = 1 << 24, NARROW_CLASSES = 256 /* at most, where a label is a byte */ };

static int label_at(const struct batch *b, const void *labels, int64_t at)
{
    return b->has_wide_labels ? ((const uint16_t *)labels)[at] : ((const uint8_t *)labels)[at];
}

int batch_label(const struct batch *b, int64_t i)
{
    return label_at(b, b->labels, i);
}

void batch_label_set(struct batch *b, int64_t i, int label)
{
    if (b->has_wide_labels)
        ((uint16_t *)b->labels)[i] = (uint16_t)label;
    else
        ((uint8_t *)b->labels)[i] = (uint8_t)label;
}

int batch_label2(const struct batch *b, int64_t i, int k)
{
    return label_at(b, b->labels2, i * b->mixed + k);
}

void batch_mixed_set(struct batch *b, int64_t i, int k, int label, float share)
{
    const int64_t at = i * b->mixed + k;
    if (b->has_wide_labels)
        ((uint16_t *)b->labels2)[at] = (uint16_t)label;
    else
        ((uint8_t *)b->labels2)[at] = (uint8_t)label;
    b->share[at] = share;
}

int batch_mix(struct batch *b, int mixed, struct message *m)
{
    const int64_t shape[2] = {b->count, mixed};
    struct tensor *tensor;
    if (b->mixed)
        return message_set(m, STATUS_MISMATCH, "labels2: the images are mixed already");
    TRY(record_add(b->record, "labels2", b->has_wide_labels ? DTYPE_U16 : DTYPE_U8, 2, shape, &tensor, m));
    b->labels2 = tensor->data;
    TRY(record_add(b->record, "share", DTYPE_F32, 2, shape, &tensor, m));
    b->share = tensor->data;
    b->mixed = mixed;
    return 0;
}

/* The metadata value as a count, or 0 where it is absent. */
static int count_get(const struct record *record, const char *key, int64_t *value, struct message *m)
{
    const char *text = record_get(record, key);
    *value = 0;
    return text ? parse_integer(text, 0, INT64_MAX / 2, key, value, m) : 0;
}

static int values_check(const struct batch *b, int class_count, struct message *m)
{
    for (int64_t i = 0; i < b->count; i++) {
        if (batch_label(b, i) >= class_count)
            return message_set(m, STATUS_RANGE, "labels[%lld]: %d, want 0..%d", (long long)i, batch_label(b, i),
                               class_count - 1);
        if (b->indices[i] < 0)
            return message_set(m, STATUS_RANGE, "indices[%lld]: %lld is negative", (long long)i,
                               (long long)b->indices[i]);
    }
    return 0;
}

#define SHARES_ROUNDING 1e-5 /* of a sum of floats */

/* Of mixed images: further labels, and their shares. */
static int mixed_check(const struct batch *b, int class_count, struct message *m)
{
    for (int64_t i = 0; i < b->count; i++) {
        double sum = 0;
        for (int k = 0; k < b->mixed; k++) {
            const double share = b->share[i * b->mixed + k];
            if (batch_label2(b, i, k) >= class_count)
                return message_set(m, STATUS_RANGE, "labels2[%lld,%d]: %d, want 0..%d", (long long)i, k,
                                   batch_label2(b, i, k), class_count - 1);
            if (!(share >= 0 && share <= 1))
                return message_set(m, STATUS_RANGE, "share[%lld,%d]: %g, want 0..1", (long long)i, k, share);
            sum += share;
        }
        if (sum > 1 + SHARES_ROUNDING)
            return message_set(m, STATUS_RANGE, "share[%lld]: in all %g, want at most 1", (long long)i, sum);
    }
    return 0;
}

/* What the record says its images are, where it does, must be what they are. */
static int shape_find(struct batch *b, const struct tensor *images, struct message *m)
{
    char is[IMAGE_SHAPE_SIZE];
    const char *said = record_get(b->record, "image");
    for (int i = 1; i < 4; i++)
        if (images->shape[i] > IMAGE_MOST_SIDE)
            return message_set(m, STATUS_RANGE, "images: dimension %d is %lld, want at most %d", i,
                               (long long)images->shape[i], IMAGE_MOST_SIDE);
    b->shape = (struct image_shape){(int)images->shape[1], (int)images->shape[2], (int)images->shape[3]};
    TRY(image_shape_check(b->shape, m));
    image_shape_print(b->shape, is);
    if (said && strcmp(said, is) != 0)
        return message_set(m, STATUS_MISMATCH, "image: is said to be %.64s, the images are %s", said, is);
    return 0;
}

/* Points b into its record's tensors. */
static int tensors_find(struct batch *b, struct message *m)
{
    const int64_t any[4] = {-1, -1, -1, -1};
    struct tensor *images, *labels, *indices;
    TRY(record_require(b->record, "images", DTYPE_U8, 4, any, &images, m));
    b->count = images->shape[0];
    if (b->count < 1 || b->count > MAX_COUNT)
        return message_set(m, STATUS_RANGE, "images: batch of %lld, want 1..%d", (long long)b->count, MAX_COUNT);
    TRY(shape_find(b, images, m));
    labels = record_find(b->record, "labels");
    b->has_wide_labels = labels && labels->dtype == DTYPE_U16;
    TRY(record_require(b->record, "labels", b->has_wide_labels ? DTYPE_U16 : DTYPE_U8, 1, &b->count, &labels, m));
    TRY(record_require(b->record, "indices", DTYPE_I64, 1, &b->count, &indices, m));
    b->images = images->data;
    b->labels = labels->data;
    b->indices = indices->data;
    return 0;
}

static int mixed_find(struct batch *b, struct message *m)
{
    int64_t shape[2] = {b->count, -1};
    struct tensor *labels2 = record_find(b->record, "labels2"), *share = record_find(b->record, "share");
    if (!labels2 && !share)
        return 0;
    TRY(record_require(b->record, "labels2", b->has_wide_labels ? DTYPE_U16 : DTYPE_U8, 2, shape, &labels2, m));
    shape[1] = labels2->shape[1];
    if (shape[1] < 1 || shape[1] > BATCH_MOST_MIXED)
        return message_set(m, STATUS_RANGE, "labels2: %lld further labels an image, want 1..%d",
                           (long long)shape[1], BATCH_MOST_MIXED);
    TRY(record_require(b->record, "share", DTYPE_F32, 2, shape, &share, m));
    b->mixed = (int)shape[1];
    b->labels2 = labels2->data;
    b->share = share->data;
    return 0;
}

int batch_from_record(struct batch *b, struct record *record, int class_count, struct message *m)
{
    struct batch view = {.record = record};
    *b = (struct batch){0};
    TRY(record_require_kind(record, "batch", m));
    TRY(tensors_find(&view, m));
    TRY(mixed_find(&view, m));
    TRY(values_check(&view, class_count, m));
    TRY(mixed_check(&view, class_count, m));
    TRY(count_get(record, "epoch", &view.epoch, m));
    TRY(count_get(record, "position", &view.position, m));
    TRY(count_get(record, "total", &view.total, m));
    *b = view;
    return 0;
}

void batch_free(struct batch *b)
{
    record_free(b->record);
    *b = (struct batch){0};
}

/* `image` is said of other pictures than CIFAR-10's alone: what older programs can read they are to read. */
static int tensors_add(struct batch *b, struct image_shape of, int class_count, int64_t count, struct message *m)
{
    const int64_t shape[4] = {count, of.height, of.width, of.channels};
    const enum dtype labels = class_count > NARROW_CLASSES ? DTYPE_U16 : DTYPE_U8;
    char text[IMAGE_SHAPE_SIZE];
    TRY(record_set(b->record, "kind", "batch", m));
    image_shape_print(of, text);
    if (!image_shape_is(of, IMAGE_CIFAR))
        TRY(record_set(b->record, "image", text, m));
    TRY(record_add(b->record, "indices", DTYPE_I64, 1, shape, NULL, m));
    TRY(record_add(b->record, "images", DTYPE_U8, 4, shape, NULL, m));
    TRY(record_add(b->record, "labels", labels, 1, shape, NULL, m));
    return tensors_find(b, m);
}

int batch_new(struct batch *b, struct image_shape shape, int class_count, int64_t count, struct message *m)
{
    *b = (struct batch){.record = record_new(m)};
    int status = b->record ? tensors_add(b, shape, class_count, count, m) : STATUS_NOMEM;
    if (status < 0)
        batch_free(b);
    return status;
}

static int metadata_fill(struct batch *b, const struct dataset *d, const char *part, const char *classes,
                         struct message *m)
{
    TRY(record_set(b->record, "dataset", d->name, m));
    TRY(record_set(b->record, "dataset-digest", d->digest, m));
    TRY(record_set(b->record, "classes", classes, m));
    TRY(record_set(b->record, "split", d->split, m));
    TRY(record_set(b->record, "part", part, m));
    TRY(record_setf(b->record, "epoch", m, "%lld", (long long)b->epoch));
    TRY(record_setf(b->record, "position", m, "%lld", (long long)b->position));
    return record_setf(b->record, "total", m, "%lld", (long long)b->total);
}

int batch_from_dataset(struct batch *b, const struct dataset *d, const char *part, const char *classes,
                       const int64_t *indices, int64_t count, int64_t epoch, int64_t position, int64_t total,
                       struct message *m)
{
    const size_t bytes = image_shape_bytes(d->shape);
    TRY(batch_new(b, d->shape, d->class_count, count, m));
    b->epoch = epoch;
    b->position = position;
    b->total = total;
    for (int64_t i = 0; i < count; i++) {
        b->indices[i] = indices[i];
        batch_label_set(b, i, d->labels[indices[i]]);
        memcpy(b->images + (size_t)i * bytes, d->images + (size_t)indices[i] * bytes, bytes);
    }
    int status = metadata_fill(b, d, part, classes, m);
    if (status < 0)
        batch_free(b);
    return status;
}

static int end_fill(struct record *end, int64_t images, const struct record *source, struct message *m)
{
    static const char *const of_a_batch[] = {"epoch", "position", "total"};
    if (source)
        TRY(record_inherit(end, source, m));
    for (size_t i = 0; i < sizeof of_a_batch / sizeof of_a_batch[0]; i++)
        record_unset(end, of_a_batch[i]);
    TRY(record_set(end, "kind", "end", m));
    return record_setf(end, "images", m, "%lld", (long long)images);
}

int batch_write_end(struct record_writer *w, int64_t images, const struct record *metadata_source,
                    struct message *m)
{
    struct record *end = record_new(m);
    if (!end)
        return STATUS_NOMEM;
    int status = end_fill(end, images, metadata_source, m);
    if (status >= 0)
        status = writer_put(w, end, m);
    record_free(end);
    return status;
}

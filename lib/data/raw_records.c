/* raw_records.c: the pixels and labels of CIFAR-100, IDX and STL-10 as records. */
#include "data/raw_files.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>

enum { IDX_IMAGES_AT = 16, IDX_LABELS_AT = 8, IDX_BYTES = 8 /* type: unsigned bytes */ };
enum { CIFAR_100_RECORD = 2 + IMAGE_BYTES, STL_SIDE = 96, STL_BYTES = 3 * STL_SIDE * STL_SIDE };

/* One split, wherever its parts lie. */
struct source {
    const uint8_t *images, *labels;
    size_t image_step, label_step; /* from one to the next */
    int64_t count;
};

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const uint8_t *bytes_of(const struct text *t)
{
    return (const uint8_t *)t->data;
}

static int counts_check(int split, int64_t images, int64_t labels, struct message *m)
{
    if (images == labels)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s: %lld images, but %lld labels", split_names[split],
                       (long long)images, (long long)labels);
}

static int cifar_100_open(const struct raw_files *r, int split, const struct image_files *s, struct source *out,
                          struct message *m)
{
    const struct text *t = &r->parts[split][RAW_IMAGES];
    if (t->length % CIFAR_100_RECORD != 0)
        return message_set(m, STATUS_TRUNCATED, "%s.bin: %zu bytes is not a multiple of %d", split_names[split],
                           t->length, CIFAR_100_RECORD);
    const uint8_t *bytes = bytes_of(t);
    *out = (struct source){bytes + 2, bytes + (s->wish.coarse ? 0 : 1), CIFAR_100_RECORD, CIFAR_100_RECORD,
                           (int64_t)(t->length / CIFAR_100_RECORD)};
    return 0;
}

static int idx_check(const struct text *t, int rank, const char *what, int split, struct message *m)
{
    static const uint8_t magic[3] = {0, 0, IDX_BYTES};
    const size_t head = 4 + 4 * (size_t)rank;
    if (t->length < head || memcmp(t->data, magic, sizeof magic) != 0 || bytes_of(t)[3] != rank)
        return message_set(m, STATUS_FORMAT, "%s %s: no IDX file of bytes in %d dimension%s", split_names[split],
                           what, rank, rank == 1 ? "" : "s");
    size_t want = 1;
    for (int i = 0; i < rank; i++)
        if (size_multiply(want, big_endian(bytes_of(t) + 4 + 4 * i), &want) < 0)
            want = SIZE_MAX / 2;
    if (t->length - head == want)
        return 0;
    return message_set(m, STATUS_TRUNCATED, "%s %s: IDX file of %zu bytes, want %zu", split_names[split], what,
                       t->length, want + head);
}

static int idx_open(const struct raw_files *r, int split, struct image_files *s, struct source *out,
                    struct message *m)
{
    const struct text *images = &r->parts[split][RAW_IMAGES], *labels = &r->parts[split][RAW_LABELS];
    TRY(idx_check(images, 3, "images", split, m));
    TRY(idx_check(labels, 1, "labels", split, m));
    const uint8_t *head = bytes_of(images);
    uint32_t height = big_endian(head + 8), width = big_endian(head + 12), most = IMAGE_MOST_SIDE;
    struct image_shape shape = {(int)(height > most ? most + 1 : height), (int)(width > most ? most + 1 : width),
                                1};
    if (image_shape_check(shape, NULL) < 0)
        return message_set(m, STATUS_RANGE, "%s images of %ux%u, want sides of %d to %d", split_names[split],
                           height, width, IMAGE_LEAST_SIDE, IMAGE_MOST_SIDE);
    if (s->shape.channels == 1 && !image_shape_is(s->shape, shape))
        return message_set(m, STATUS_MISMATCH, "%s images are %ux%u, those of the other split %dx%d",
                           split_names[split], height, width, s->shape.height, s->shape.width);
    s->shape = shape;
    *out = (struct source){head + IDX_IMAGES_AT, bytes_of(labels) + IDX_LABELS_AT, image_shape_bytes(shape), 1,
                           big_endian(head + 4)};
    return counts_check(split, out->count, big_endian(bytes_of(labels) + 4), m);
}

static int stl_10_open(const struct raw_files *r, int split, struct image_files *s, struct source *out,
                       struct message *m)
{
    const struct text *images = &r->parts[split][RAW_IMAGES], *labels = &r->parts[split][RAW_LABELS];
    if (images->length % STL_BYTES != 0)
        return message_set(m, STATUS_TRUNCATED, "%s_X.bin: %zu bytes is not a multiple of %d", split_names[split],
                           images->length, STL_BYTES);
    s->shape = (struct image_shape){STL_SIDE, STL_SIDE, 3};
    *out = (struct source){bytes_of(images), bytes_of(labels), STL_BYTES, 1, (int64_t)(images->length / STL_BYTES)};
    return counts_check(split, out->count, (int64_t)labels->length, m);
}

static int source_open(const struct raw_files *r, int split, struct image_files *s, struct source *out,
                       struct message *m)
{
    if (r->form == RAW_CIFAR_100)
        return cifar_100_open(r, split, s, out, m);
    return r->form == RAW_IDX ? idx_open(r, split, s, out, m) : stl_10_open(r, split, s, out, m);
}

/* STL-10 counts from 1 and stores columns. */
static void record_put(const struct raw_files *r, const struct source *from, int64_t i, uint8_t *record,
                       size_t bytes)
{
    const uint8_t *image = from->images + (size_t)i * from->image_step;
    record[0] = from->labels[(size_t)i * from->label_step];
    if (r->form != RAW_STL_10) {
        memcpy(record + 1, image, bytes - 1);
        return;
    }
    record[0] = (uint8_t)(record[0] - 1);
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < STL_SIDE; x++)
            for (int y = 0; y < STL_SIDE; y++)
                record[1 + (c * STL_SIDE + y) * STL_SIDE + x] = *image++;
}

static int split_put(const struct raw_files *r, int split, const struct source *from, struct image_files *s,
                     struct message *m)
{
    const size_t bytes = files_record_bytes(s), most = FILE_BYTES / bytes;
    const int64_t chunk = most > FILE_RECORDS ? FILE_RECORDS : (int64_t)most;
    for (int64_t first = 0; first < from->count; first += chunk) {
        int64_t records = from->count - first < chunk ? from->count - first : chunk;
        if (first / chunk == SPLIT_MAX_FILES)
            return message_set(m, STATUS_RANGE, "%s: more than %lld images", split_names[split], (long long)first);
        uint8_t *file = memory_new_raw((size_t)records, bytes, m);
        if (!file)
            return STATUS_NOMEM;
        for (int64_t i = 0; i < records; i++)
            record_put(r, from, first + i, file + (size_t)i * bytes, bytes);
        int status = files_add(s, split, (int)(first / chunk), file, (size_t)records * bytes, 0, m);
        if (status < 0) {
            memory_free(file);
            return status;
        }
    }
    return 0;
}

/* ---- classes ---- */

/* IDX files name none: "0" to the largest label. */
static int classes_count(struct image_files *s, const struct source sources[SPLIT_COUNT], struct message *m)
{
    int most = 0;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int64_t i = 0; i < sources[split].count; i++)
            most = sources[split].labels[i] > most ? sources[split].labels[i] : most;
    s->classes = memory_new((size_t)most + 1, sizeof *s->classes, m);
    if (!s->classes)
        return STATUS_NOMEM;
    for (; s->class_count <= most; s->class_count++)
        if (!(s->classes[s->class_count] = memory_printf(m, "%d", s->class_count)))
            return STATUS_NOMEM;
    return 0;
}

/* A text of names becomes batches.meta.txt, which files_classes reads. */
static int classes_note(const struct raw_files *r, struct image_files *s, struct message *m)
{
    enum raw_part part = r->form == RAW_CIFAR_100 && s->wish.coarse ? RAW_COARSE_NAMES : RAW_NAMES;
    const struct text *names = &r->parts[SPLIT_TRAIN][part];
    if (names->length == 0)
        return message_set(m, STATUS_FORMAT, "the names of the classes are missing: %s",
                           r->form == RAW_STL_10 ? "class_names.txt"
                           : s->wish.coarse      ? "coarse_label_names.txt"
                                                 : "fine_label_names.txt");
    memory_free(s->notes[NOTE_CLASSES]);
    s->notes[NOTE_CLASSES] = memory_strdup(names->data, m);
    return s->notes[NOTE_CLASSES] ? 0 : STATUS_NOMEM;
}

int raw_files_finish(struct raw_files *r, struct image_files *s, struct message *m)
{
    struct source sources[SPLIT_COUNT] = {{0}};
    if (r->status < 0)
        return message_set(m, r->status, "%s", r->reason.text);
    for (int split = 0; split < SPLIT_COUNT; split++)
        if (r->parts[split][RAW_IMAGES].length > 0)
            TRY(source_open(r, split, s, &sources[split], m));
    TRY(r->form == RAW_IDX ? classes_count(s, sources, m) : classes_note(r, s, m));
    for (int split = 0; split < SPLIT_COUNT; split++)
        TRY(split_put(r, split, &sources[split], s, m));
    return 0;
}

#include "data/dataset.h"
#include "data/files.h"
#include "base/memory.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

enum { PLANE = IMAGE_SIDE * IMAGE_SIDE };

/* One record's planes -> interleaved pixels. */
static void planes_interleave(const uint8_t *planes, uint8_t *image)
{
    for (int i = 0; i < PLANE; i++) {
        image[3 * i] = planes[i];
        image[3 * i + 1] = planes[PLANE + i];
        image[3 * i + 2] = planes[2 * PLANE + i];
    }
}

static int dataset_fill(struct dataset *d, const struct image_files *s, int split, struct message *m)
{
    d->count = files_records(s, split);
    d->images = memory_new_raw((size_t)d->count, IMAGE_BYTES, m);
    d->labels = d->images ? memory_new_raw((size_t)d->count, 1, m) : NULL;
    if (!d->labels)
        return STATUS_NOMEM;
    int64_t n = 0;
    for (int i = 0; i < s->count[split]; i++) {
        const struct bin_file *f = &s->files[split][i];
        for (size_t offset = 0; offset < f->size; offset += CIFAR_RECORD_BYTES, n++) {
            d->labels[n] = f->bytes[offset];
            planes_interleave(f->bytes + offset + 1, d->images + n * IMAGE_BYTES);
        }
    }
    return 0;
}

int dataset_load(struct dataset *d, const char *path, const char *split, struct message *warning, struct message *m)
{
    *d = (struct dataset){0};
    struct image_files *s = memory_new(1, sizeof *s, m); /* too large for a stack frame */
    if (!s)
        return STATUS_NOMEM;
    int status, which = strcmp(split, split_names[SPLIT_TEST]) == 0 ? SPLIT_TEST : SPLIT_TRAIN;
    TRY_GOTO(files_open(s, path, warning, m), end);
    int from = s->single ? SPLIT_TRAIN : which;
    if (s->count[from] == 0) {
        status = message_set(m, STATUS_MISMATCH, "%s: has no %s images", path, split_names[which]);
        goto end;
    }
    TRY_GOTO(dataset_fill(d, s, from, m), end);
    memcpy(d->name, s->name, sizeof d->name);
    memcpy(d->digest, s->digest, sizeof d->digest);
    strcpy(d->split, split_names[which]);
    d->classes = s->classes;
    d->class_count = s->class_count;
    s->classes = NULL;
    s->class_count = 0;
end:
    files_free(s);
    memory_free(s);
    if (status < 0)
        dataset_free(d);
    return status;
}

void dataset_free(struct dataset *d)
{
    memory_free(d->images);
    memory_free(d->labels);
    for (int i = 0; i < d->class_count; i++)
        memory_free(d->classes[i]);
    memory_free(d->classes);
    *d = (struct dataset){0};
}

int64_t dataset_part(const struct dataset *d, const char *part, int64_t *indices)
{
    int64_t seen[DATASET_MAX_CLASSES] = {0}, count = 0;
    int all = strcmp(part, "all") == 0, held_out = strcmp(part, "held-out") == 0;
    for (int64_t i = 0; i < d->count; i++) {
        int is_tenth = ++seen[d->labels[i]] % 10 == 0;
        if (all || is_tenth == held_out)
            indices[count++] = i;
    }
    return count;
}

int dataset_select(const struct dataset *d, const char *part, int64_t offset, int64_t count, int64_t **indices,
                   int64_t *selected, struct message *m)
{
    int64_t *list = memory_new_raw((size_t)d->count, sizeof *list, m);
    if (!list)
        return STATUS_NOMEM;
    int64_t there = dataset_part(d, part, list);
    if (offset >= there || count > there - offset) {
        memory_free(list);
        return message_set(m, STATUS_RANGE, "%s: %lld images from %lld on asked for, %s/%s has %lld", d->name,
                           (long long)count, (long long)offset, d->split, part, (long long)there);
    }
    *selected = count > 0 ? count : there - offset;
    memmove(list, list + offset, (size_t)*selected * sizeof *list);
    *indices = list;
    return 0;
}

void dataset_statistics(const struct dataset *d, const int64_t *indices, int64_t count, double mean[3],
                        double std[3])
{
    int64_t sum[3] = {0}, squares[3] = {0}; /* exact: 2^63 is far beyond 2^31 images * 1024 * 255^2 */
    for (int64_t n = 0; n < count; n++) {
        const uint8_t *image = d->images + indices[n] * IMAGE_BYTES;
        for (int i = 0; i < IMAGE_BYTES; i++) {
            sum[i % 3] += image[i];
            squares[i % 3] += image[i] * image[i];
        }
    }
    double pixels = (double)(count > 0 ? count : 1) * PLANE;
    for (int c = 0; c < 3; c++) {
        double average = (double)sum[c] / pixels;
        double variance = (double)squares[c] / pixels - average * average;
        mean[c] = average / 255;
        std[c] = sqrt(variance > 0 ? variance : 0) / 255;
    }
}

void indices_shuffle(int64_t *indices, int64_t count, uint64_t seed, uint32_t epoch)
{
    struct random_stream r = random_open(seed, RANDOM_SHUFFLE, epoch, 0);
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = random_below(&r, (uint32_t)i + 1);
        int64_t held = indices[i];
        indices[i] = indices[j];
        indices[j] = held;
    }
}

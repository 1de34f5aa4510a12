#include "data/dataset.h"
#include "data/files.h"
#include "base/memory.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

/* What is known of the set moves from s to d. */
static int dataset_take(struct dataset *d, struct image_files *s, int split, struct message *m)
{
    d->count = files_records(s, d->from);
    d->shape = s->shape;
    d->labels = memory_new_raw((size_t)d->count, sizeof *d->labels, m);
    d->images = d->labels ? memory_new_raw((size_t)d->count, image_shape_bytes(d->shape), m) : NULL;
    if (!d->images)
        return STATUS_NOMEM;
    files_labels(s, d->from, d->labels);
    memcpy(d->name, s->name, sizeof d->name);
    memcpy(d->digest, s->digest, sizeof d->digest);
    strcpy(d->split, split_names[split]);
    d->classes = s->classes;
    d->class_count = s->class_count;
    s->classes = NULL;
    s->class_count = 0;
    return 0;
}

/* Names what there is instead. */
static int split_refuse(const struct image_files *s, const char *path, int split, struct message *m)
{
    if (s->found)
        return message_set(m, STATUS_MISMATCH, "%s: has no %s images; it has the folders: %s", path,
                           split_names[split], s->found);
    return message_set(m, STATUS_MISMATCH, "%s: has no %s images: %s is not there", path, split_names[split],
                       split == SPLIT_TEST ? "test_batch.bin" : "data_batch_1.bin");
}

int dataset_open(struct dataset *d, const char *path, const char *split, const struct dataset_wish *wish,
                 const char *cache, struct message *warning, struct message *said, struct message *m)
{
    *d = (struct dataset){0};
    int status, which = strcmp(split, split_names[SPLIT_TEST]) == 0 ? SPLIT_TEST : SPLIT_TRAIN;
    d->path = memory_strdup(path, m);
    d->files = d->path ? memory_new(1, sizeof *d->files, m) : NULL;
    if (!d->files) {
        dataset_free(d);
        return STATUS_NOMEM;
    }
    TRY_GOTO(files_open(d->files, path, wish, cache, warning, said, m), fail);
    d->from = d->files->single ? SPLIT_TRAIN : which;
    if (d->files->count[d->from] == 0) {
        status = split_refuse(d->files, path, which, m);
        goto fail;
    }
    TRY_GOTO(dataset_take(d, d->files, which, m), fail);
    return 0;
fail:
    dataset_free(d);
    return status;
}

/* A decoded copy that turns out damaged is done without; the source must still be what it was. */
static int source_reopen(struct dataset *d, struct message *m)
{
    const struct dataset_wish wish = d->files->wish;
    files_free(d->files);
    TRY(files_open(d->files, d->path, &wish, NULL, NULL, NULL, m));
    if (strcmp(d->digest, d->files->digest) != 0 || files_records(d->files, d->from) != d->count)
        return message_set(m, STATUS_MISMATCH, "%s: changes while it is read", d->path);
    return 0;
}

static int all_fetch(struct dataset *d, const int64_t *indices, int64_t count)
{
    int status = 0;
    if (!indices)
        return files_fetch(d->files, d->from, 0, d->count, NULL);
    for (int64_t i = 0; i < count && status >= 0; i++)
        status = files_fetch(d->files, d->from, indices[i], 1, NULL);
    return status;
}

/* One file's share of the images asked for; first: of its records. */
static void images_fill(struct dataset *d, const int64_t *indices, int64_t count)
{
    int64_t first[SPLIT_MAX_FILES + 1] = {0};
    const struct image_files *s = d->files;
    const size_t record_bytes = files_record_bytes(s), image_bytes = image_shape_bytes(d->shape);
    int files = s->count[d->from], at = 0;
    for (int i = 0; i < files; i++)
        first[i + 1] = first[i] + (int64_t)(s->files[d->from][i].size / record_bytes);
    for (int64_t i = 0; i < count; i++) {
        int64_t n = indices ? indices[i] : i;
        for (at = n < first[at] ? 0 : at; n >= first[at + 1];)
            at++;
        const uint8_t *record = s->files[d->from][at].bytes + (size_t)(n - first[at]) * record_bytes;
        planes_to_pixels(record + s->label_bytes, d->shape, d->images + (size_t)n * image_bytes);
    }
}

int dataset_read(struct dataset *d, const int64_t *indices, int64_t count, struct message *m)
{
    if (all_fetch(d, indices, count) < 0)
        TRY(source_reopen(d, m));
    images_fill(d, indices, indices ? count : d->count);
    files_free(d->files);
    memory_free(d->files);
    d->files = NULL;
    return 0;
}

int dataset_load(struct dataset *d, const char *path, const char *split, struct message *warning, struct message *m)
{
    TRY(dataset_open(d, path, split, NULL, NULL, warning, NULL, m));
    int status = dataset_read(d, NULL, 0, m);
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
    memory_free(d->path);
    if (d->files)
        files_free(d->files);
    memory_free(d->files);
    *d = (struct dataset){0};
}

int64_t dataset_part(const struct dataset *d, const char *part, int64_t *indices)
{
    unsigned char ones[DATASET_MAX_CLASSES] = {0}; /* how many of a class came since its last tenth */
    int64_t count = 0;
    int all = strcmp(part, "all") == 0, held_out = strcmp(part, "held-out") == 0;
    for (int64_t i = 0; i < d->count; i++) {
        unsigned char *seen = &ones[d->labels[i]];
        *seen = (unsigned char)((*seen + 1) % 10);
        int is_tenth = *seen == 0;
        if (all || is_tenth == held_out)
            indices[count++] = i;
    }
    return count;
}

/* Why there are no images to take. */
static int selection_refuse(const struct dataset *d, const char *part, int64_t offset, int64_t there,
                            struct message *m)
{
    if (there > 0)
        return message_set(m, STATUS_RANGE, "%s: nothing is left behind the first %lld images: %s/%s has %lld",
                           d->name, (long long)offset, d->split, part, (long long)there);
    if (strcmp(part, "held-out") == 0)
        return message_set(m, STATUS_RANGE, "%s: no class has 10 %s images, so none is held out", d->name,
                           d->split);
    return message_set(m, STATUS_RANGE, "%s: %s/%s has no images", d->name, d->split, part);
}

int dataset_select(const struct dataset *d, const char *part, int64_t offset, int64_t count, int64_t **indices,
                   int64_t *selected, struct message *m)
{
    int64_t *list = memory_new_raw((size_t)d->count, sizeof *list, m);
    if (!list)
        return STATUS_NOMEM;
    int64_t there = dataset_part(d, part, list);
    if (offset >= there) {
        memory_free(list);
        return selection_refuse(d, part, offset, there, m);
    }
    *selected = count > 0 && count < there - offset ? count : there - offset;
    memmove(list, list + offset, (size_t)*selected * sizeof *list);
    *indices = list;
    return 0;
}

void dataset_statistics(const struct dataset *d, const int64_t *indices, int64_t count, double mean[3],
                        double std[3])
{
    const size_t bytes = image_shape_bytes(d->shape), channels = (size_t)d->shape.channels;
    int64_t sum[3] = {0}, squares[3] = {0}; /* exact: 2^63 is beyond 2^28 images * 512^2 * 255^2 */
    for (int64_t n = 0; n < count; n++) {
        const uint8_t *image = d->images + (size_t)indices[n] * bytes;
        for (size_t i = 0; i < bytes; i++) {
            sum[i % channels] += image[i];
            squares[i % channels] += image[i] * image[i];
        }
    }
    double pixels = (double)(count > 0 ? count : 1) * (double)(bytes / channels);
    for (size_t c = 0; c < channels; c++) {
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

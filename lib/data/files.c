#include "data/files.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const split_names[SPLIT_COUNT] = {"train", "test"};
const char *const note_names[2] = {"batches.meta.txt", "dataset.tsv"};

void file_name(int split, int index, char out[32])
{
    if (split == SPLIT_TEST && index == 0)
        snprintf(out, 32, "test_batch.bin");
    else
        snprintf(out, 32, "%s_batch_%d.bin", split == SPLIT_TRAIN ? "data" : "test", index + 1);
}

int file_name_parse(const char *name, int *split, int *index)
{
    int number = 1;
    if (sscanf(name, "data_batch_%3d.bin", &number) == 1)
        *split = SPLIT_TRAIN;
    else if (sscanf(name, "test_batch_%3d.bin", &number) == 1 || strcmp(name, "test_batch.bin") == 0)
        *split = SPLIT_TEST;
    else
        return 0;
    if (number < 1 || number > SPLIT_MAX_FILES)
        return 0;
    *index = number - 1;
    char canonical[32]; /* what sscanf let pass: signs, zeros in front, anything behind */
    file_name(*split, *index, canonical);
    return strcmp(name, canonical) == 0;
}

int note_parse(const char *name)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(name, note_names[i]) == 0)
            return i;
    return -1;
}

int files_add(struct image_files *s, int split, int index, uint8_t *bytes, size_t size, int mapped,
              struct message *m)
{
    struct bin_file *f = &s->files[split][index];
    if (f->bytes)
        return message_set(m, STATUS_FORMAT, "duplicate file");
    if (size == 0)
        return message_set(m, STATUS_TRUNCATED, "empty input");
    *f = (struct bin_file){.bytes = bytes, .size = size, .mapped = mapped};
    if (s->count[split] <= index)
        s->count[split] = index + 1;
    return 0;
}

static int file_map_fd(struct image_files *s, int split, int index, int fd, struct message *m)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return message_errno(m, "cannot read");
    if (!S_ISREG(st.st_mode))
        return message_set(m, STATUS_FORMAT, "not a regular file");
    size_t size = (size_t)st.st_size;
    uint8_t *bytes = NULL;
    if (size > 0) {
        bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (bytes == MAP_FAILED)
            return message_errno(m, "cannot read");
    }
    int status = files_add(s, split, index, bytes, size, 1, m);
    if (status < 0 && size > 0)
        munmap(bytes, size);
    return status;
}

int files_map(struct image_files *s, int split, int index, const char *path, struct message *m)
{
    int fd;
    do /* non-blocking: a FIFO of that name is refused, not waited for */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return message_errno(m, "%s: cannot open", path);
    int status = file_map_fd(s, split, index, fd, m);
    close(fd);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}

int64_t files_records(const struct image_files *s, int split)
{
    int64_t records = 0;
    for (int i = 0; i < s->count[split]; i++)
        records += (int64_t)(s->files[split][i].size / files_record_bytes(s));
    return records;
}

size_t files_record_bytes(const struct image_files *s)
{
    return (size_t)s->label_bytes + image_shape_bytes(s->shape);
}

int files_label_bytes(int class_count)
{
    return class_count > 256 ? 2 : 1;
}

int files_label_get(const struct image_files *s, const uint8_t *record)
{
    return s->label_bytes == 1 ? record[0] : record[0] | record[1] << 8;
}

void files_label_put(const struct image_files *s, uint8_t *record, int label)
{
    record[0] = (uint8_t)label;
    if (s->label_bytes == 2)
        record[1] = (uint8_t)(label >> 8);
}

void files_labels(const struct image_files *s, int split, uint16_t *labels)
{
    const size_t step = s->labels ? (size_t)s->label_bytes : files_record_bytes(s);
    if (s->labels) {
        const uint8_t *at = s->labels;
        if (split == SPLIT_TEST)
            at += (size_t)files_records(s, SPLIT_TRAIN) * step;
        for (int64_t i = 0; i < files_records(s, split); i++)
            labels[i] = (uint16_t)files_label_get(s, at + (size_t)i * step);
        return;
    }
    for (int i = 0; i < s->count[split]; i++)
        for (size_t at = 0; at < s->files[split][i].size; at += step)
            *labels++ = (uint16_t)files_label_get(s, s->files[split][i].bytes + at);
}

void files_clear(struct image_files *s)
{
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++) {
            struct bin_file *f = &s->files[split][i];
            if (f->bytes && f->mapped)
                munmap(f->bytes, f->size);
            else
                memory_free(f->bytes);
        }
    for (int i = 0; i < s->class_count; i++)
        memory_free(s->classes[i]);
    memory_free(s->classes);
    memory_free(s->notes[NOTE_CLASSES]);
    memory_free(s->notes[NOTE_DATASET]);
    memory_free(s->report);
    memory_free(s->found);
    memory_free(s->instead);
    text_free(&s->sample);
    *s = (struct image_files){.wish = s->wish, .shape = IMAGE_CIFAR, .label_bytes = 1};
}

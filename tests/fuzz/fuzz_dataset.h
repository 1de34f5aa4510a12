/* fuzz_dataset.h: bytes in a file that dataset_load is given; what loads must be sound. */
#ifndef RESQ_TESTS_FUZZ_DATASET_H
#define RESQ_TESTS_FUZZ_DATASET_H

#include "fuzz.h"
#include "base/memory.h"
#include "data/batch.h"
#include "data/dataset.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* A file in memory, written anew, with a name that says nothing or ends in SUFFIX. */
static inline void fuzz_file(char path[64], const char *stem, const char *suffix, const void *bytes, size_t count)
{
    snprintf(path, 64, "/tmp/%s-%d%s", stem, (int)getpid(), suffix);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    require(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
    close(fd);
}

/* How many images were taken. */
static inline int64_t fuzz_dataset(const char *path, const char *split)
{
    struct message m = {{0}}, warning = {{0}};
    struct dataset d;
    int status = dataset_load(&d, path, split, &warning, &m);
    require_reason(status, &m);
    if (status < 0)
        return 0;
    require(!strchr(warning.text, '\n'));
    require(d.count > 0 && d.class_count >= 1 && d.class_count <= DATASET_MAX_CLASSES && d.name[0]);
    for (int64_t i = 0; i < d.count; i++)
        require(d.labels[i] < d.class_count);
    char *json = classes_to_json(d.classes, d.class_count, &m);
    memory_free(json); /* NULL where a name is not UTF-8 */
    double mean[3], deviation[3];
    int64_t *indices, selected, count = d.count;
    require(dataset_select(&d, "all", 0, 0, &indices, &selected, &m) == 0);
    dataset_statistics(&d, indices, selected, mean, deviation);
    memory_free(indices);
    dataset_free(&d);
    return count;
}

#endif

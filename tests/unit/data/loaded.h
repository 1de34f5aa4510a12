/* loaded.h: the data set under test, and the files that it is read from. */
#ifndef RESQ_TESTS_LOADED_H
#define RESQ_TESTS_LOADED_H

#include "sets.h"

static struct dataset d;

static inline int set_free(void **state)
{
    (void)state;
    dataset_free(&d);
    return 0;
}

static inline int load(const char *path, const char *split)
{
    dataset_free(&d);
    return dataset_load(&d, path, split, NULL, &m);
}

static inline void records_write(const char *name, int count, int classes, int seed)
{
    uint8_t *bytes = records_make(count, classes, seed);
    file_write(name, bytes, (size_t)count * CIFAR_RECORD_BYTES);
    free(bytes);
}

static inline void picture_write(const char *name, int which)
{
    uint8_t bytes[8192];
    size_t size = strstr(name, ".png") ? png_make(bytes, IMAGE_SIDE, which) : jpeg_make(bytes, IMAGE_SIDE, which);
    file_write(name, bytes, size);
}

#endif

/* samples.h: records that several tests of this folder use. */
#ifndef TESTS_UNIT_RECORD_SAMPLES_H
#define TESTS_UNIT_RECORD_SAMPLES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "record/stream.h"

/* Fails the test with the library's reason. */
#define ASSERT_OK(call, message) assert_ok_at((call), &(message), #call, __FILE__, __LINE__)

static inline void assert_ok_at(int status, const struct message *m, const char *call, const char *file, int line)
{
    if (status >= 0)
        return;
    print_error("%s: %d: %s\n", call, status, m->text);
    _fail(file, line);
}

/* Three tensors of sizes that leave one misaligned by anything but care, a scalar, an empty one, some metadata. */
static inline struct record *sample_record(void)
{
    struct message m;
    struct record *r = record_new(&m);
    static const uint8_t bytes[5] = {1, 2, 3, 4, 5};
    static const float floats[6] = {0.5f, -1.25f, 3e38f, 1e-40f, 0, 7};
    static const int64_t scalar = -3;
    assert_non_null(r);
    ASSERT_OK(record_add_copy(r, "bytes", DTYPE_U8, 1, (int64_t[]){5}, bytes, &m), m);
    ASSERT_OK(record_add_copy(r, "matrix", DTYPE_F32, 2, (int64_t[]){2, 3}, floats, &m), m);
    ASSERT_OK(record_add_copy(r, "empty", DTYPE_F32, 2, (int64_t[]){0, 3}, NULL, &m), m);
    ASSERT_OK(record_add_copy(r, "scalar", DTYPE_I64, 0, NULL, &scalar, &m), m);
    ASSERT_OK(record_set(r, "kind", "model", &m), m);
    ASSERT_OK(record_set(r, "note", "a \"quoted\" \\ word, \xc3\xa9\n\ttab, \"crc32\":\"00000000\"", &m), m);
    return r;
}

static inline void assert_same_content(const struct record *a, const struct record *b)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    for (size_t i = 0; i < a->tensor_count; i++) {
        const struct tensor *x = &a->tensors[i], *y = record_find(b, x->name);
        assert_non_null(y);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->rank, y->rank);
        for (int d = 0; d < x->rank; d++)
            assert_true(x->shape[d] == y->shape[d]);
        assert_int_equal(x->bytes, y->bytes);
        if (x->bytes)
            assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static inline void *sample_bytes(size_t *count)
{
    struct message m;
    struct record *r = sample_record();
    void *bytes;
    ASSERT_OK(record_serialise(r, &bytes, count, &m), m);
    record_free(r);
    return bytes;
}

static inline void frame(unsigned char **bytes, size_t *count, const char *json, size_t data_bytes)
{
    struct message m;
    size_t length = strlen(json);
    *count = 8 + length + data_bytes;
    *bytes = memory_new(*count, 1, &m);
    for (int i = 0; i < 8; i++)
        (*bytes)[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(*bytes + 8, json, length);
    for (size_t i = 0; i < data_bytes; i++)
        (*bytes)[8 + length + i] = (unsigned char)i;
}

/* A folder of the test's own; the path is static. */
static inline const char *temporary_folder(void)
{
    static char folder[64];
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/resq-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

static inline int temporary_folder_remove(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", temporary_folder());
    return system(command);
}

/* FOLDER/name in one of four static buffers. */
static inline const char *temporary_path(const char *name)
{
    static char paths[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", temporary_folder(), name);
    return paths[next];
}

static inline void file_write(const char *path, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

#endif

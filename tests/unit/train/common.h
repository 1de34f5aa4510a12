/* common.h: what the tests of this folder share: folders of their own, streams of small pictures, tiny networks. */
#ifndef RESQ_TEST_TRAIN_H
#define RESQ_TEST_TRAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/random.h"
#include "data/batch.h"

static struct message m; /* every call's */

#define ASSERT_OK(call) assert_ok_at((call), #call, __FILE__, __LINE__)
/* Fails the test unless the call fails with this status and a one-line reason that holds `part`. */
#define ASSERT_FAILS(call, status, part) assert_fails_at((call), (status), (part), #call, __FILE__, __LINE__)
#define ASSERT_NEAR(got, want, tolerance)                         \
    do {                                                          \
        double got_ = (got), want_ = (want);                      \
        if (!(fabs(got_ - want_) <= (tolerance)))                 \
            fail_msg("%s is %.9g, want %.9g", #got, got_, want_); \
    } while (0)

static inline int assert_ok_at(int status, const char *call, const char *file, int line)
{
    if (status < 0) {
        print_error("%s: %d: %s\n", call, status, m.text);
        _fail(file, line);
    }
    return status;
}

static inline void assert_fails_at(int status, int want, const char *part, const char *call, const char *file,
                                   int line)
{
    if (status == want && strstr(m.text, part) && !strchr(m.text, '\n'))
        return;
    print_error("%s: %d '%s', want %d '..%s..'\n", call, status, m.text, want, part);
    _fail(file, line);
}

/* ---- a folder of the test's own ---- */

static char folder[64];

static inline int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/resq-train-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int folder_remove(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? 0 : -1;
}

/* A path within it; a few at a time. */
static inline const char *path_of(const char *name)
{
    static char paths[8][128];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* ---- streams ---- */

struct stream_spec {
    int epochs, from, total, batch; /* `batch` images a record */
    int classes;                    /* 0: 10 */
    const char *split, *part, *digest, *made_by;
    int unfinished; /* no end record */
    int mixed;      /* further labels an image: (index + 1 + k) % classes, of share index % 5 / 16 */
};

/* Image i of an epoch: bright in the third of the picture that its class names, with noise of its own. */
static inline void draw_image(uint8_t *image, int label, int epoch, int index)
{
    struct random_stream r = random_open(7, RANDOM_TEST, (uint32_t)epoch, (uint64_t)index);
    for (int p = 0; p < IMAGE_BYTES; p++) {
        int third = p / (IMAGE_BYTES / 3), bright = third == label % 3 ? 90 : 0,
            tint = p % 3 == label / 3 % 3 ? 40 : 0;
        image[p] = (uint8_t)((int)random_below(&r, 120) + bright + tint);
    }
}

static inline void put_batch(struct record_writer *w, const struct stream_spec *s, int epoch, int position,
                             int count)
{
    struct batch b;
    int classes = s->classes ? s->classes : 10;
    char names[256] = "[\"0\"";
    for (int k = 1; k < classes; k++)
        snprintf(names + strlen(names), sizeof names - strlen(names), ",\"%d\"", k);
    strcat(names, "]");
    ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 10, count, &m));
    for (int i = 0; i < count; i++) {
        b.indices[i] = position + i;
        batch_label_set(&b, i, (int)((position + i) % classes));
        draw_image(b.images + (size_t)i * IMAGE_BYTES, batch_label(&b, i), epoch, position + i);
    }
    ASSERT_OK(record_setf(b.record, "epoch", &m, "%d", epoch));
    ASSERT_OK(record_setf(b.record, "position", &m, "%d", position));
    ASSERT_OK(record_setf(b.record, "total", &m, "%d", s->total));
    ASSERT_OK(record_set(b.record, "classes", names, &m));
    ASSERT_OK(record_set(b.record, "dataset", "Pictures", &m));
    ASSERT_OK(record_set(b.record, "dataset-digest", s->digest ? s->digest : "sha256:aa", &m));
    ASSERT_OK(record_set(b.record, "split", s->split ? s->split : "train", &m));
    ASSERT_OK(record_set(b.record, "part", s->part ? s->part : "train", &m));
    if (s->mixed)
        ASSERT_OK(batch_mix(&b, s->mixed, &m));
    for (int i = 0; i < count; i++)
        for (int k = 0; k < s->mixed; k++)
            batch_mixed_set(&b, i, k, (position + i + 1 + k) % classes, (float)((position + i) % 5) / 16);
    if (s->made_by)
        ASSERT_OK(record_set(b.record, "made-by", s->made_by, &m));
    ASSERT_OK(writer_put(w, b.record, &m));
    batch_free(&b);
}

static inline void write_stream(const char *path, const struct stream_spec *s)
{
    struct record_writer *w;
    ASSERT_OK(writer_open(&w, path, &m));
    for (int epoch = s->from; epoch < s->epochs; epoch++) {
        for (int at = 0; at < s->total; at += s->batch)
            put_batch(w, s, epoch, at, s->total - at < s->batch ? s->total - at : s->batch);
    }
    if (!s->unfinished)
        ASSERT_OK(batch_write_end(w, (int64_t)(s->epochs - s->from) * s->total, NULL, &m));
    ASSERT_OK(writer_commit(w, &m));
}

/* ---- files ---- */

static inline char *slurp(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    bytes[*size] = '\0';
    fclose(f);
    return bytes;
}

static inline void assert_same_file(const char *a, const char *b)
{
    size_t na, nb;
    char *x = slurp(a, &na), *y = slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

#endif

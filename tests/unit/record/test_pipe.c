/* Records one behind another, from files and through pipes, and the memory that reading takes. */
#include "samples.h"
#include <fcntl.h>
#include <sys/wait.h>
#include "record/digest.h"

static void test_stream_of_records(void **state)
{
    (void)state;
    struct message m;
    struct record *r = sample_record(), *back;
    struct record_writer *w;
    struct record_reader *in;
    const char *path = temporary_path("stream");
    ASSERT_OK(writer_open(&w, path, &m), m);
    assert_int_equal(access(path, F_OK), -1); /* not under its name before the commit */
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(record_setf(r, "number", &m, "%d", i), m);
        ASSERT_OK(writer_put(w, r, &m), m);
    }
    ASSERT_OK(writer_commit(w, &m), m);
    ASSERT_OK(reader_open(&in, path, &m), m);
    assert_string_equal(reader_name(in), path);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reader_next(in, &back, &m), 1);
        assert_int_equal(reader_records(in), i + 1);
        assert_int_equal(record_get(back, "number")[0], '0' + i);
        assert_same_content(r, back);
        record_free(back);
    }
    assert_int_equal(reader_next(in, &back, &m), 0);
    assert_null(back);
    assert_int_equal(reader_next(in, &back, &m), 0);
    reader_close(in);
    assert_int_equal(record_load(&back, path, &m), STATUS_FORMAT);
    assert_non_null(strstr(m.text, "surplus bytes after the record, from offset "));
    record_free(r);
}

static void test_stream_cut_in_a_later_record(void **state)
{
    (void)state;
    struct message m;
    size_t count;
    unsigned char *bytes = sample_bytes(&count), *twice = memory_new(2 * count, 1, &m);
    memcpy(twice, bytes, count);
    memcpy(twice + count, bytes, count);
    const char *path = temporary_path("cut");
    char want[512];
    for (size_t cut = count + 1; cut < 2 * count; cut += 13) {
        struct record_reader *in;
        struct record *r;
        file_write(path, twice, cut);
        ASSERT_OK(reader_open(&in, path, &m), m);
        assert_int_equal(reader_next(in, &r, &m), 1);
        record_free(r);
        assert_int_equal(reader_next(in, &r, &m), STATUS_TRUNCATED);
        snprintf(want, sizeof want, "%s: truncated stream after 1 record, at offset %zu", path, cut);
        assert_string_equal(m.text, want);
        reader_close(in);
    }
    memory_free(bytes);
    memory_free(twice);
}

static void test_load_and_save(void **state)
{
    (void)state;
    struct message m;
    struct record *r = sample_record(), *back;
    char digest[DIGEST_HEX], digest_back[DIGEST_HEX];
    const char *path = temporary_path("one.safetensors");
    ASSERT_OK(record_save(r, path, &m), m);
    ASSERT_OK(record_load(&back, path, &m), m);
    assert_same_content(r, back);
    ((float *)record_find(back, "matrix")->data)[0] = 9; /* tensors may be written */
    ((float *)record_find(back, "matrix")->data)[0] = 0.5f;
    ASSERT_OK(digest_record(r, digest, &m), m);
    ASSERT_OK(digest_record(back, digest_back, &m), m);
    assert_string_equal(digest, digest_back);
    record_free(back);
    record_free(r);
    file_write(path, "", 0);
    assert_int_equal(record_load(&back, path, &m), STATUS_TRUNCATED);
    assert_non_null(strstr(m.text, "one.safetensors: empty input"));
    assert_int_equal(record_load(&back, temporary_path("absent"), &m), STATUS_IO);
    assert_non_null(strstr(m.text, "absent: cannot open: No such file or directory"));
    assert_int_equal(record_load(&back, temporary_folder(), &m), STATUS_IO);
    assert_non_null(strstr(m.text, "read error: Is a directory"));
}

/* A child writes one byte at a time; the parent reads the same record. */
static void test_slow_pipe(void **state)
{
    (void)state;
    struct message m;
    size_t count;
    unsigned char *bytes = sample_bytes(&count);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        int bad = 0;
        for (size_t i = 0; i < count; i++)
            bad |= write(ends[1], bytes + i, 1) != 1;
        _exit(bad);
    }
    close(ends[1]);
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    struct record *r, *original = sample_record();
    ASSERT_OK(record_load(&r, path, &m), m);
    assert_same_content(original, r);
    int status;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    record_free(r);
    record_free(original);
    memory_free(bytes);
}

/* A header that promises 2^50 bytes on a pipe that holds ten costs next to nothing. */
static size_t largest_allocation;

static int watch_allocations(size_t bytes)
{
    largest_allocation = bytes > largest_allocation ? bytes : largest_allocation;
    return 0;
}

static void test_lying_header_costs_no_memory(void **state)
{
    (void)state;
    struct message m;
    unsigned char *bytes;
    size_t count;
    int ends[2];
    char path[64];
    struct record *r;
    frame(&bytes, &count,
          "{\"a\":{\"dtype\":\"U8\",\"shape\":[1125899906842624],\"data_offsets\":[0,1125899906842624]}}", 10);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], bytes, count), count);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    largest_allocation = 0;
    memory_test_hook = watch_allocations;
    assert_int_equal(record_load(&r, path, &m), STATUS_TRUNCATED);
    memory_test_hook = NULL;
    assert_true(largest_allocation <= 1 << 20);
    close(ends[0]);
    memory_free(bytes);
}

/* More than the first piece, in two tensors, through a pipe: memory grows as bytes arrive. */
static void test_large_record_through_a_pipe(void **state)
{
    (void)state;
    struct message m;
    struct record *r = record_new(&m), *back;
    struct tensor *t;
    ASSERT_OK(record_add(r, "a", DTYPE_U8, 1, (int64_t[]){3000001}, &t, &m), m);
    for (size_t i = 0; i < t->count; i++)
        ((uint8_t *)t->data)[i] = (uint8_t)(i * 7919 >> 8);
    ASSERT_OK(record_add(r, "b", DTYPE_F32, 1, (int64_t[]){1000003}, &t, &m), m);
    for (size_t i = 0; i < t->count; i++)
        ((float *)t->data)[i] = (float)i;
    int ends[2];
    char path[64];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        dup2(ends[1], STDOUT_FILENO);
        _exit(record_save(r, "-", &m) == 0 ? 0 : 1);
    }
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    ASSERT_OK(record_load(&back, path, &m), m);
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_same_content(r, back);
    for (size_t i = 0; i < back->tensor_count; i++)
        assert_int_equal((uintptr_t)back->tensors[i].data % 64, 0);
    record_free(r);
    record_free(back);
}

static void test_foreign_file(void **state)
{
    (void)state;
    struct message m;
    struct record *r;
    struct tensor *t;
    ASSERT_OK(record_load(&r, "tests/reference/foreign.safetensors", &m), m);
    assert_string_equal(record_kind(r), "");
    assert_string_equal(record_get(r, "format"), "pt");
    assert_string_equal(record_get(r, "author"), "na\xc3\xafve \"quotes\"");
    ASSERT_OK(record_require(r, "conv.weight", DTYPE_F32, 4, (int64_t[]){2, 3, 1, 1}, &t, &m), m);
    for (int i = 0; i < 6; i++)
        assert_true(((float *)t->data)[i] == (float)i / 4 - 0.5f);
    ASSERT_OK(record_require(r, "codes", DTYPE_U8, 1, (int64_t[]){5}, &t, &m), m);
    assert_memory_equal(t->data, "\x00\x01\x7f\x80\xff", 5);
    ASSERT_OK(record_require(r, "steps", DTYPE_I64, 0, NULL, &t, &m), m);
    assert_true(*(int64_t *)t->data == -123456789012345);
    ASSERT_OK(record_require(r, "half", DTYPE_F16, 1, (int64_t[]){3}, &t, &m), m);
    assert_int_equal(((uint16_t *)t->data)[1], 0x3c00);
    ASSERT_OK(record_require(r, "none", DTYPE_F32, 2, (int64_t[]){0, 4}, NULL, &m), m);
    ASSERT_OK(record_require(r, "flags", DTYPE_BOOL, 2, (int64_t[]){1, 3}, &t, &m), m);
    assert_memory_equal(t->data, "\x01\x00\x01", 3);
    record_free(r);
}

/* Every n-th allocation fails in turn, ours and jansson's, alone or with all behind it, until a run needs fewer. */
static long allocations;
static int failures_last;

static int fail_from(size_t bytes)
{
    (void)bytes;
    allocations--;
    return failures_last ? allocations < 0 : allocations == -1;
}

/* Succeeds only with what it gives when nothing fails. */
typedef int work(const struct record *original, struct message *m);

static int parse(const struct record *original, struct message *m)
{
    size_t count, used;
    struct record *r = NULL;
    int (*hook)(size_t) = memory_test_hook;
    memory_test_hook = NULL;
    void *bytes = sample_bytes(&count);
    memory_test_hook = hook;
    int status = record_parse(&r, bytes, count, &used, m);
    memory_test_hook = NULL;
    assert_int_equal(r != NULL, status == STATUS_OK);
    if (r)
        assert_same_content(original, r);
    record_free(r);
    memory_free(bytes);
    return status;
}

static int save(const struct record *original, struct message *m)
{
    const char *path = temporary_path("nomem");
    struct record *r;
    unlink(path);
    int status = record_save(original, path, m);
    memory_test_hook = NULL;
    assert_int_equal(access(path, F_OK), status == STATUS_OK ? 0 : -1);
    if (status == STATUS_OK) {
        ASSERT_OK(record_load(&r, path, m), *m);
        assert_same_content(original, r);
        record_free(r);
    }
    return status;
}

static int copy(const struct record *original, struct message *m)
{
    struct record *r = record_copy(original, m);
    memory_test_hook = NULL;
    if (r)
        assert_same_content(original, r);
    record_free(r);
    return r ? STATUS_OK : STATUS_NOMEM;
}

static void every_allocation_fails(work *run, const struct record *original)
{
    struct message m;
    for (failures_last = 0; failures_last < 2; failures_last++) {
        long spent = 0, n = 0, left = -1;
        for (; left < 0; n++) { /* until as many are allowed as are used */
            m.text[0] = 0;
            allocations = n;
            memory_test_hook = fail_from;
            int status = run(original, &m);
            left = allocations;
            assert_true(n < 10000 && (status == STATUS_OK || status == STATUS_NOMEM));
            assert_int_equal(strstr(m.text, "memory exhausted") != NULL, status == STATUS_NOMEM);
            spent += status == STATUS_NOMEM;
        }
        assert_true(spent > 10 && spent == n - 1);
    }
}

static void test_every_failing_allocation(void **state)
{
    (void)state;
    struct message m;
    struct record *original = sample_record();
    every_allocation_fails(parse, original);
    char key[3000]; /* for which the header's text has to grow */
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = '\0';
    ASSERT_OK(record_set(original, key, "value", &m), m);
    every_allocation_fails(save, original);
    every_allocation_fails(copy, original);
    record_free(original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_of_records),
        cmocka_unit_test(test_stream_cut_in_a_later_record),
        cmocka_unit_test(test_load_and_save),
        cmocka_unit_test(test_slow_pipe),
        cmocka_unit_test(test_lying_header_costs_no_memory),
        cmocka_unit_test(test_large_record_through_a_pipe),
        cmocka_unit_test(test_foreign_file),
        cmocka_unit_test(test_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
}

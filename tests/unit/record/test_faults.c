/* Every system call of an output fails in turn: the old file stays, no temporary is left, the reason is said. */
#include "samples.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include "record/file.h"

/* These stand before the C library's own for everything that is linked here. */
static long calls_left = -1; /* -1: all succeed */
static int failure;
static int short_transfers; /* writes and reads move one byte at a time, every other one is interrupted */
static int interrupted;

static int call_fails(void)
{
    if (calls_left < 0 || calls_left-- > 0)
        return 0;
    errno = failure;
    return 1;
}

static int transfer_is_interrupted(void)
{
    interrupted = short_transfers && !interrupted;
    if (interrupted)
        errno = EINTR;
    return interrupted;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (call_fails() || transfer_is_interrupted())
        return -1;
    return syscall(SYS_write, fd, bytes, short_transfers && count > 1 ? 1 : count);
}

ssize_t read(int fd, void *bytes, size_t count)
{
    if (call_fails() || transfer_is_interrupted())
        return -1;
    return syscall(SYS_read, fd, bytes, short_transfers && count > 1 ? 1 : count);
}

int fsync(int fd)
{
    return call_fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int close(int fd)
{
    int status = (int)syscall(SYS_close, fd); /* a failed close has closed */
    return call_fails() ? -1 : status;
}

int rename(const char *from, const char *to)
{
    return call_fails() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int folder_entries(const char *folder)
{
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return count;
}

static int text_save(const char *path, struct message *m)
{
    struct atomic_file f;
    TRY(atomic_open(&f, path, m));
    for (int i = 0; i < 3000; i++)
        fprintf(f.stream, "line %d\n", i);
    return atomic_commit(&f, m);
}

static int sample_save(const char *path, struct message *m)
{
    struct record *r = sample_record();
    int status = record_save(r, path, m);
    record_free(r);
    return status;
}

static void every_call_fails(int (*save)(const char *path, struct message *m), int reason)
{
    const char *path = temporary_path("out");
    char words[64];
    snprintf(words, sizeof words, ": %s", strerror(reason));
    int reported = 0, spent = 1;
    for (long n = 0; spent; n++) { /* until more calls are allowed than are made */
        struct message m = {{0}};
        file_write(path, "old", 3);
        failure = reason;
        calls_left = n;
        int status = save(path, &m);
        spent = calls_left < 0;
        calls_left = -1;
        assert_true(n < 1000 && (spent || status >= 0));
        assert_int_equal(folder_entries(temporary_folder()), 1);
        struct text t = {0};
        assert_int_equal(file_read(path, 1 << 20, &t, NULL), 0);
        if (status < 0) {
            reported++;
            assert_int_equal(status, STATUS_IO);
            assert_string_equal(t.data, "old");
            assert_non_null(strstr(m.text, words));
        } else {
            assert_string_not_equal(t.data, "old");
        }
        text_free(&t);
    }
    assert_true(reported >= 3); /* write, sync, rename at least */
}

static void test_full_disk(void **state)
{
    (void)state;
    every_call_fails(text_save, ENOSPC);
    every_call_fails(sample_save, ENOSPC);
}

static void test_quota_and_io_errors(void **state)
{
    (void)state;
    every_call_fails(text_save, EIO);
    every_call_fails(sample_save, EDQUOT);
}

static void test_failing_reads(void **state)
{
    (void)state;
    struct message m;
    const char *path = temporary_path("out");
    ASSERT_OK(sample_save(path, &m), m);
    int status = -1;
    for (long n = 0; status < 0; n++) {
        struct record *r;
        failure = EIO;
        calls_left = n;
        status = record_load(&r, path, &m);
        calls_left = -1;
        assert_true(n < 100 && (status < 0 || n > 3));
        if (status < 0) {
            assert_int_equal(status, STATUS_IO);
            assert_non_null(strstr(m.text, "/out: read error: Input/output error"));
        }
        record_free(r);
    }
}

static void test_one_byte_at_a_time_with_interruptions(void **state)
{
    (void)state;
    struct message m;
    const char *path = temporary_path("out");
    short_transfers = 1;
    int saved = sample_save(path, &m);
    struct record *r = NULL, *original = sample_record();
    int loaded = saved < 0 ? saved : record_load(&r, path, &m);
    short_transfers = 0;
    ASSERT_OK(saved, m);
    ASSERT_OK(loaded, m);
    assert_same_content(original, r);
    record_free(r);
    record_free(original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_quota_and_io_errors),
        cmocka_unit_test(test_failing_reads),
        cmocka_unit_test(test_one_byte_at_a_time_with_interruptions),
    };
    return cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
}

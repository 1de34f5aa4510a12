/* The progress line as others read it: in the file that RESQ_PROGRESS names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/progress.h"

static char path[] = "/tmp/resq-progress-XXXXXX";

static void read_back(char out[512])
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t got = fread(out, 1, 511, f);
    out[got] = '\0';
    fclose(f);
}

/* A day in, 100 images a second and six minutes to go: what the test itself takes changes nothing. */
static void show(struct progress *p, int64_t left, const char *note)
{
    p->started = clock_seconds() - 1e5;
    p->shown = p->started;
    p->total = 10000000 + left;
    progress_show(p, 10000000, note);
}

static void test_the_line_is_in_the_file(void **state)
{
    (void)state;
    char line[512];
    struct progress p;
    FILE *nowhere = fopen("/dev/null", "w");
    setenv("RESQ_PROGRESS", path, 1);
    setenv("RESQ_PROGRESS_LATER", "40", 1);
    progress_open(&p, nowhere, 0, "tool", 1);
    show(&p, 36000, "epoch 1/5 and more");
    read_back(line);
    assert_string_equal(line, "tool 10000000/10036000 100/s 6:00 left, study 6:40 left epoch 1/5 and more\n");
    show(&p, 3600, NULL); /* shorter: nothing of the old one stays */
    read_back(line);
    assert_string_equal(line, "tool 10000000/10003600 100/s 0:36 left, study 1:16 left\n");
    progress_close(&p);
    read_back(line);
    assert_string_equal(line, "tool 10000000/10003600 100/s 0:36 left, study 1:16 left\n");
    setenv("RESQ_PROGRESS_LATER", "", 1);
    progress_open(&p, nowhere, 0, "tool", 1);
    show(&p, 36000, NULL);
    read_back(line);
    assert_string_equal(line, "tool 10000000/10036000 100/s 6:00 left\n");
    progress_close(&p);
    fclose(nowhere);
}

static void test_who_is_quiet_writes_nothing(void **state)
{
    (void)state;
    char line[512];
    struct progress p;
    assert_int_equal(truncate(path, 0), 0);
    setenv("RESQ_PROGRESS", path, 1);
    progress_open(&p, stderr, 1, "tool", 1); /* in front of a pipe: the line is the last program's */
    show(&p, 36000, NULL);
    progress_close(&p);
    progress_open(&p, NULL, 0, "tool", 1);
    show(&p, 36000, NULL);
    progress_close(&p);
    setenv("RESQ_PROGRESS", "/nowhere/at/all", 1); /* is no reason to fail */
    progress_open(&p, stderr, 0, "tool", 1);
    show(&p, 36000, NULL);
    progress_close(&p);
    unsetenv("RESQ_PROGRESS");
    read_back(line);
    assert_string_equal(line, "");
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_is_in_the_file),
        cmocka_unit_test(test_who_is_quiet_writes_nothing),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}

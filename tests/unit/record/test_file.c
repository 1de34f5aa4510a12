/* Files that appear whole or not at all, and the checks made before any work. */
#include "samples.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "record/file.h"

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

static const char *new_folder(const char *name)
{
    const char *path = temporary_path(name);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

static void file_is(const char *path, const char *want)
{
    struct message m;
    struct text t = {0};
    ASSERT_OK(file_read(path, 1000, &t, &m), m);
    assert_string_equal(t.data, want);
    text_free(&t);
}

static void test_commit_replaces_and_abandon_leaves(void **state)
{
    (void)state;
    struct message m;
    struct atomic_file f;
    const char *folder = new_folder("commit");
    char path[256];
    snprintf(path, sizeof path, "%s/out", folder);
    file_write(path, "old", 3);
    ASSERT_OK(atomic_open(&f, path, &m), m);
    fprintf(f.stream, "new %d", 1);
    file_is(path, "old");
    assert_int_equal(folder_entries(folder), 2);
    ASSERT_OK(atomic_commit(&f, &m), m);
    atomic_abandon(&f);
    ASSERT_OK(atomic_commit(&f, &m), m); /* nothing left to do */
    file_is(path, "new 1");
    ASSERT_OK(atomic_open(&f, path, &m), m);
    fputs("never", f.stream);
    atomic_abandon(&f);
    atomic_abandon(&f);
    file_is(path, "new 1");
    assert_int_equal(folder_entries(folder), 1);
    struct stat s;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0666 & ~mask);
}

static void test_symbolic_link_is_followed(void **state)
{
    (void)state;
    struct message m;
    struct stat s;
    const char *target = temporary_path("target"), *link = temporary_path("link");
    file_write(target, "old", 3);
    assert_int_equal(symlink(target, link), 0);
    struct atomic_file f;
    ASSERT_OK(atomic_open(&f, link, &m), m);
    fputs("new", f.stream);
    ASSERT_OK(atomic_commit(&f, &m), m);
    assert_int_equal(lstat(link, &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    file_is(target, "new");
}

/* A device or FIFO is written in place: a rename would replace /dev/null. */
static void test_devices_are_written_in_place(void **state)
{
    (void)state;
    struct message m;
    struct stat s;
    struct atomic_file f;
    ASSERT_OK(atomic_open(&f, "/dev/null", &m), m);
    fputs("gone", f.stream);
    ASSERT_OK(atomic_commit(&f, &m), m);
    assert_int_equal(stat("/dev/null", &s), 0);
    assert_true(S_ISCHR(s.st_mode));
    ASSERT_OK(atomic_open(&f, "/dev/full", &m), m);
    for (int i = 0; i < 10000; i++)
        fputs("too much", f.stream);
    assert_int_equal(atomic_commit(&f, &m), STATUS_IO);
    assert_string_equal(m.text, "/dev/full: write error: No space left on device");
    struct record *r = sample_record();
    assert_int_equal(record_save(r, "/dev/full", &m), STATUS_IO);
    assert_string_equal(m.text, "/dev/full: write error: No space left on device");
    record_free(r);
}

static void test_closed_pipe_is_quiet(void **state)
{
    (void)state;
    struct message m;
    int ends[2];
    char path[64];
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    struct record_writer *w;
    struct record *r = sample_record();
    ASSERT_OK(writer_open(&w, path, &m), m);
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    assert_int_equal(writer_put(w, r, &m), STATUS_PIPE);
    signal(SIGPIPE, SIG_DFL);
    writer_abandon(w);
    record_free(r);
    close(ends[1]);
}

static void test_terminal_is_refused(void **state)
{
    (void)state;
    struct message m;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        skip();
    struct record_writer *w;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_int_equal(writer_open(&w, ptsname(master), &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "refusing to write binary data to a terminal: use -o FILE or a pipe");
    assert_null(w);
    writer_abandon(w);
    close(slave);
    close(master);
}

static void output_refused(const char *path, const char *text)
{
    struct message m = {{0}}, again = {{0}};
    struct atomic_file f;
    assert_int_equal(output_check(path, &m), STATUS_IO);
    if (!strstr(m.text, text))
        print_error("got: %s\n", m.text);
    assert_non_null(strstr(m.text, text));
    assert_int_equal(atomic_open(&f, path, &again), STATUS_IO);
    assert_string_equal(again.text, m.text);
    assert_null(f.stream);
}

static void test_outputs_are_checked_first(void **state)
{
    (void)state;
    struct message m;
    char path[512];
    output_refused("", "output file name is empty");
    output_refused(temporary_folder(), "cannot write: Is a directory");
    snprintf(path, sizeof path, "%s/none/", temporary_folder());
    output_refused(path, "cannot write: Is a directory");
    snprintf(path, sizeof path, "%s/none/out", temporary_folder());
    output_refused(path, "none: No such file or directory");
    file_write(temporary_path("plain"), "x", 1);
    snprintf(path, sizeof path, "%s/plain/out", temporary_folder());
    output_refused(path, "plain: Not a directory");
    assert_int_equal(output_check(NULL, &m), 0);
    assert_int_equal(output_check("-", &m), 0);
    assert_int_equal(output_check("no-such-file-here", &m), 0);
    assert_int_equal(access("no-such-file-here", F_OK), -1);
    assert_int_equal(output_check("/rootfile", &m), access("/", W_OK) ? STATUS_IO : 0);
    if (geteuid() != 0) { /* root may write anywhere */
        const char *folder = new_folder("readonly");
        chmod(folder, 0555);
        snprintf(path, sizeof path, "%s/out", folder);
        output_refused(path, "readonly: Permission denied");
    }
}

static void test_input_and_output_differ(void **state)
{
    (void)state;
    struct message m;
    const char *a = temporary_path("same"), *b = temporary_path("other"), *link = temporary_path("hard");
    file_write(a, "x", 1);
    file_write(b, "x", 1);
    assert_int_equal(linkat(AT_FDCWD, a, AT_FDCWD, link, 0), 0);
    assert_int_equal(output_differs(a, b, &m), 0);
    assert_int_equal(output_differs(a, link, &m), STATUS_MISMATCH);
    assert_non_null(strstr(m.text, "output is the same file as input"));
    assert_int_equal(output_differs("-", a, &m), 0);
    assert_int_equal(output_differs(a, NULL, &m), 0);
    assert_int_equal(output_differs(a, "absent-file", &m), 0);
    assert_int_equal(output_differs("/dev/null", "/dev/null", &m), 0);
}

static void test_read_is_bounded(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    const char *path = temporary_path("long");
    file_write(path, "0123456789", 10);
    ASSERT_OK(file_read(path, 10, &t, &m), m);
    assert_int_equal(t.length, 10);
    text_free(&t);
    assert_int_equal(file_read(path, 9, &t, &m), STATUS_RANGE);
    assert_non_null(strstr(m.text, "longer than the limit of 9 bytes"));
    text_free(&t);
    file_write(path, "", 0);
    ASSERT_OK(file_read(path, 10, &t, &m), m);
    assert_string_equal(t.data, "");
    text_free(&t);
    assert_int_equal(file_read(temporary_path("absent"), 9, &t, &m), STATUS_IO);
}

static void on_signal(int number)
{
    atomic_abandon_all();
    _exit(100 + number);
}

static void test_signal_removes_all_temporaries(void **state)
{
    (void)state;
    char path[256];
    const char *folder = new_folder("signal");
    pid_t child = fork();
    if (child == 0) {
        struct message m;
        struct atomic_file f, g;
        struct record_writer *w;
        signal(SIGTERM, on_signal);
        snprintf(path, sizeof path, "%s/a", folder);
        int bad = atomic_open(&f, path, &m) || atomic_open(&g, path, &m);
        snprintf(path, sizeof path, "%s/b", folder);
        bad |= writer_open(&w, path, &m) || folder_entries(folder) != 3;
        if (!bad)
            raise(SIGTERM);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 100 + SIGTERM);
    assert_int_equal(folder_entries(folder), 0);
}

static void test_leftovers_of_a_killed_writer_go(void **state)
{
    (void)state;
    struct message m;
    char path[256], other[256];
    const char *folder = new_folder("killed");
    snprintf(path, sizeof path, "%s/out", folder);
    snprintf(other, sizeof other, "%s/.out.x.1234567890abcdef.part", folder);
    file_write(other, "", 0); /* not one of ours: no pid */
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct atomic_file f;
            if (atomic_open(&f, path, &m) == 0)
                raise(SIGKILL);
            _exit(1);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
    }
    assert_int_equal(folder_entries(folder), 2); /* the second cleaned up after the first */
    struct atomic_file f, g;
    ASSERT_OK(atomic_open(&f, path, &m), m);
    ASSERT_OK(atomic_open(&g, path, &m), m); /* does not take f's away: its process lives */
    assert_int_equal(folder_entries(folder), 3);
    fputs("f", f.stream);
    fputs("g", g.stream);
    ASSERT_OK(atomic_commit(&f, &m), m);
    ASSERT_OK(atomic_commit(&g, &m), m);
    file_is(path, "g"); /* the last rename wins whole */
    assert_int_equal(folder_entries(folder), 2);
}

static void test_names_of_any_length(void **state)
{
    (void)state;
    struct message m;
    struct atomic_file f;
    char name[256], path[512];
    memset(name, 'n', 255);
    name[255] = 0;
    snprintf(path, sizeof path, "%s/%s", temporary_folder(), name);
    ASSERT_OK(atomic_open(&f, path, &m), m);
    fputs("x", f.stream);
    ASSERT_OK(atomic_commit(&f, &m), m);
    file_is(path, "x");
}

static void test_too_many_outputs(void **state)
{
    (void)state;
    struct message m;
    struct atomic_file files[40];
    int opened = 0;
    char path[256];
    for (; opened < 40; opened++) {
        snprintf(path, sizeof path, "%s/many%d", temporary_folder(), opened);
        if (atomic_open(&files[opened], path, &m) < 0)
            break;
    }
    assert_int_equal(opened, 32);
    assert_non_null(strstr(m.text, "more than 32 outputs open at once"));
    while (opened > 0)
        atomic_abandon(&files[--opened]);
    ASSERT_OK(atomic_open(&files[0], path, &m), m); /* places are given back */
    atomic_abandon(&files[0]);
}

static void test_file_size_limit(void **state)
{
    (void)state;
    struct message m;
    const char *path = temporary_path("limited");
    pid_t child = fork();
    if (child == 0) {
        struct record *r = record_new(&m);
        signal(SIGXFSZ, SIG_IGN);
        int bad = record_add(r, "big", DTYPE_U8, 1, (int64_t[]){100000}, NULL, &m);
        struct rlimit limit = {50000, 50000};
        bad |= setrlimit(RLIMIT_FSIZE, &limit);
        bad |= record_save(r, path, &m) != STATUS_IO;
        bad |= !strstr(m.text, "write error: File too large");
        record_free(r);
        _exit(bad != 0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_replaces_and_abandon_leaves),
        cmocka_unit_test(test_symbolic_link_is_followed),
        cmocka_unit_test(test_devices_are_written_in_place),
        cmocka_unit_test(test_closed_pipe_is_quiet),
        cmocka_unit_test(test_terminal_is_refused),
        cmocka_unit_test(test_outputs_are_checked_first),
        cmocka_unit_test(test_input_and_output_differ),
        cmocka_unit_test(test_read_is_bounded),
        cmocka_unit_test(test_signal_removes_all_temporaries),
        cmocka_unit_test(test_leftovers_of_a_killed_writer_go),
        cmocka_unit_test(test_names_of_any_length),
        cmocka_unit_test(test_too_many_outputs),
        cmocka_unit_test(test_file_size_limit),
    };
    return cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
}

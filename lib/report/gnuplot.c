/* gnuplot.c: runs gnuplot between two unnamed files. Files instead of pipes: neither side can block on the other,
 * and a gnuplot that dies early leaves no broken pipe behind. */
#include "record/file.h"
#include "report/chart.h"
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STANDARD_STREAMS = 3, MAX_ENVIRONMENT = 4096 };

extern char **environ;

/* Our environment, but with a fixed locale: nothing a user has set may change a chart. */
static void environment_make(const char *out[MAX_ENVIRONMENT])
{
    int count = 0;
    for (char **e = environ; *e && count < MAX_ENVIRONMENT - 2; e++)
        if (strncmp(*e, "LC_", 3) != 0 && strncmp(*e, "LANG", 4) != 0 && strncmp(*e, "GNUPLOT", 7) != 0)
            out[count++] = *e;
    out[count++] = "LC_ALL=C.UTF-8";
    out[count] = NULL;
}

static int spawn(FILE *const files[STANDARD_STREAMS], pid_t *child, struct message *m)
{
    const char *environment[MAX_ENVIRONMENT];
    char *arguments[] = {(char[]){"gnuplot"}, (char[]){"-d"}, NULL}; /* -d: no start-up files */
    posix_spawn_file_actions_t actions;
    environment_make(environment);
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        for (int fd = 0; fd < STANDARD_STREAMS && error == 0; fd++)
            error = posix_spawn_file_actions_adddup2(&actions, fileno(files[fd]), fd);
        if (error == 0)
            error =
                posix_spawnp(child, arguments[0], &actions, NULL, arguments, (char *const *)(uintptr_t)environment);
        posix_spawn_file_actions_destroy(&actions);
    }
    if (error == ENOENT)
        return message_set(m, STATUS_UNSUPPORTED, "gnuplot: not found: install gnuplot-nox (or gnuplot)");
    errno = error;
    return error ? message_errno(m, "gnuplot: cannot start") : 0;
}

static int read_all(FILE *file, struct text *out, struct message *m)
{
    char piece[1 << 14];
    if (fseek(file, 0, SEEK_SET) != 0)
        return message_errno(m, "gnuplot: cannot read its output");
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        TRY(text_add_bytes(out, piece, n, m));
    return ferror(file) ? message_errno(m, "gnuplot: cannot read its output") : 0;
}

/* gnuplot's complaint is several lines; the reason stands in the last that is not blank. */
static int complaint(FILE *errors, const char *fallback, struct message *m)
{
    struct text text = {0};
    TRY(read_all(errors, &text, m));
    const char *reason = fallback;
    for (char *line = text.data ? strtok(text.data, "\n") : NULL; line; line = strtok(NULL, "\n")) {
        line += strspn(line, " \t^");
        if (*line)
            reason = line;
    }
    int status = message_set(m, STATUS_FORMAT, "gnuplot: %s", reason);
    text_free(&text);
    return status;
}

static int run(FILE *const files[STANDARD_STREAMS], struct text *out, struct message *m)
{
    pid_t child, waited;
    int result = 0;
    TRY(spawn(files, &child, m));
    do
        waited = waitpid(child, &result, 0);
    while (waited < 0 && errno == EINTR);
    if (waited < 0)
        return message_errno(m, "gnuplot: cannot wait for it");
    if (WIFSIGNALED(result))
        return message_set(m, STATUS_FORMAT, "gnuplot: died by signal %d", WTERMSIG(result));
    if (WEXITSTATUS(result) == 127)
        return message_set(m, STATUS_UNSUPPORTED, "gnuplot: cannot be started");
    if (WEXITSTATUS(result) != 0)
        return complaint(files[2], "failed without a reason", m);
    return read_all(files[1], out, m);
}

int gnuplot_run(const struct text *script, struct text *out, struct message *m)
{
    FILE *files[STANDARD_STREAMS] = {tmpfile(), tmpfile(), tmpfile()};
    int status = 0;
    if (!files[0] || !files[1] || !files[2])
        status = message_errno(m, "gnuplot: cannot make temporary files");
    else if (fwrite(script->data, 1, script->length, files[0]) != script->length || fflush(files[0]) != 0 ||
             lseek(fileno(files[0]), 0, SEEK_SET) != 0)
        status = message_errno(m, "gnuplot: cannot write its script");
    if (status == 0)
        status = run(files, out, m);
    for (int i = 0; i < STANDARD_STREAMS; i++)
        if (files[i])
            fclose(files[i]);
    return status;
}

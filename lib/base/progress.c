#include "base/progress.h"
#include "base/text.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

void progress_open(struct progress *p, FILE *stream, int quiet, const char *label, int64_t total)
{
    const char *path = variable("RESQ_PROGRESS");
    double later;
    struct message unused;
    *p = (struct progress){.stream = stream, .total = total, .file = -1, .later = -1};
    p->is_shown = !quiet && stream && isatty(fileno(stream)) == 1;
    if (!quiet && stream && *path) /* a line that nobody can read is no reason to fail */
        p->file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (parse_number(variable("RESQ_PROGRESS_LATER"), 0, 1e9, "", &later, &unused) >= 0)
        p->later = later;
    p->started = p->shown = clock_seconds();
    snprintf(p->label, sizeof p->label, "%s", label ? label : "");
}

static size_t seconds_print(char *out, size_t size, const char *before, double seconds)
{
    long s = seconds < 359999 ? (long)(seconds + 0.5) : 359999;
    int used = s >= 3600 ? snprintf(out, size, "%s%ld:%02ld:%02ld left", before, s / 3600, s / 60 % 60, s % 60)
                         : snprintf(out, size, "%s%ld:%02ld left", before, s / 60, s % 60);
    return used > 0 ? (size_t)used : 0;
}

/* The line, without its study's part: at most as long as `size`. */
static void line_print(const struct progress *p, int64_t done, double now, const char *note, char *out, size_t size)
{
    double elapsed = now - p->started, rate = elapsed > 0 ? (double)done / elapsed : 0;
    size_t used = (size_t)snprintf(out, size, "%s %lld", p->label, (long long)done);
    if (p->total > 0)
        used += (size_t)snprintf(out + used, size - used, "/%lld", (long long)p->total);
    used += (size_t)snprintf(out + used, size - used, " %.*f/s", rate < 10 ? 1 : 0, rate);
    if (p->total > done && rate > 0) {
        double left = (double)(p->total - done) / rate;
        used += seconds_print(out + used, size - used, " ", left);
        if (p->later >= 0)
            used += seconds_print(out + used, size - used, ", study ", left + p->later);
    }
    if (note && *note)
        snprintf(out + used, size - used, " %s", note);
}

/* Cut where the terminal ends: what goes on in a second row could not be wiped. */
static void line_show(const struct progress *p, const char *line)
{
    struct winsize size = {0};
    char whole[1024];
    snprintf(whole, sizeof whole, "%s%s", variable("RESQ_PROGRESS_STAGE"), line);
    int columns = ioctl(fileno(p->stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 1023;
    fprintf(p->stream, "\r\033[K%.*s", columns, whole);
    fflush(p->stream);
}

/* What was longer is cut afterwards: who reads takes the first line. */
static void file_write(int file, char *line)
{
    size_t length = strlen(line);
    line[length] = '\n';
    if (pwrite(file, line, length + 1, 0) == (ssize_t)(length + 1) && ftruncate(file, (off_t)(length + 1)) != 0)
        return;
}

void progress_show(struct progress *p, int64_t done, const char *note)
{
    char line[512];
    double now = p->is_shown || p->file >= 0 ? clock_seconds() : p->shown;
    if (now - p->shown < 0.1)
        return;
    p->shown = now;
    line_print(p, done, now, note, line, sizeof line - 2);
    if (p->is_shown)
        line_show(p, line);
    if (p->file >= 0)
        file_write(p->file, line);
}

void progress_clear(struct progress *p)
{
    if (!p->is_shown)
        return;
    fputs("\r\033[K", p->stream);
    fflush(p->stream);
}

void progress_close(struct progress *p)
{
    progress_clear(p);
    if (p->file >= 0)
        close(p->file);
    p->file = -1;
}

#include "base/progress.h"
#include <time.h>
#include <unistd.h>

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_open(struct progress *p, FILE *stream, int quiet, const char *label, int64_t total)
{
    *p = (struct progress){.stream = stream, .total = total};
    p->active = !quiet && stream && isatty(fileno(stream)) == 1;
    p->started = p->shown = clock_seconds();
    snprintf(p->label, sizeof p->label, "%s", label ? label : "");
}

static void seconds_show(FILE *f, double seconds)
{
    long s = seconds < 359999 ? (long)(seconds + 0.5) : 359999;
    if (s >= 3600)
        fprintf(f, " %ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(f, " %ld:%02ld left", s / 60, s % 60);
}

void progress_show(struct progress *p, int64_t done, const char *note)
{
    double now = p->active ? clock_seconds() : 0;
    if (!p->active || now - p->shown < 0.1)
        return;
    p->shown = now;
    double elapsed = now - p->started;
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    fprintf(p->stream, "\r\033[K%s %lld", p->label, (long long)done);
    if (p->total > 0)
        fprintf(p->stream, "/%lld", (long long)p->total);
    fprintf(p->stream, " %.*f/s", rate < 10 ? 1 : 0, rate);
    if (p->total > done && rate > 0)
        seconds_show(p->stream, (double)(p->total - done) / rate);
    if (note && *note)
        fprintf(p->stream, " %s", note);
    fflush(p->stream);
}

void progress_clear(struct progress *p)
{
    if (!p->active)
        return;
    fputs("\r\033[K", p->stream);
    fflush(p->stream);
}

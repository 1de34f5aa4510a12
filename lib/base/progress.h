/* progress.h: the clock and the one-line progress display, for tools. */
#ifndef RESQ_BASE_PROGRESS_H
#define RESQ_BASE_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

double clock_seconds(void); /* monotonic; only differences mean anything */

/* Rewrites one line at most ten times a second, only where `stream` is a terminal and quiet is 0. */
struct progress {
    FILE *stream;
    int active;
    double started, shown;
    int64_t total; /* 0: unknown */
    char label[64];
};

void progress_open(struct progress *p, FILE *stream, int quiet, const char *label, int64_t total);
/* done: items so far; note: short text appended, or NULL. Shows rate and time left. */
void progress_show(struct progress *p, int64_t done, const char *note);
void progress_clear(struct progress *p); /* wipes the line, so that a message can be printed; also at the end */

#endif

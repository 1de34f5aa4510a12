/* progress.h: the clock and the one-line progress display, for tools. */
#ifndef RESQ_BASE_PROGRESS_H
#define RESQ_BASE_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

double clock_seconds(void); /* monotonic; only differences mean anything */

/* One line, rewritten at most ten times a second where `stream` is a terminal and quiet is 0:
 *
 *     train-fp32 12800/225000 454/s 7:48 left, study 9:20 left epoch 1/5 loss 1.9012
 *
 * A study that many programs make passes three environment variables: RESQ_PROGRESS, a file whose first line it then
 * is as well, terminal or not, for others to read; RESQ_PROGRESS_STAGE, text before it on a terminal; and
 * RESQ_PROGRESS_LATER, the seconds that what comes after this program will take, for the study's time left. */
struct progress {
    FILE *stream;
    int is_shown, file; /* on the stream; descriptor, -1: none */
    double started, shown;
    double later;  /* seconds; -1: not known */
    int64_t total; /* 0: unknown */
    char label[64];
};

void progress_open(struct progress *p, FILE *stream, int quiet, const char *label, int64_t total);
/* done: items so far; note: short text appended, or NULL. Shows rate and time left. */
void progress_show(struct progress *p, int64_t done, const char *note);
void progress_clear(struct progress *p); /* wipes the line, so that a message can be printed */
void progress_close(struct progress *p); /* the same, at the end */

#endif

/* bench_table.h: measured cases as the table that lib/FORMATS.md describes. */
#ifndef RESQ_TOOLS_BENCH_TABLE_H
#define RESQ_TOOLS_BENCH_TABLE_H

#include "exec/infer/measure.h"
#include "report/table.h"

/* A row `infer` for each case, then, where layers were timed, a row `layer:NAME` for each step of each case. Times
 * are per image. images: where they came from, for a note. */
int bench_table(struct table *t, const struct measure_case *cases, int count, const char *images,
                struct message *m) RESQ_USE_RESULT;

/* The note `gpu`, its name and libraries, where `device` is one. */
int bench_note_device(struct table *t, const char *device, struct message *m) RESQ_USE_RESULT;

enum { BENCH_NAME_SIZE = 128 };

/* The paths[i], one of `count`, as the table names its model: the file's name without suffix, and as many of the
 * folders before it as tell it from the other paths. */
void bench_name(char out[BENCH_NAME_SIZE], const char *const *paths, int count, int i);

#endif

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

#endif

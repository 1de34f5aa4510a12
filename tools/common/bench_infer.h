/* bench_infer.h: bench without --train: whole networks at inference, as the table that lib/FORMATS.md describes. */
#ifndef RESQ_TOOLS_BENCH_INFER_H
#define RESQ_TOOLS_BENCH_INFER_H

#include "tools/common/bench_subjects.h"

/* Every model with every precision (integer layers have their own), batch size and number of threads, in turns. */
int bench_infer_run(struct bench_arguments *o, struct message *m) RESQ_USE_RESULT;

#endif

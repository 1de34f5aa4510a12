/* plan_measure.h: the speeds that a plan of the study rests on, measured here and now, or read from a table. */
#ifndef RESQ_TOOLS_PLAN_MEASURE_H
#define RESQ_TOOLS_PLAN_MEASURE_H

#include "train/budget.h"
#include "train/float_training.h"

/* Fills g->speeds and g->augment; the rest of g says for what: no width is timed that cannot be the one. A second or
 * two for each width. network: of the images' shape and classes; where g->network is given, the one that it names. */
int plan_measure(struct budget_given *g, const struct float_training *network, struct message *m) RESQ_USE_RESULT;
/* The same from a TSV `width train_fp32 train_bf16 infer augment`: images a second, a row a width, the first widths of
 * budget_widths in their order. Of a named network the first row, whatever its width. */
int plan_read(struct budget_given *g, const char *path, struct message *m) RESQ_USE_RESULT;

#endif

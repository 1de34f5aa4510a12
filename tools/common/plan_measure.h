/* plan_measure.h: the speeds that a plan of the study rests on, measured here and now, or read from a table. */
#ifndef RESQ_TOOLS_PLAN_MEASURE_H
#define RESQ_TOOLS_PLAN_MEASURE_H

#include "data/image.h"
#include "train/budget.h"

/* Fills g->speeds and g->augment; the rest of g says for what: no width is timed that cannot be the one. A second or
 * two for each width. */
int plan_measure(struct budget_given *g, struct image_shape shape, int classes, struct message *m) RESQ_USE_RESULT;
/* The same from a TSV `width train_fp32 train_bf16 infer augment`: images a second, a row a width, the first widths of
 * budget_widths in their order. */
int plan_read(struct budget_given *g, const char *path, struct message *m) RESQ_USE_RESULT;

#endif

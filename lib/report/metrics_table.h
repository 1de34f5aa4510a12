/* metrics_table.h: metrics as the long-form tables of lib/FORMATS.md. Every share (accuracy, top2,
 * calibration_error, precision, recall, f1, agreement) is in percent. classes: K names; tabs and line ends in them
 * become '?'. */
#ifndef RESQ_REPORT_METRICS_TABLE_H
#define RESQ_REPORT_METRICS_TABLE_H

#include "record/record.h"
#include "report/metrics.h"
#include "report/predictions.h"
#include "report/table.h"

/* The notes dataset, dataset-digest, split and part, as far as metadata has them. */
int table_note_data(struct table *t, const struct record *metadata, struct message *m) RESQ_USE_RESULT;
/* `metric class predicted value low high`: t must be without columns. */
int metrics_to_table(struct table *t, const struct metrics *x, char *const *classes,
                     struct message *m) RESQ_USE_RESULT;
/* `metric class value`. */
int pair_to_table(struct table *t, const struct pair_metrics *x, char *const *classes,
                  struct message *m) RESQ_USE_RESULT;

#endif

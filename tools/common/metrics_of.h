/* metrics_of.h: the tables that `evaluate` writes, from predictions that were just made or come from files. */
#ifndef RESQ_TOOLS_METRICS_OF_H
#define RESQ_TOOLS_METRICS_OF_H

#include "report/table.h"
#include "tools/common/options.h"
#include "tools/common/predict.h"

/* data: a record with the data keys; classes: K names; what is NULL is not noted. */
int metrics_of(struct table *t, const struct predictions *p, const struct record *data, char *const *classes,
               const struct predict_with *with, const char *model_digest, const char *stage,
               struct message *m) RESQ_USE_RESULT;
/* The files' predictions (predictions_join) and their metrics, as those of one run, whose isa no predictions say;
 * predictions: a path or NULL. */
int predictions_merge(const struct operands *files, const char *output, const char *predictions,
                      struct message *m) RESQ_USE_RESULT;
/* Two files of predictions of the same images, side by side (pair_compute); failures name the file. */
int predictions_compare(char *const paths[2], const char *output, struct message *m) RESQ_USE_RESULT;

#endif

/* metrics_of.h: the table that `evaluate` writes, from predictions that were just made or come from files. */
#ifndef RESQ_TOOLS_METRICS_OF_H
#define RESQ_TOOLS_METRICS_OF_H

#include "report/table.h"
#include "tools/common/options.h"
#include "tools/common/predict.h"

/* data: a record with the data keys; classes: K names; what is NULL is not noted. */
int metrics_of(struct table *t, const struct predictions *p, const struct record *data, char *const *classes,
               const struct predict_with *with, const char *model_digest, const char *stage,
               struct message *m) RESQ_USE_RESULT;
/* The names of its classes, as the metadata of predictions from a file has them: *count is K; the caller frees them
 * (classes_free). */
int predictions_classes(const struct predictions *p, char ***classes, int *count,
                        struct message *m) RESQ_USE_RESULT;
/* The files' predictions (predictions_join) and their metrics, as those of one run, whose isa no predictions say;
 * predictions: a path or NULL. */
int predictions_merge(const struct operands *files, const char *output, const char *predictions,
                      struct message *m) RESQ_USE_RESULT;

#endif

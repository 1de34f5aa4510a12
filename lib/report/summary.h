/* summary.h: a run's three models side by side: their table (lib/FORMATS.md, summary.tsv) and the run's page. */
#ifndef RESQ_REPORT_SUMMARY_H
#define RESQ_REPORT_SUMMARY_H

#include "report/table.h"

enum { SUMMARY_MODELS = 3 };
extern const char
    *const summary_models[SUMMARY_MODELS]; /* "float", "ptq", "qat": rows, and beginnings of files' names */

/* Joins what evaluate measured of each model with what bench timed, at batch 1 on one thread or what comes next to that
 * of what was timed, in the precision that was evaluated, and the files' sizes in bytes. Cells are copied as they
 * stand. STATUS_FORMAT: a column is missing, or a cell is no number (with its row); STATUS_MISMATCH: a model has no
 * accuracy, or no time in its precision. */
int summary_make(struct table *out, const struct table metrics[SUMMARY_MODELS], const struct table *bench,
                 const int64_t bytes[SUMMARY_MODELS], struct message *m) RESQ_USE_RESULT;

/* The table for a person, in Markdown. Sizes and times are compared with those of the first row. */
int summary_print(const struct table *summary, struct text *out, struct message *m) RESQ_USE_RESULT;

/* What the run's page is made of. */
struct summary_page {
    const char *name, *network;                  /* "quick"; "ResNet-18" */
    struct table summary, pairs[SUMMARY_MODELS]; /* pairs: of float and ptq, float and qat, ptq and qat */
    int has_curves;                              /* of training: none where there were no epochs */
};
/* The run's README.md, beside its tables and charts. */
int summary_page_print(const struct summary_page *p, struct text *out, struct message *m) RESQ_USE_RESULT;

#endif

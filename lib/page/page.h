/* page.h: a run, or several beside each other, as one HTML page that needs nothing but itself. The same files give
 * the same bytes: no date, path or machine enters but what they say. */
#ifndef RESQ_PAGE_PAGE_H
#define RESQ_PAGE_PAGE_H

#include "page/run.h"
#include "report/html.h"

/* What a page may weigh: what is embedded for download gives way, with a line that says so. */
enum { PAGE_MAX_BYTES = 2000000 };

/* images: a stream of the batches that were answered, for the pictures; NULL: the run's own .work/test.batches, where
 * it stands. A file that does not fit the predictions is STATUS_MISMATCH. */
int page_of_run(struct html *h, const struct run *r, const char *images, struct message *m) RESQ_USE_RESULT;
/* 2 or more, of different names (runs_tell_apart). */
int page_of_runs(struct html *h, const struct run *runs, int count, struct message *m) RESQ_USE_RESULT;
/* The same facts as a model card in Hugging Face's form: YAML, then Markdown. */
int card_of_run(struct text *out, const struct run *r, struct message *m) RESQ_USE_RESULT;

#endif

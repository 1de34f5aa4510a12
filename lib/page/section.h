/* section.h: the parts of a page: each writes one, or the line that says why it is missing. A failure stays in
 * h->status. The folder's own. */
#ifndef RESQ_PAGE_SECTION_H
#define RESQ_PAGE_SECTION_H

#include "page/run.h"
#include "report/html.h"

/* Opens a section with its heading; lead: a sentence of markup, may be NULL. */
void section_open(struct html *h, const char *id, const char *title, const char *lead);
void section_close(struct html *h);
/* A line for what is not there. */
void section_missing(struct html *h, const char *what);
/* A table's frame, which may be wider than the page: it scrolls by itself, by keys too. caption: for those who hear
 * the page. */
void frame_open(struct html *h, const char *caption, const char *class_name);
void frame_close(struct html *h);
/* h->status takes a failed call's. */
void html_check(struct html *h, int status);
void put_megabytes(struct html *h, int64_t bytes);       /* "11.22 MB", or "-" for 0 */
void put_cell(struct html *h, double value, int digits); /* a table's cell; "-" for what is not finite */

const char *cell_of(const struct table *t, int row, const char *column); /* "-" without such a column */

/* What is said of an answer beside the float one. */
struct comparison {
    const struct run_answer *base, *other;
    int is_paired; /* on the same images */
    int64_t only_base, only_other, images;
    double p, difference, low, high; /* other - base in points of accuracy, with its 95 % interval where paired */
    double smaller, faster;          /* ratios; NAN unknown */
};
int compare_answers(const struct run *r, const struct run_answer *base, const struct run_answer *other,
                    struct comparison *c, struct message *m) RESQ_USE_RESULT;
/* "Beside float, ptq loses nothing measurable (...), is 4.0 times smaller and 3.7 times
 * as fast", escaped for h's form. */
void put_verdict(struct html *h, const struct comparison *c);

void put_margins(struct html *h, const struct run *r); /* nothing without predictions */
void put_peers(struct html *h, const struct run *r);   /* nothing without their table */
void put_flips(struct html *h, const struct run *r);   /* nothing without their table */

void section_verdict(struct html *h, const struct run *r);
void put_models(struct html *h, const struct run *r); /* the table alone */
void section_models(struct html *h, const struct run *r);
void section_pareto(struct html *h, const struct run *runs, int count);
void section_network(struct html *h, const struct run *r);
void section_layers(struct html *h, const struct run *r);
void section_changed(struct html *h, const struct run *r, const char *images);
void section_confusion(struct html *h, const struct run *r);
void section_calibration(struct html *h, const struct run *r);
void section_curves(struct html *h, const struct run *runs, int count);
void section_timing(struct html *h, const struct run *r);
void section_provenance(struct html *h, const struct run *r);
void section_files(struct html *h, const struct run *r);

extern const char page_style[], page_script[];

#endif

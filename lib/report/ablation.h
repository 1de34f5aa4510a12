/* ablation.h: what an ablation's table says: rows as pipelines/ablation-row prints them, one a variant and seed; the
 * variant "base" is the recipe that the others change. */
#ifndef RESQ_REPORT_ABLATION_H
#define RESQ_REPORT_ABLATION_H

#include "report/table.h"

/* A variant: the means of its seeds. Strings are the table's. Accuracies in %, rounded to 3 decimals, seconds to 1. */
struct ablation_row {
    const char *variant, *change;
    int seeds, pairs;          /* pairs: seeds that the base has too; 0 of the base itself */
    double held_out, train;    /* accuracies */
    double difference, chance; /* see below; NaN where there is none */
    double seconds;
};

struct ablation {
    const struct table *table; /* borrowed; must outlive the ablation */
    struct ablation_row *rows; /* in the table's order */
    int count;
};

/* A seed decides the order of images, their augmentation and the first weights in variant and base alike, so
 * differences are taken seed by seed: `difference` is their mean. What chance is worth is learned from all variants
 * together, as the deviation s of the differences around each variant's mean, with f = sum (pairs - 1) degrees of
 * freedom: chance alone takes a difference further than `chance` = t * s / sqrt(pairs) from zero in one case of 20, t
 * the 0.975 quantile of Student's distribution with f degrees of freedom. NaN where f is 0.
 * STATUS_FORMAT: a column is missing, a cell is no number in its range (with its row), a variant has a seed twice, or
 * too many rows. ablation_free also after a failure. */
int ablation_of_table(struct ablation *a, const struct table *t, struct message *m) RESQ_USE_RESULT;
void ablation_free(struct ablation *a);

/* The page for a person, in Markdown. */
int ablation_page(const struct ablation *a, struct text *out, struct message *m) RESQ_USE_RESULT;

#endif

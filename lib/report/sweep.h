/* sweep.h: what a sweep's table says: rows as pipelines/sweep-row prints them, one a configuration and seed. */
#ifndef RESQ_REPORT_SWEEP_H
#define RESQ_REPORT_SWEEP_H

#include "report/table.h"

/* A configuration: the means of its seeds. Strings are the table's. Accuracies in %, rounded to 4 decimals and losses
 * to 6, so that what is equal compares equal in whatever order it was summed. */
struct sweep_row {
    const char *stage, *observer, *granularity, *ranges, *images;
    int weight_bits, activation_bits, seeds; /* bits: 0 where the table has "-" */
    int64_t calibration_images, bytes;       /* bytes: the first seed's, some digits of metadata more or less */
    double accuracy, least, most;            /* the mean; the least and the most of the seeds */
    double low, high;                        /* of the 95 % intervals, the means: all seeds see the same images */
    double loss;
};

struct sweep {
    const struct table *table; /* borrowed; must outlive the sweep */
    struct sweep_row *rows;    /* in the table's order of first seeds */
    int count, seeds;          /* seeds: the most that a row has */
    int float_row;
    int64_t usual; /* the calibration images that all but their own comparison have; -1: none */
};

/* STATUS_FORMAT: a column or the float row is missing, a cell is no number in its range (with its row), or too many
 * rows. sweep_free also after a failure. */
int sweep_of_table(struct sweep *s, const struct table *t, struct message *m) RESQ_USE_RESULT;
void sweep_free(struct sweep *s);
/* Higher accuracy, or the same at less loss. */
int sweep_is_better(const struct sweep_row *a, const struct sweep_row *b);
/* PTQ with the usual number of calibration images; and of those the same bits for weights and activations. */
int sweep_is_usual(const struct sweep *s, const struct sweep_row *r);
/* PTQ at 8 bits, a scale a channel, whatever the number of calibration images. */
int sweep_is_calibration(const struct sweep_row *r);

/* The page for a person, in Markdown: what the sweep chose, tables, and links to charts by name. */
int sweep_page(const struct sweep *s, char *const *charts, int count, struct text *out,
               struct message *m) RESQ_USE_RESULT;

#endif

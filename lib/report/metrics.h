/* metrics.h: what is said about predictions. logits f32 [N,K], labels u16 [N]. */
#ifndef RESQ_REPORT_METRICS_H
#define RESQ_REPORT_METRICS_H

#include "base/status.h"
#include <stdint.h>

struct interval {
    double low, high;
};

/* Wilson's score interval for k successes of n at 95 % (Wilson 1927), as proportions. */
struct interval wilson_interval(int64_t k, int64_t n);
/* Of the difference of two paired proportions, second less first, at 95 %: of n images so many only the first has
 * right, so many only the second. Wald's with half an image more in each cell, so that it is not of no width where
 * nothing changed (Agresti and Min 2005). */
struct interval paired_interval(int64_t only_first, int64_t only_second, int64_t n);
/* Exact two-sided McNemar test on discordant counts b and c, b + c below 2^32 (binomial with p = 1/2). */
double mcnemar_exact(int64_t b, int64_t c);

/* Of a confusion matrix of thousands of classes hardly a cell is not 0: those alone are kept. */
struct confusion_cell {
    int label, predicted;
    int64_t count;
};

struct metrics {
    int64_t images, correct, top2;
    int classes;
    double loss;                      /* mean cross-entropy, natural logarithm, no smoothing */
    double calibration_error;         /* expected calibration error, 15 equal-width bins (Guo et al. 2017) */
    struct confusion_cell *confusion; /* [cells], by label, then by what was predicted; no count is 0 */
    int64_t cells;
    int64_t *labelled, *predicted; /* [K]: images of each class, and taken for it */
};

/* The predicted class is the first of the largest logits. A NaN or Inf logit is STATUS_RANGE with its image. */
int metrics_compute(struct metrics *out, const float *logits, const uint16_t *labels, int64_t n, int classes,
                    struct message *m) RESQ_USE_RESULT;
void metrics_free(struct metrics *x);
/* Makes x's confusion of cells in any order, which may name the same place again; classes are 0..x->classes-1. Takes
 * cells, also where it fails. */
int metrics_set_confusion(struct metrics *x, struct confusion_cell *cells, int64_t count,
                          struct message *m) RESQ_USE_RESULT;
int64_t metrics_confusion(const struct metrics *x, int label, int predicted);

/* One class's share of the confusion matrix, as proportions. Where nothing was predicted as the class (precision),
 * no image has it (recall) or neither (f1), 0/0 is 0. */
struct class_metrics {
    int64_t images, predicted, hits; /* with this label; predicted as it; both */
    double precision, recall, f1;
};
struct class_metrics metrics_of_class(const struct metrics *x, int c); /* c: 0..classes-1 */

int argmax(const float *row, int classes);
/* Softmax probability of class c in a row. */
double softmax_probability(const float *row, int classes, int c);

#endif

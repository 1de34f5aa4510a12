/* loss.h: softmax cross-entropy with label smoothing, and its gradient.
 *
 *     loss = -(1/N) sum_n [ (1 - e) sum_t s[n,t] log p[n,t] + (e/K) sum_k log p[n,k] ]        gradient = (p - q) / N
 *
 * s: the share of label t in what row n is to say (struct targets of base/scalar.h), 1 of its label where it has one.
 * log p by log-softmax with the row's maximum subtracted. Everything in double, row after row: one order of sums.
 */
#ifndef RESQ_TRAIN_LOSS_H
#define RESQ_TRAIN_LOSS_H

#include "base/scalar.h"
#include "base/status.h"
#include "exec/train/reduce.h"
#include <stdint.h>

/* Running sums over images; all-zero is empty. */
struct loss_sums {
    double loss;             /* sum of the rows' losses, not yet divided */
    int64_t images, correct; /* correct: the first of the largest logits is the label; of several,
                              * that of the largest share */
};

/* logits f32 [count,K], labels u16 [count] < K, count >= 1, smoothing in [0,1). Adds to sums; writes dlogits f32
 * [count,K] where not NULL. A row whose loss is NaN or Inf is STATUS_RANGE (`loss is nan`), and sums is as before. */
int loss_cross_entropy(const float *logits, const uint16_t *labels, int64_t count, int classes, double smoothing,
                       float *dlogits, struct loss_sums *sums, struct message *m) RESQ_USE_RESULT;
/* The same of targets, labels and labels2 < K, shares as they must be: a mixture of labels is what their losses are
 * worth by their shares. */
int loss_of_targets(const float *logits, const struct targets *targets, int64_t count, int classes,
                    double smoothing, float *dlogits, struct loss_sums *sums, struct message *m) RESQ_USE_RESULT;
/* The same where ranks share the mini-batch that reduce_begin has named. logits, targets and dlogits are of the own
 * share alone; what is added to sums, and the N by which the gradient is divided, are of the whole mini-batch. */
int loss_of_batch(struct reduce *r, const float *logits, const struct targets *targets, int classes,
                  double smoothing, float *dlogits, struct loss_sums *sums, struct message *m) RESQ_USE_RESULT;
double loss_mean(const struct loss_sums *sums);     /* 0 where empty */
double loss_accuracy(const struct loss_sums *sums); /* in percent; 0 where empty */

#endif

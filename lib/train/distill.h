/* distill.h: distillation (Hinton et al. 2015, arXiv:1503.02531): a loss mixed with how far the
 * logits, softened, are from a teacher's:
 *
 *     loss = (1 - share) * own + share * T^2 * (1/N) sum_n KL(softmax(teacher[n] / T) || softmax(logits[n] / T))
 *     gradient = (1 - share) * own gradient + share * T * (softmax(logits / T) - softmax(teacher / T)) / N
 *
 * T^2 keeps the two gradients in proportion whatever T is. Everything in double, row after row: one order of sums. */
#ifndef RESQ_TRAIN_DISTILL_H
#define RESQ_TRAIN_DISTILL_H

#include "train/loss.h"

struct distillation {
    double share;       /* 0..1 */
    double temperature; /* T > 0 */
};

/* logits, teacher f32 [count,K]. On entry the own loss is in: its sum was added to sums, which had `before`, and
 * dlogits f32 [count,K] is its gradient; both become those of the mixture. STATUS_RANGE where it is not finite (`loss
 * is nan`): sums are then as on entry. */
int distill(const float *logits, const float *teacher, int64_t count, int classes, const struct distillation *how,
            double before, float *dlogits, struct loss_sums *sums, struct message *m) RESQ_USE_RESULT;

#endif

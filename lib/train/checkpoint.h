/* checkpoint.h: all that a training run needs to go on, as parts of one record (kind checkpoint in lib/FORMATS.md). */
#ifndef RESQ_TRAIN_CHECKPOINT_H
#define RESQ_TRAIN_CHECKPOINT_H

#include "base/text.h"
#include "exec/train/gradient.h"
#include "record/checkpoint_file.h"
#include "train/loss.h"

/* Where a run stands, between two steps. All-zero, but best_epoch -1 and start_accuracy NaN, is the beginning. */
struct training_state {
    /* 0-based, what comes next; epoch_step = steps an epoch: the work of the epoch's end is still due */
    int64_t epoch, epoch_step;
    int64_t step, images_seen; /* since the start */
    struct loss_sums sums;     /* of this epoch */
    double epoch_seconds, seconds;
    int64_t best_epoch; /* completed epochs when the best was found, 0: the start model; -1: none yet */
    double best_accuracy, best_loss; /* on the held-out images; NaN where there are none */
    double start_accuracy;           /* of the start model there; NaN where it was not tested */
    struct text log;
};
void training_state_free(struct training_state *s);

/* The slices of a flat buffer as tensors PREFIX + slice name, borrowed: values must outlive the record. */
int checkpoint_add(struct record *r, const char *prefix, const struct slice *slices, int count, float *values,
                   struct message *m) RESQ_USE_RESULT;
/* And back; each tensor must be there with the slice's shape. */
int checkpoint_take(const struct record *r, const char *prefix, const struct slice *slices, int count,
                    float *values, struct message *m) RESQ_USE_RESULT;
/* The state as metadata, every number so that it reads back the same. */
int checkpoint_add_state(struct record *r, const struct training_state *s, struct message *m) RESQ_USE_RESULT;
int checkpoint_take_state(const struct record *r, struct training_state *s, struct message *m) RESQ_USE_RESULT;

/* Loss scaling and the steps of this epoch that it skipped. s NULL: the loss is not scaled, nothing is added or
 * taken. A checkpoint of a run that scaled nothing leaves *s and *skipped at their beginning. */
int checkpoint_add_scale(struct record *r, const struct gradient_scale *s, int64_t skipped,
                         struct message *m) RESQ_USE_RESULT;
int checkpoint_take_scale(const struct record *r, struct gradient_scale *s, int64_t *skipped,
                          struct message *m) RESQ_USE_RESULT;

#endif

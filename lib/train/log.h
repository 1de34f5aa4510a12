/* log.h: the training log, a TSV (lib/FORMATS.md) built in memory and written whole after each epoch, so that a
 * resumed run replaces whatever an interrupted one left by what its checkpoint knows. All columns but the last two
 * repeat exactly. */
#ifndef RESQ_TRAIN_LOG_H
#define RESQ_TRAIN_LOG_H

#include "base/text.h"
#include "record/record.h"
#include <stdint.h>

struct log_row {
    int64_t epoch, step;      /* both completed: the first row has epoch 1, or 0 where the start was evaluated */
    double learning_rate;     /* of the epoch's last step; NaN prints as "-", in every column */
    double loss;              /* training loss, label smoothing included */
    double accuracy_train;    /* percent, of the images as they came, while training */
    double accuracy_held_out; /* percent */
    double images_per_second; /* training alone */
    double seconds;           /* since the start, interruptions left out */
};

/* Notes (tool, data set, its digest, images an epoch, held-out images, precision, clip-norm, shard) and the header
 * line. stream NULL, held_out 0, precision NULL, clip_norm 0, shard 0: none. */
int log_begin(struct text *log, const char *tool, const struct record *stream, int64_t images, int64_t held_out,
              const char *precision, double clip_norm, int shard, struct message *m) RESQ_USE_RESULT;
int log_add(struct text *log, const struct log_row *row, struct message *m) RESQ_USE_RESULT;
/* Whole or not at all; path NULL: nothing to do. */
int log_save(const struct text *log, const char *path, struct message *m) RESQ_USE_RESULT;

#endif

/* average.h: the exponential moving average of parameters and of batch norm's (and moving ranges') state:
 *
 *     a = a + (1 - d_t) * (x - a),    d_t = min(decay, (1 + t) / (10 + t)) after step t = 1, 2 ..
 *
 * so that the first steps' weights do not linger in short runs. num_batches_tracked is copied, not averaged. */
#ifndef RESQ_TRAIN_AVERAGE_H
#define RESQ_TRAIN_AVERAGE_H

#include "base/threads.h"
#include "exec/train/gradient.h"
#include <stddef.h>
#include <stdint.h>

/* decay 0: off, and everything below does nothing; values is then NULL. */
struct average {
    double decay;
    float *values; /* [parameters, then state] */
    size_t parameters, state;
    const struct slice *state_slices; /* the gradient's */
    int state_slice_count;
    struct threads *pool; /* who shares an update; NULL: the caller alone */
};

/* Starts from the gradient's current values. */
int average_open(struct average *a, double decay, struct gradient *g, struct message *m) RESQ_USE_RESULT;
void average_update(struct average *a, const float *parameters, const float *state, int64_t step); /* step from 1 */
double average_share(const struct average *a, int64_t step); /* 1 - d_t; 0 where there are no averages */
void average_close(struct average *a);

#endif

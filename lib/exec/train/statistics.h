/* statistics.h: batch norm's statistics of one channel, the same for all engines of the CPU. Private to
 * lib/exec/train. */
#ifndef RESQ_EXEC_TRAIN_STATISTICS_H
#define RESQ_EXEC_TRAIN_STATISTICS_H

#include "exec/train/gradient_engine.h"

struct norm_sums {
    double sum, squares;
};

/* y = x * scale + shift is (x - mean) * inv_std * gamma + beta. */
struct norm_channel {
    float mean, inv_std, scale, shift;
};

/* Channel c of batch norm `step`, from its sums over `rows` values; moves the running mean and (unbiased)
 * variance. */
struct norm_channel norm_channel_update(struct gradient *g, int step, int c, struct norm_sums sums, double rows);

#endif

/* gradient_statistics.h: batch norm's statistics of one channel, the same for both engines. Private to lib/exec. */
#ifndef RESQ_EXEC_TRAIN_GRADIENT_STATISTICS_H
#define RESQ_EXEC_TRAIN_GRADIENT_STATISTICS_H

#include "exec/train/gradient_plan.h"

struct norm_sums {
    double sum, squares;
};

/* y = x * scale + shift is (x - mean) * inv_std * gamma + beta. */
struct norm_channel {
    float mean, inv_std, scale, shift;
};

/* From sums over `rows` values; moves the running mean and (unbiased) variance. */
struct norm_channel norm_channel_update(struct gradient *g, const struct train_step *s, int c,
                                        struct norm_sums sums, double rows);

#endif

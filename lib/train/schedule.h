/* schedule.h: the learning rate of each step. Step t of T is taken at its middle, u = (t + 1/2) / T, so that no
 * step has a rate of zero and a run of one step has the middle one.
 *
 *     one-cycle  linear from 0 up to rate at u = peak, then linear down to 0
 *     cosine     rate * (1 + cos(pi * u)) / 2
 *     step       rate, times factor at each milestone passed
 *     constant   rate
 *
 * A warm-up of W steps (all but one-cycle, which has its own) multiplies by (t + 1/2) / W while t < W; the cosine
 * then runs over the T - W steps left. */
#ifndef RESQ_TRAIN_SCHEDULE_H
#define RESQ_TRAIN_SCHEDULE_H

#include "base/status.h"
#include <stdint.h>

enum schedule_kind { SCHEDULE_ONE_CYCLE, SCHEDULE_COSINE, SCHEDULE_STEP, SCHEDULE_CONSTANT };
enum { SCHEDULE_MAX_MILESTONES = 32 };
#define SCHEDULE_NAMES "one-cycle|cosine|step|constant"

struct schedule {
    enum schedule_kind kind;
    double rate;                                /* the highest */
    double peak;                                /* one-cycle: share of the run, 0..1 */
    double warm_up_epochs;                      /* the others */
    double milestones[SCHEDULE_MAX_MILESTONES]; /* step: shares of the run, ascending */
    int milestone_count;
    double factor;
};

/* One of SCHEDULE_NAMES. */
int schedule_parse(const char *name, enum schedule_kind *kind, struct message *m) RESQ_USE_RESULT;
/* step 0..epochs * steps_an_epoch - 1. */
double schedule_rate(const struct schedule *s, int64_t step, int64_t steps_an_epoch, int64_t epochs);

#endif

/* oscillation.h: weights of few bits that jump between two codes, step after step, are frozen (Nagel et al. 2022,
 * arXiv:2203.11086, iterative freezing). Of a weight whose code, clamp(rint(w / s)), was other after this step than
 * after the last one, an oscillation is a change in the other direction than its last change.
 * After each step, with momentum a = 0.01:
 *
 *     f = a * (is an oscillation) + (1 - a) * f
 *     mean = a * code + (1 - a) * mean
 *     where f > threshold: the weight is s * rint(mean) from now on, s being the scale as it is then
 *
 * The threshold falls over the run as a cosine from 0.1 to what is asked for. */
#ifndef RESQ_TRAIN_OSCILLATION_H
#define RESQ_TRAIN_OSCILLATION_H

#include "exec/train/gradient.h"
#include "record/record.h"

enum { OSCILLATION_MOST_BITS = 3 }; /* layers of more bits do not freeze */

struct oscillation_options {
    double threshold; /* at the run's end, up to 0.1; 0: nothing is frozen */
    int64_t steps;    /* of the whole run */
};

/* All-zero: off. The gradient must outlive it. Of the weights of all layers that freeze, one behind the other: */
struct oscillation {
    struct oscillation_options options;
    struct gradient *gradient;
    size_t count;
    float *frequency, *mean;
    int8_t *code,
        *direction; /* direction: of the last change, -1 or 1; 0: none yet; OSCILLATION_FROZEN: frozen at code */
};
enum { OSCILLATION_FROZEN = 2 };

/* Codes are those of the parameters as they are. STATUS_UNSUPPORTED where a layer's scales are found anew in each
 * pass, or a device makes the steps. */
int oscillation_open(struct oscillation *o, struct gradient *g, const struct oscillation_options *options,
                     struct message *m) RESQ_USE_RESULT;
double oscillation_threshold(const struct oscillation_options *o, int64_t step);
/* After step `number`, from 1, has changed the parameters. */
void oscillation_update(struct oscillation *o, int64_t number);
size_t oscillation_frozen(const struct oscillation *o); /* how many weights are */
/* What a checkpoint holds of it: `oscillation.frequency`, `.mean` F32 and `.code`,
 * `.direction` I8, [count]; borrowed. */
int oscillation_add(struct record *r, const struct oscillation *o, struct message *m) RESQ_USE_RESULT;
int oscillation_take(const struct record *r, struct oscillation *o, struct message *m) RESQ_USE_RESULT;
void oscillation_close(struct oscillation *o);

#endif

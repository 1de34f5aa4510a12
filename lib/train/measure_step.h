/* measure_step.h: how long whole training steps take - forward, loss, backward, optimizer, averaged weights -,
 * several cases in one run, a step of each in turn, so that a machine that slows down or speeds up does so for all
 * of them.
 *
 * Every step is a real one, on the same mini-batch again. Cases of one group start alike and differ in their
 * threads alone: after every step their losses must be the same bits, and at the end all their parameters. */
#ifndef RESQ_TRAIN_MEASURE_STEP_H
#define RESQ_TRAIN_MEASURE_STEP_H

#include "exec/infer/measure.h"
#include "train/step.h"

enum layer_pass { LAYER_FORWARD, LAYER_DATA, LAYER_WEIGHT, LAYER_PASSES };

struct step_case {
    struct gradient *gradient; /* the caller's, as opened; its parameters move */
    const uint8_t *images;
    const uint16_t *labels;
    int batch, classes;
    double rate; /* of learning */
    int group;
    const char *name; /* for messages */
    /* results: */
    struct timing step, parts[STEP_PARTS]; /* parts: zeros where a device makes whole steps */
    double peak;                           /* see gradient_peak; the larger of one before and one after */
    double loss;                           /* after the last step */
    int samples;
    /* Where asked for, else NULL; step_measure_free. layers[layer][pass]; all zero where a pass does not exist. */
    struct timing (*layers)[LAYER_PASSES];
    struct timing products, elementwise; /* of a step: convolutions and linear layers; the other layers */
    int layer_samples;
};

/* Warms up with two steps of each case; then as measure_run of exec/infer/measure.h, whose limits hold. With layers the
 * steps that are profiled come afterwards. Allocates nothing while the clock runs. STATUS_MISMATCH where a group
 * comes apart, STATUS_RANGE where a loss is not finite; both name the case. */
int step_measure(struct step_case *cases, int count, const struct measure_options *options,
                 struct message *m) RESQ_USE_RESULT;
void step_measure_free(struct step_case *cases, int count);

#endif

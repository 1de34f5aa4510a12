/* step.h: a training step - forward, loss, backward, optimizer, averaged weights -, made here (step_host.c) or by a
 * device that makes it whole (step_device.c). Who calls does not know which:
 *
 *     begin     before the first step: parameters, state, velocity and averages as they now are
 *     make      one step; what it left may arrive with a later one
 *     wait      until what all steps left has arrived
 *     settle    the same, and everything flat is up to date: before anybody looks at it. Steps may go on from there */
#ifndef RESQ_TRAIN_STEP_H
#define RESQ_TRAIN_STEP_H

#include "base/text.h"
#include "exec/train/gradient.h"
#include "train/average.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/oscillation.h"
#include "train/teacher.h"

enum step_part { STEP_FORWARD, STEP_LOSS, STEP_BACKWARD, STEP_UPDATE, STEP_PARTS };

struct step_options {
    struct optimizer_options optimizer;
    double label_smoothing;  /* [0,1) */
    double ema;              /* decay of the averaged weights; 0: off */
    int batch, classes;      /* batch: the largest mini-batch */
    struct teacher *teacher; /* the caller's; NULL: labels alone. Not where a device makes the steps */
    struct oscillation_options oscillation; /* likewise */
};

struct step_maker; /* one of the two */

struct stepper {
    const struct step_maker *maker;
    struct gradient *gradient; /* the caller's */
    struct step_options options;
    struct optimizer optimizer;
    struct average average;
    struct oscillation oscillation;
    double seconds[STEP_PARTS]; /* of the last step; zeros where a device makes it */
    /* made here: */
    float *logits, *dlogits; /* [batch,K] */
    /* made by a device: */
    unsigned char *flags; /* of its rule */
    int is_ahead;         /* steps were begun since the last settle */
};

/* What steps left; {.sums = .., .behind = -1} at first. */
struct step_done {
    struct loss_sums *sums; /* the caller's: every step's are added to them, in order */
    int64_t skipped;        /* steps whose gradients overflowed: they changed no parameter */
    int behind; /* where a call failed: so many steps were begun after the one that it is about; -1: about the one
                 * being made, or none */
};

/* The gradient must outlive the stepper. All-zero is closed. */
int stepper_open(struct stepper *s, struct gradient *g, const struct step_options *options,
                 struct message *m) RESQ_USE_RESULT;
void stepper_close(struct stepper *s);

/* Steps go on with another gradient of the same slices, which has the former one's values; step_begin comes next. The
 * former may be gone by now. */
void stepper_move(struct stepper *s, struct gradient *g);

int step_begin(struct stepper *s, struct message *m) RESQ_USE_RESULT;
/* images u8 [count,H,W,C], targets [count]; number: of the step, from 1; rate: of learning. */
int step_make(struct stepper *s, const uint8_t *images, const struct targets *targets, int count, int64_t number,
              double rate, struct step_done *done, struct message *m) RESQ_USE_RESULT;
int step_wait(struct stepper *s, struct step_done *done, struct message *m) RESQ_USE_RESULT;
int step_settle(struct stepper *s, struct step_done *done, struct message *m) RESQ_USE_RESULT;

/* How many images exec_run should take at once to evaluate where the steps are made; 0: its default. */
int step_evaluation_batch(const struct stepper *s);
/* Lines on what makes the steps. parameters: how many are learned; asked: the precision that was asked for, or
 * NULL. */
int step_describe(const struct stepper *s, size_t parameters, const char *asked, struct text *lines,
                  struct message *m) RESQ_USE_RESULT;

/* ---- private to step*.c ---- */

struct step_maker {
    int (*open)(struct stepper *s, struct message *m);
    int (*begin)(struct stepper *s, struct message *m);
    int (*make)(struct stepper *s, const uint8_t *images, const struct targets *targets, int count, int64_t number,
                double rate, struct step_done *done, struct message *m);
    int (*wait)(struct stepper *s, struct step_done *done, struct message *m);
    int (*settle)(struct stepper *s, struct step_done *done, struct message *m);
    int (*describe)(const struct stepper *s, size_t parameters, const char *asked, struct text *lines,
                    struct message *m);
    int evaluation_batch;
};

extern const struct step_maker step_on_host;   /* step_host.c */
extern const struct step_maker step_on_device; /* step_device.c */

#endif

/* trainer.h: a training run from the inside. Private to training.c, loop.c and resume.c. */
#ifndef RESQ_TRAIN_TRAINER_H
#define RESQ_TRAIN_TRAINER_H

#include "base/progress.h"
#include "train/average.h"
#include "train/checkpoint.h"
#include "train/feed.h"
#include "train/held_out.h"
#include "train/training.h"

struct trainer {
    const struct training_options *options;
    const struct training_kind *kind;
    void *context;
    struct lineage *lineage;

    struct feed *feed;
    struct record *stream; /* metadata of the incoming batches; of the first run's, where this one resumes */
    struct held_out held_out;
    struct model start;
    struct gradient *gradient;
    struct optimizer optimizer;
    struct average average;
    struct training_state state;
    struct text recipe;

    size_t parameters, states; /* how many floats */
    float *best;               /* [parameters, then state] of the best epoch after 0; only with held-out images */
    float *spare_state;        /* [state] */
    float *logits, *dlogits;   /* [batch,K] */
    int classes;
    double last_accuracy; /* of the last epoch, where this session tested it; NaN */

    int resumed; /* from a checkpoint */
    /* Where a device makes whole steps: */
    unsigned char *flags;    /* of its rule */
    int has_begun, is_ahead; /* some steps' outcome, and all that is flat, is not here yet */
    int64_t skipped;         /* steps of this epoch whose gradients overflowed */
    struct progress progress;
    int64_t images_before; /* seen before this session */
    double session_start, seconds_before, mark;
};

void trainer_say(const struct trainer *t, int verbose, const char *format, ...) RESQ_PRINTF(3, 4);
double trainer_rate(const struct trainer *t, int64_t step); /* learning rate */
/* The deliverable model of values [parameters, state]; NULL: of now, averaged where averages are kept. */
int trainer_deliver(struct trainer *t, const float *values, struct model *out, struct message *m) RESQ_USE_RESULT;
/* STATUS_RANGE, naming epoch, step, learning rate and tensor, where a parameter or state is no longer finite. */
int trainer_check_finite(struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* message_prefix with where the run is: `epoch 2, step 17, learning rate 0.1`. */
int trainer_prefix(const struct trainer *t, int64_t step, int status, struct message *m);

/* lineage_apply with the run's stream, options and side inputs, held-out images among them. */
int trainer_lineage(const struct trainer *t, struct record *to, struct message *m) RESQ_USE_RESULT;

/* device_steps.c */
int trainer_step_on_device(struct trainer *t, const struct minibatch *b, double rate,
                           struct message *m) RESQ_USE_RESULT;
/* Waits until everything that a device was asked for is here; before anybody looks at parameters, sums or state. */
int trainer_settle(struct trainer *t, struct message *m) RESQ_USE_RESULT;
int trainer_log_skipped(struct trainer *t, struct message *m) RESQ_USE_RESULT;
int trainer_save_scale(struct trainer *t, struct record *r, struct message *m) RESQ_USE_RESULT;
int trainer_restore_scale(struct trainer *t, const struct record *r, struct message *m) RESQ_USE_RESULT;
int trainer_save_device(const struct trainer *t, struct record *r, struct message *m) RESQ_USE_RESULT;
/* A line in log and talk where the checkpoint's device or precision is another. */
int trainer_log_device(struct trainer *t, const struct record *checkpoint, struct message *m) RESQ_USE_RESULT;

/* loop.c: from the state on to the end of the last epoch and of the stream. */
int loop_run(struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* resume.c */
int trainer_save(struct trainer *t,
                 struct message *m) RESQ_USE_RESULT; /* the checkpoint, where one was asked for */
int trainer_restore(struct trainer *t, const struct record *checkpoint, struct message *m) RESQ_USE_RESULT;

#endif

/* trainer.h: a training run from the inside. Private to training.c, loop.c, resume.c, sizes.c and trainer.c, of which
 * each calls only those behind it. */
#ifndef RESQ_TRAIN_TRAINER_H
#define RESQ_TRAIN_TRAINER_H

#include "base/progress.h"
#include "train/checkpoint.h"
#include "train/held_out.h"
#include "train/source.h"
#include "train/step.h"
#include "train/training.h"

struct trainer {
    const struct training_options *options;
    const struct training_kind *kind;
    void *context;
    struct lineage *lineage;

    struct source source;
    struct record *stream; /* metadata of the incoming batches; of the first run's, where this one resumes */
    struct held_out held_out;
    struct teacher teacher;
    struct model start;
    struct gradient_options gradient_options;
    struct gradient *gradient;       /* of the present epoch's shape */
    struct image_shape whole, shape; /* of the stream's pictures, and as this epoch sees them */
    uint8_t *shrunk;                 /* a mini-batch of the latter; NULL where nothing grows */
    struct threads *shrinkers;       /* that make it; NULL with it */
    struct stepper stepper;
    struct training_state state;
    struct text recipe;

    size_t parameters, states; /* how many floats */
    float *best;               /* [parameters, then state] of the best epoch after 0; only with held-out images */
    double last_accuracy;      /* of the last epoch, where this session tested it; NaN */
    int64_t skipped;           /* steps of this epoch whose gradients overflowed */

    int resumed; /* from a checkpoint */
    struct progress progress;
    int64_t images_before; /* seen before this session, see trainer_sizes_work */
    double session_start, seconds_before, mark;
};

/* ---- trainer.c ---- */

/* 1 in the one process of a run that reads, talks and writes. */
int trainer_is_first(const struct trainer *t);
/* The log as it now is, where one is kept. */
int trainer_save_log(const struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* One line of talk: verbose 1 for -v alone, 0 for warnings. */
void trainer_say(const struct trainer *t, int verbose, const char *format, ...) RESQ_PRINTF(3, 4);
double trainer_rate(const struct trainer *t, int64_t step); /* learning rate; step from 0 */
/* message_prefix with where the run is: `epoch 2, step 17, learning rate 0.1`. */
int trainer_prefix(const struct trainer *t, int64_t step, int status, struct message *m);
/* lineage_apply with the run's stream, options and side inputs, held-out images among them. */
int trainer_lineage(const struct trainer *t, struct record *to, struct message *m) RESQ_USE_RESULT;
/* STATUS_MISMATCH, naming the rank, where one of several would compute something else than the first: another
 * instruction set, other weights, another place to go on from. */
int trainer_agree(const struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* Before anybody looks at parameters, sums or state: step_settle, naming the step where it fails. */
int trainer_settle(struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* STATUS_RANGE, naming epoch, step, learning rate and tensor, where a parameter or state is no longer finite. */
int trainer_check_finite(struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* The deliverable model of values [parameters, state]; NULL: of now, averaged where averages are kept. *out is the
 * caller's to free. */
int trainer_deliver(struct trainer *t, const float *values, struct model *out, struct message *m) RESQ_USE_RESULT;

/* ---- room.c ---- */

/* Says what the run will hold; STATUS_NOMEM, with the batch that fits, where the machine has not that much. */
int trainer_check_room(const struct trainer *t, const struct gradient_options *options,
                       struct message *m) RESQ_USE_RESULT;

/* ---- sizes.c ---- */

/* Whether every size of the run's pictures can be trained on, before any is; room and threads for a smaller
 * mini-batch. */
int trainer_sizes_check(struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* Makes the gradient that of the present epoch's shape: everything learned, and all that belongs to the steps, goes
 * over. Between steps, settled; step_begin is the caller's. */
int trainer_sizes_follow(struct trainer *t, struct message *m) RESQ_USE_RESULT;
/* The mini-batch's images as this epoch sees them: *images, or the trainer's copy of them. */
int trainer_sizes_apply(struct trainer *t, const uint8_t **images, int count, struct message *m) RESQ_USE_RESULT;
/* Of the run's first so many epochs and images of the next: the pictures seen, counted by their pixels. */
int64_t trainer_sizes_work(const struct trainer *t, int64_t epochs, int64_t images);

/* ---- resume.c ---- */

/* The checkpoint, where one was asked for. */
int trainer_save(struct trainer *t, struct message *m) RESQ_USE_RESULT;
int trainer_restore(struct trainer *t, const struct record *checkpoint, struct message *m) RESQ_USE_RESULT;

/* ---- loop.c ---- */

/* From the state on to the end of the last epoch and of the stream. */
int loop_run(struct trainer *t, struct message *m) RESQ_USE_RESULT;

#endif

/* training.h: a whole training run, from the incoming stream to the files it leaves. train-fp32 and qat-finetune
 * share all of it and differ in a struct training_kind.
 *
 * A run is a function of its recipe and its images alone: the same bytes for any number of threads, from a pipe or
 * a file, stopped (by a signal, or killed) and resumed wherever, because a checkpoint holds all there is between
 * two steps; and shared by any number of processes (ranks/ranks.h). */
#ifndef RESQ_TRAIN_TRAINING_H
#define RESQ_TRAIN_TRAINING_H

#include "data/image.h"
#include "exec/train/gradient.h"
#include "graph/model.h"
#include "record/lineage.h"
#include "train/growth.h"
#include "train/growth.h"
#include "train/optimizer.h"
#include "train/oscillation.h"
#include "train/schedule.h"
#include "train/teacher.h"
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

enum { TRAINING_MAX_SIDES = 4, TRAINING_MAX_INPUTS = 6 };

struct training_options {
    const char *tool;   /* its name, for the lineage */
    const char *called; /* what the user called it, for the progress line; NULL: tool */
    int64_t epochs;     /* 0: nothing is read, the start model is delivered */
    int64_t batch;      /* >= 1 */
    struct schedule schedule;
    struct optimizer_options optimizer;
    double label_smoothing; /* [0,1) */
    struct growth growth;   /* epochs of smaller pictures; float training without a teacher */
    struct teacher_options teacher;
    double freeze; /* threshold of oscillation.h at the run's end; 0: nothing is frozen */
    double ema;    /* decay of the averaged weights; 0: off. Where on, they are what is validated and delivered */

    const char *input;                       /* the stream; NULL: standard input */
    const char *inputs[TRAINING_MAX_INPUTS]; /* other files that are read: no output may be one of them */
    const char *output;                      /* best model; NULL: standard output */
    const char *last, *log, *floats;         /* NULL: none. floats: of the best model, by the kind's `floats` */
    const char *validate;   /* batch file that the best epoch is chosen by; NULL: the last epoch is the best */
    int64_t validate_every; /* epochs, counted back from the last, which always is; 0: 1 */
    const char *checkpoint; /* written after each epoch, on *stop, and every checkpoint_every steps; NULL: never */
    int64_t checkpoint_every; /* 0: epochs only */
    int resume;               /* go on from the checkpoint; where there is none, begin */
    int threads;
    const char *isa, *device, *precision;
    int tf32, fast; /* a GPU's, see exec/train/gradient.h */
    /* The processes that share the run; NULL: this one alone. All are given the same, from the same files. The first
     * alone reads the stream, is asked to stop, talks, and writes log, checkpoint and models. */
    int shard; /* see struct gradient_options */
    const struct ranks *ranks;

    /* Set by a signal handler: finish the step, save, return STATUS_INTERRUPTED. NULL: never. */
    const volatile sig_atomic_t *stop;
    void (*ready)(
        void);      /* called once there is something to save: from then on a signal may set *stop. May be NULL */
    FILE *progress; /* where the progress line goes; NULL: none */
    /* One line of talk: verbose 1 for -v alone, 0 for warnings. May be NULL. */
    void (*say)(void *context, int verbose, const char *line);
    void *say_context;
};

/* What one kind of training does its own way. */
struct training_kind {
    /* The model to start from, and the gradient's mode. stream: the incoming batches' metadata, and images their
     * shape; NULL and all-zero where nothing is read. Adds digests of what it read to lineage. */
    int (*prepare)(void *context, const struct record *stream, struct image_shape images, struct model *start,
                   struct gradient_options *gradient, struct lineage *lineage, struct message *m);
    /* The model as it is validated and delivered, from these flat parameters and state (NULL: the gradient's present
     * ones); g NULL: from the start model, untrained. *out is the caller's to free. */
    int (*deliver)(void *context, const struct model *start, const struct gradient *g, const float *parameters,
                   const float *state, struct model *out, struct message *m);
    /* The same as a float network: what training went on with behind what it delivers.
     * NULL: that is what it delivers. */
    int (*floats)(void *context, const struct model *start, const struct gradient *g, const float *parameters,
                  const float *state, struct model *out, struct message *m);
    const struct record *const *sides; /* side inputs, for the lineage; filled by prepare at the latest */
    int side_count;                    /* at most TRAINING_MAX_SIDES */
    int warn_of_stages;                /* say of the start model what later stages cannot take (train/stages.h) */
    int half;                          /* store weights as F16 (tensors_halve); `deliver` has rounded them */
    int evaluate_start; /* validate the start model too: logged as epoch 0, and the best until an epoch is better */
};

/* lineage: the tool's recorded options; digests are added to it. STATUS_INTERRUPTED: stopped; the checkpoint, where
 * one was asked for, is written. */
int training_run(const struct training_options *options, const struct training_kind *kind, void *context,
                 struct lineage *lineage, struct message *m) RESQ_USE_RESULT;

#endif

/* trainer.h: what the two training tools' command lines have in common: options, signals, talk. */
#ifndef RESQ_TOOLS_TRAINER_H
#define RESQ_TOOLS_TRAINER_H

#include "tools/common/device.h"
#include "tools/common/options.h"
#include "train/training.h"

/* Values as the options leave them. */
struct trainer_arguments {
    int64_t epochs, batch, seed, threads, checkpoint_every, validate_every;
    const char *schedule, *precision;
    struct device_arguments where;
    int64_t shard; /* of a GPU; 0: as it comes */
    struct teacher_options teacher;
    double freeze; /* of a tool that has it, like floats and growth */
    double rate, momentum, weight_decay, bias_rate, clip_norm, peak, warm_up, factor, smoothing, ema;
    struct integer_list milestones; /* percent of the run */
    int layer_rates;                /* of a tool that has it, like scale_share: see train/optimizer.h */
    double scale_share;
    int nesterov, decay_all, resume, verbose, quiet;
    const char *growth, *output, *last, *log, *floats, *validate, *checkpoint;
};

/* The options of both, as one part of a tool's table; a is the struct they fill. */
/* clang-format off */
#define TRAINER_OPTIONS(a) \
    OPTION_OUTPUT(&(a).output), OPTION_BATCH(&(a).batch, 1), OPTION_SEED(&(a).seed), OPTION_THREADS(&(a).threads), \
    {"epochs", 0, OPTION_INTEGER, &(a).epochs, 0, 1e6, "N", "epochs that the stream brings; 0: read nothing", 0, 1}, \
    {"learning-rate", 0, OPTION_NUMBER, &(a).rate, 0, 1e6, "RATE", "highest, per mean loss of a mini-batch", 0, 1}, \
    {"schedule", 0, OPTION_CHOICE, &(a).schedule, 0, 0, 0, "course of the learning rate", SCHEDULE_NAMES, 1}, \
    {"peak", 0, OPTION_NUMBER, &(a).peak, 0, 1, "SHARE", "one-cycle: share of the run before the peak", 0, 1}, \
    {"warm-up", 0, OPTION_NUMBER, &(a).warm_up, 0, 1e6, "EPOCHS", "other schedules: linear from zero", 0, 1}, \
    {"milestones", 0, OPTION_INTEGERS, &(a).milestones, 0, 100, "LIST", "step: percents of the run", 0, 0}, \
    {"factor", 0, OPTION_NUMBER, &(a).factor, 0, 1, "FACTOR", "step: applied to the rate at each", 0, 1}, \
    {"momentum", 0, OPTION_NUMBER, &(a).momentum, 0, 0.9999, "M", "of stochastic gradient descent", 0, 1}, \
    {"nesterov", 0, OPTION_FLAG, &(a).nesterov, 0, 0, 0, "look ahead along the momentum", 0, 1}, \
    {"weight-decay", 0, OPTION_NUMBER, &(a).weight_decay, 0, 1, "DECAY", "added to the gradient", 0, 1}, \
    {"decay-all", 0, OPTION_FLAG, &(a).decay_all, 0, 0, 0, "decay biases and batch norm too", 0, 1}, \
    {"bias-rate", 0, OPTION_NUMBER, &(a).bias_rate, 1e-3, 1e3, "X", "rate of biases and shifts, times", 0, 1}, \
    {"clip-norm", 0, OPTION_NUMBER, &(a).clip_norm, 0, 1e6, "X", \
     "most that all gradients' norm may be; 0: off", 0, 0}, \
    {"label-smoothing", 0, OPTION_NUMBER, &(a).smoothing, 0, 0.99, "E", "share spread over all classes", 0, 1}, \
    {"teacher", 0, OPTION_STRING, &(a).teacher.model, 0, 0, "MODEL", "learn from this network's logits too", 0, 0}, \
    {"teacher-share", 0, OPTION_NUMBER, &(a).teacher.how.share, 0, 1, "SHARE", \
     "of the loss that the teacher is", 0, 0}, \
    {"temperature", 0, OPTION_NUMBER, &(a).teacher.how.temperature, 0.1, 100, "T", \
     "by which both logits are divided for it", 0, 0}, \
    {"ema", 0, OPTION_NUMBER, &(a).ema, 0, 0.999999, "DECAY", "deliver averaged weights; 0: off", 0, 1}, \
    {"validate", 0, OPTION_STRING, &(a).validate, 0, 0, "FILE", "held-out batches, to choose the best epoch", 0, 0}, \
    {"validate-every", 0, OPTION_INTEGER, &(a).validate_every, 1, 1e6, "EPOCHS", \
     "how often; the last one always", 0, 1}, \
    {"last", 0, OPTION_STRING, &(a).last, 0, 0, "FILE", "write the last epoch's model too", 0, 0}, \
    {"log", 0, OPTION_STRING, &(a).log, 0, 0, "FILE", "write a table of the epochs", 0, 0}, \
    {"checkpoint", 0, OPTION_STRING, &(a).checkpoint, 0, 0, "FILE", "save each epoch and on SIGINT, SIGTERM", 0, 0}, \
    {"checkpoint-every", 0, OPTION_INTEGER, &(a).checkpoint_every, 0, 1e12, "STEPS", "and so often; 0: not", 0, 0}, \
    {"resume", 0, OPTION_FLAG, &(a).resume, 0, 0, 0, "go on from the checkpoint, if there is one", 0, 0}, \
    {"precision", 0, OPTION_CHOICE, &(a).precision, 0, 0, 0, \
     "of the arithmetic; fp16: on a GPU", "fp32|bf16|fp16", 0}, \
    OPTION_DEVICE((a).where), \
    {"shard", 0, OPTION_INTEGER, &(a).shard, 0, 65536, "N", \
     "GPU: images at a time; 0: all, among several 32", 0, 0}, \
    OPTION_VERBOSE(&(a).verbose), OPTION_QUIET(&(a).quiet)
/* clang-format on */

/* What both start from; a tool changes what it wants otherwise. */
struct trainer_arguments trainer_defaults(void);
/* Checks what options cannot check alone, runs, and ends as tool_end does; after a signal dies by that same signal,
 * its checkpoint written. lineage: the caller adds what only its tool knows.
 * inputs [TRAINING_MAX_INPUTS]: other files that are read.
 */
int trainer_main(const struct tool *tool, const struct trainer_arguments *a, const struct training_kind *kind,
                 void *context, const char *const *inputs);

#endif

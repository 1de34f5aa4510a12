/* runs.h: whole training runs on a tiny network, for the tests of both kinds. */
#ifndef RESQ_TEST_RUNS_H
#define RESQ_TEST_RUNS_H

#include "common.h"
#include "train/float_training.h"
#include "train/training.h"

static const char network[] = "x = input u8[32,32,3]\n"
                              "n = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                              "c = conv2d n out=4 kernel=3 stride=4 pad=1\n"
                              "b = batchnorm c\n"
                              "r = relu b\n"
                              "d = conv2d r out=4 kernel=3 pad=1\n"
                              "e = batchnorm d\n"
                              "s = add e r\n"
                              "t = relu s\n"
                              "p = avgpool t\n"
                              "f = linear p out=10 bias\n";

enum { TOTAL = 22, BATCH = 8, EPOCHS = 3, STEPS = 3 };

static inline int setup(void **state)
{
    if (folder_make(state))
        return -1;
    FILE *f = fopen(path_of("graph"), "w");
    fputs(network, f);
    fclose(f);
    write_stream(path_of("train"), &(struct stream_spec){.epochs = EPOCHS, .total = TOTAL, .batch = 5});
    write_stream(path_of("train-from-1"),
                 &(struct stream_spec){.epochs = EPOCHS, .from = 1, .total = TOTAL, .batch = 7});
    write_stream(path_of("held-out"),
                 &(struct stream_spec){.epochs = 1, .total = 20, .batch = 6, .part = "held-out"});
    return 0;
}

/* Every file of a run under a name of its own. */
struct files {
    char output[128], last[128], log[128], checkpoint[128];
};

static inline struct training_options options_for(struct files *f, const char *name)
{
    snprintf(f->output, sizeof f->output, "%s/%s.best", folder, name);
    snprintf(f->last, sizeof f->last, "%s/%s.last", folder, name);
    snprintf(f->log, sizeof f->log, "%s/%s.log", folder, name);
    snprintf(f->checkpoint, sizeof f->checkpoint, "%s/%s.checkpoint", folder, name);
    return (struct training_options){.tool = "train-test",
                                     .epochs = EPOCHS,
                                     .batch = BATCH,
                                     .schedule = {.kind = SCHEDULE_ONE_CYCLE, .rate = 0.2, .peak = 0.3},
                                     .optimizer = {0.9, 5e-4, 1, 1, 1, 0, 0, 0},
                                     .label_smoothing = 0.1,
                                     .ema = 0.9,
                                     .input = path_of("train"),
                                     .output = f->output,
                                     .last = f->last,
                                     .log = f->log,
                                     .checkpoint = f->checkpoint,
                                     .threads = 1};
}

/* The columns that repeat. */
static inline char *log_without_times(const char *path)
{
    size_t size;
    char *text = slurp(path, &size), *out = calloc(size + 1, 1), *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *end = line;
        for (int tabs = 0; *end && (tabs += *end == '\t') < 6; end++)
            ;
        strncat(out, line, (size_t)(end - line));
        strcat(out, "\n");
    }
    free(text);
    return out;
}

static inline void assert_same_log(const char *path, const char *other)
{
    char *a = log_without_times(path), *b = log_without_times(other);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static const char *init; /* the model that runs start from; NULL: initial weights */

static inline int run_float(struct training_options o)
{
    struct float_training t = {.init = init, .graph = init ? NULL : path_of("graph"), .seed = 3};
    const struct training_kind kind = float_training_kind(&t);
    struct lineage l = {.message = &m};
    static char held_out[128];
    snprintf(held_out, sizeof held_out, "%s/held-out", folder);
    o.validate = held_out;
    lineage_add_number(&l, "learning-rate", o.schedule.rate);
    lineage_add_number(&l, "ema", o.ema);
    int status = training_run(&o, &kind, &t, &l, &m);
    float_training_close(&t);
    lineage_free(&l);
    return status;
}

/* Broken off with its stream after each twelfth of it and gone on with, every step being kept; at last to the end.
 */
static inline void run_broken(struct training_options o)
{
    size_t size;
    char *bytes = slurp(path_of("train"), &size);
    o.checkpoint_every = 1;
    o.resume = 1;
    for (int cut = 1; cut < 12; cut++) {
        FILE *f = fopen(path_of("cut"), "wb");
        fwrite(bytes, 1, size * (size_t)cut / 12, f);
        fclose(f);
        o.input = path_of("cut");
        assert_int_equal(run_float(o), STATUS_TRUNCATED);
    }
    free(bytes);
    o.input = path_of("train");
    ASSERT_OK(run_float(o));
}

static volatile sig_atomic_t stop;
static int64_t talk_lines;

static inline void stop_after_lines(void *context, int verbose, const char *line)
{
    (void)verbose;
    if (strncmp(line, "epoch", 5) == 0 && ++talk_lines >= *(const int64_t *)context)
        stop = 1;
}

#endif

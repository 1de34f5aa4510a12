/* reconstruct: fused model + ranges + batches -> int8 model whose codes are learned, block by block. */
#include "base/progress.h"
#include "base/threads.h"
#include "graph/model.h"
#include "pass/pass.h"
#include "ptq/reconstruct.h"
#include "quant/observer.h"
#include "record/digest.h"
#include "record/file.h"
#include "record/stream.h"
#include "tools/common/low_bits.h"
#include "tools/common/model_file.h"
#include "tools/common/taken_images.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *ranges, *output, *observer, *match, *checkpoint;
    double percentile, rate, drop, penalty;
    int64_t weight_bits, activation_bits, steps, batch, seed, threads, images, match_images, checkpoint_every;
    struct low_bits_arguments low;
    struct bit_plan plan;
    char plan_hex[DIGEST_HEX];
    int per_tensor, single, resume, verbose, quiet;
    struct model_arguments given;
};

struct talk {
    const struct tool *tool;
    int verbose;
    struct progress progress;
};

static void show(void *context, int64_t done, int64_t steps, const char *unit)
{
    struct talk *t = context;
    t->progress.total = steps;
    progress_show(&t->progress, done, unit);
}

static void say(void *context, const char *line)
{
    struct talk *t = context;
    progress_clear(&t->progress);
    if (t->verbose)
        fprintf(stderr, "%s: %s\n", tool_called(t->tool), line);
}

static int reconstruct(const struct tool *tool, struct opts *o, struct model *model, const struct record *record,
                       struct message *m)
{
    struct ranges ranges;
    struct model fused;
    struct taken_images taken;
    TRY(ranges_from_record(&ranges, record, m));
    TRY(model_copy(&fused, model, m));
    struct lower_options how = {.observer = o->observer,
                                .observer_parameter = (double)NAN,
                                .weight_bits = (int)o->weight_bits,
                                .activation_bits = (int)o->activation_bits,
                                .per_tensor = o->per_tensor};
    low_bits_take(&o->low, &how);
    TRY(images_take(&taken, model, o->images, m));
    TRY(pass_lower_int8(model, &ranges, &how, NULL, m));
    struct talk talk = {.tool = tool, .verbose = o->verbose};
    progress_open(&talk.progress, stderr, o->quiet, tool_called(tool), 0);
    const struct reconstruct_options r = {.images = taken.images,
                                          .count = taken.count,
                                          .steps = o->steps,
                                          .batch = (int)o->batch,
                                          .seed = (uint64_t)o->seed,
                                          .rate = o->rate,
                                          .drop = o->drop,
                                          .penalty = o->penalty,
                                          .single = o->single,
                                          .match = strcmp(o->match, "all") == 0    ? MATCH_ALL
                                                   : strcmp(o->match, "bias") == 0 ? MATCH_BIAS
                                                                                   : MATCH_OFF,
                                          .match_count = o->match_images < taken.count ? o->match_images : taken.count,
                                          .per_tensor = o->per_tensor,
                                          .threads = (int)o->threads,
                                          .progress = show,
                                          .say = say,
                                          .context = &talk};
    int status = ptq_reconstruct(model, &fused, &r, m);
    progress_close(&talk.progress);
    taken_images_free(&taken);
    ranges_free(&ranges);
    model_free(&fused);
    return status;
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    struct model model;
    struct record *ranges = NULL;
    TRY(output_check(o->output, m));
    TRY(model_open(&model, o->model, &o->given, m));
    int status = record_load(&ranges, o->ranges, m);
    if (status >= 0)
        status = reconstruct(tool, o, &model, ranges, m);
    if (status >= 0)
        status = record_save(model.record, o->output, m);
    record_free(ranges);
    model_free(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.observer = "mse",
                     .percentile = 99.99,
                     .weight_bits = 8,
                     .activation_bits = 8,
                     .steps = 1000,
                     .batch = 32,
                     .seed = 1,
                     .images = 1024,
                     .match_images = 512,
                     .match = "all",
                     .rate = 0.01,
                     .drop = 0.5,
                     .penalty = 0.01,
                     .threads = threads_online()};
    struct message m = {{0}};
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_RANGES(&o.ranges),
        OPTION_OUTPUT(&o.output),
        {"weight-bits", 0, OPTION_INTEGER, &o.weight_bits, 2, 8, "N", "bits of the weights, 2 to 8", 0, 1},
        {"activation-bits", 0, OPTION_INTEGER, &o.activation_bits, 2, 8, "N", "bits of the activations, 2 to 8", 0, 1},
        LOW_BITS_OPTIONS(o.low),
        {"per-tensor", 0, OPTION_FLAG, &o.per_tensor, 0, 0, 0, "one weight scale a layer, not one a channel", 0, 1},
        {"steps", 0, OPTION_INTEGER, &o.steps, 1, 1e6, "N", "of learning, for each block", 0, 1},
        {"learning-rate", 0, OPTION_NUMBER, &o.rate, 0, 10, "RATE", "of the rounding", 0, 1},
        {"drop", 0, OPTION_NUMBER, &o.drop, 0, 1, "SHARE", "of activations left unrounded", 0, 1},
        {"penalty", 0, OPTION_NUMBER, &o.penalty, 0, 1e3, "LAMBDA", "of weights between two codes", 0, 1},
        {"images", 0, OPTION_INTEGER, &o.images, 1, 1e6, "N", "learn on so many images of standard input", 0, 0},
        {"match", 0, OPTION_CHOICE, &o.match, 0, 0, 0, "match outputs' mean and deviation", "all|bias|off", 0},
        {"match-images", 0, OPTION_INTEGER, &o.match_images, 1, 1e6, "N", "by the first N images", 0, 0},
        OPTION_BATCH(&o.batch, 1),
        OPTION_SEED(&o.seed),
        OPTION_THREADS(&o.threads),
        MODEL_OPTIONS(o.given),
        OPTION_VERBOSE(&o.verbose),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool = TOOL("reconstruct", "-m MODEL -r RANGES [-o OUT] < BATCHES",
                                  "learn the codes of an int8 model, block by block", NULL, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&tool, &o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}

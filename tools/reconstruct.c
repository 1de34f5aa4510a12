/* reconstruct: fused model + ranges + batches -> int8 model whose codes are learned, block by block. */
#include "base/progress.h"
#include "base/threads.h"
#include "graph/model.h"
#include "pass/pass.h"
#include "ptq/reconstruct.h"
#include "record/digest.h"
#include "record/file.h"
#include "record/stream.h"
#include "tools/common/low_bits.h"
#include "tools/common/model_file.h"
#include "tools/common/stopping.h"
#include "tools/common/taken_images.h"
#include "train/recipe.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *ranges, *output, *observer, *match;
    double percentile;
    int64_t weight_bits, activation_bits, images, match_images, threads;
    struct low_bits_arguments low;
    int per_tensor, verbose, quiet;
    struct model_arguments given;
    struct reconstruct_options how; /* but for images, counts and batch */
    int64_t batch, seed;
    const struct tool *tool;
    /* while it runs: */
    struct bit_plan plan;
    char plan_hex[DIGEST_HEX];
    struct taken_images taken;
    struct model fused, int8;
    struct record *observed;
    struct progress progress;
};

static const char details[] =
    "Makes what quantize makes with the same options, then learns, for every weight of fewer than 8 bits, whether it\n"
    "is rounded up or down (AdaRound): a block of layers at a time (BRECQ; of a ResNet a residual block), in the order\n"
    "of the network, so that what the block gives on the quantized layers before it comes near to what the float\n"
    "network's block gives; in each step some of the activations, drawn anew, are left unrounded (QDrop). No labels\n"
    "are used. Scales and biases of each layer are set by matching its outputs (quantize --match) before and after.\n"
    "Where a block gained nothing, it stays as it was matched. The result is a model like quantize's.\n"
    "\n"
    "It reads batches of the train split and holds what lies between two blocks for --images of them: -v says how\n"
    "much that takes. --steps 200 is a short form.\n"
    "\n"
    "SIGINT and SIGTERM finish the step and save the --checkpoint; --resume takes the stream from its beginning and\n"
    "gives the same bytes as a run that was not stopped; it refuses a checkpoint of other options, files or images.\n"
    "\n"
    "  cifar-load --part train -n 1024 | reconstruct -m fused -r ranges --weight-bits 3 --activation-bits 3 -o w3\n"
    "  cifar-load --part train -n 1024 | reconstruct -m fused -r ranges --plan bits.txt --steps 200 -o mixed\n";

static void show(void *context, int64_t done, int64_t steps, const char *block)
{
    struct opts *o = context;
    o->progress.total = steps;
    progress_show(&o->progress, done, block);
}

static void say(void *context, const char *line)
{
    struct opts *o = context;
    if (!o->verbose)
        return;
    progress_clear(&o->progress);
    fprintf(stderr, "%s: %s\n", tool_called(o->tool), line);
}

static struct lower_options lower_options_of(const struct opts *o)
{
    struct lower_options how = {.observer = o->observer,
                                .observer_parameter =
                                    strcmp(o->observer, "percentile") == 0 ? o->percentile : (double)NAN,
                                .weight_bits = (int)o->weight_bits,
                                .activation_bits = (int)o->activation_bits,
                                .per_tensor = o->per_tensor};
    low_bits_take(&o->low, &how);
    how.plan = o->low.plan ? &o->plan : NULL;
    return how;
}

/* ---- what it reads ---- */

static int load_plan(struct opts *o, struct message *m)
{
    if (!o->low.plan)
        return 0;
    TRY(bit_plan_load(&o->plan, o->low.plan, &o->fused.graph, o->plan_hex, m));
    if (o->weight_bits < 8 || bit_plan_has_low_weights(&o->plan))
        return 0;
    return message_set(m, STATUS_RANGE, "%s: no layer's weights have fewer than 8 bits: there is nothing to learn",
                       o->low.plan);
}

/* The float model stays; int8 is what quantize makes of it before outputs are matched. */
static int load(struct opts *o, struct message *m)
{
    const struct lower_options how = lower_options_of(o);
    struct ranges ranges;
    TRY(model_copy(&o->int8, &o->fused, m));
    int status = ranges_from_record(&ranges, o->observed, m);
    if (status >= 0)
        status = ranges_match_model(o->observed, &o->fused, m);
    if (status < 0)
        message_prefix(m, status, "%s", o->ranges);
    else if ((status = pass_lower_int8(&o->int8, &ranges, &how, NULL, m)) < 0)
        message_prefix(m, status, "%s", o->model);
    ranges_free(&ranges);
    return status;
}

static int describe(struct opts *o, struct lineage *l, struct message *m)
{
    const struct lower_options how = lower_options_of(o);
    char model[MODEL_DIGEST_SIZE], ranges[DIGEST_HEX];
    TRY(model_digest(&o->fused, model, m));
    TRY(digest_record(o->observed, ranges, m));
    tool_lineage(o->tool, l);
    if (o->low.plan)
        lineage_add(l, "plan", "sha256:%s", o->plan_hex);
    lineage_add(l, "model", "%s", model);
    model_given_lineage(&o->given.given, l);
    lineage_add(l, "ranges", "sha256:%s", ranges);
    lineage_add(l, "images", "%lld", (long long)o->how.count);
    if (o->how.match != MATCH_OFF)
        lineage_add(l, "match-images", "%lld", (long long)o->how.match_count);
    if (lower_ends_name(&how))
        lineage_add(l, "ends", "%s", lower_ends_name(&how));
    if (lower_observer_name(&how))
        lineage_add(l, "weight-observer", "%s", lower_observer_name(&how));
    return l->status;
}

/* ---- the run ---- */

static int save(struct opts *o, const struct lineage *l, struct message *m)
{
    const struct record *const sides[] = {o->observed, o->taken.reader.first};
    struct record *r = o->int8.record;
    const char *how = record_get(r, "quantization");
    char images[48] = "";
    if (o->how.match != MATCH_OFF)
        snprintf(images, sizeof images, " match-images=%lld", (long long)o->how.match_count);
    TRY(record_setf(r, "quantization", m, "%s codes=reconstructed match=%s%s", how ? how : "", o->match, images));
    TRY(lineage_apply(r, o->fused.record, o->tool->name, l, sides, 2, m));
    return record_save(r, o->output, m);
}

static int learn(struct opts *o, struct lineage *l, struct message *m)
{
    struct text recipe = {0};
    o->how.images = o->taken.images;
    o->how.count = o->taken.count;
    o->how.match_count = o->match_images < o->taken.count ? o->match_images : o->taken.count;
    TRY(describe(o, l, m));
    int status = recipe_make(&recipe, o->tool->name, l, o->taken.reader.first, m);
    o->how.recipe = recipe.data;
    if (status >= 0)
        status = ptq_reconstruct(&o->int8, &o->fused, &o->how, m);
    progress_close(&o->progress);
    if (status >= 0)
        status = save(o, l, m);
    text_free(&recipe);
    return status;
}

static int check_files(const struct opts *o, struct message *m)
{
    const char *const outputs[] = {o->output, o->how.checkpoint};
    for (int i = 0; i < 2; i++) {
        if (i > 0 && !outputs[i])
            continue;
        TRY(output_check(outputs[i], m));
        TRY(output_differs(o->model, outputs[i], m));
        TRY(output_differs(o->given.graph, outputs[i], m));
        TRY(output_differs(o->ranges, outputs[i], m));
        TRY(output_differs(o->low.plan, outputs[i], m));
    }
    return output_differs(o->how.checkpoint, o->output, m);
}

static int run(struct opts *o, struct message *m)
{
    struct lineage lineage = {.message = m};
    TRY(check_files(o, m));
    TRY(model_open(&o->fused, o->model, &o->given, m));
    int status = graph_require_stage(&o->fused.graph, STAGE_FUSED, m);
    if (status < 0)
        return message_prefix(m, status, "%s", o->model);
    TRY(load_plan(o, m));
    TRY(record_load(&o->observed, o->ranges, m));
    TRY(load(o, m));
    TRY(images_take(&o->taken, &o->fused, o->images, m));
    progress_open(&o->progress, stderr, o->quiet, tool_called(o->tool), 0);
    status = learn(o, &lineage, m);
    lineage_free(&lineage);
    return status;
}

static void release(struct opts *o)
{
    taken_images_free(&o->taken);
    bit_plan_free(&o->plan);
    record_free(o->observed);
    model_free(&o->fused);
    model_free(&o->int8);
    model_arguments_free(&o->given);
}

static const char *misuse_of(const struct opts *o)
{
    if (!o->model || !o->ranges)
        return "missing option: -m MODEL and -r RANGES are needed";
    if (o->weight_bits == 8 && !o->low.plan)
        return "--weight-bits: 8 leave nothing to learn: want fewer, or a --plan";
    if (o->how.resume && !o->how.checkpoint)
        return "--resume: needs --checkpoint FILE";
    if (o->how.checkpoint_every > 0 && !o->how.checkpoint)
        return "--checkpoint-every: needs --checkpoint FILE";
    return NULL;
}

static int take(struct opts *o)
{
    struct reconstruct_options *how = &o->how;
    int status = model_arguments_take(&o->given, o->tool, o->quiet);
    how->match = strcmp(o->match, "all") == 0 ? MATCH_ALL : strcmp(o->match, "bias") == 0 ? MATCH_BIAS : MATCH_OFF;
    how->batch = (int)o->batch;
    how->seed = (uint64_t)o->seed;
    how->threads = (int)o->threads;
    how->per_tensor = o->per_tensor;
    how->compare = recipe_compare;
    how->progress = show;
    how->say = say;
    how->context = o;
    if (how->checkpoint) {
        how->stop = &stop_signal;
        how->ready = stopping_begin;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.observer = "mse",
                     .match = "all",
                     .percentile = 99.99,
                     .weight_bits = 8,
                     .activation_bits = 8,
                     .images = 1024,
                     .match_images = 512,
                     .batch = 32,
                     .seed = 1,
                     .threads = threads_online(),
                     .how = {.steps = 1000, .rate = 0.03, .drop = 0.5, .penalty = 0.01}};
    struct reconstruct_options *how = &o.how;
    struct message m = {{0}};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_RANGES(&o.ranges),
        OPTION_OUTPUT(&o.output),
        {"observer", 0, OPTION_CHOICE, &o.observer, 0, 0, "NAME", "how ranges are chosen", observers, 1},
        {"percentile", 0, OPTION_NUMBER, &o.percentile, 50.001, 100, "P", "of the observer percentile", 0, 1},
        {"weight-bits", 0, OPTION_INTEGER, &o.weight_bits, 2, 8, "N", "bits of the weights, 2 to 8", 0, 1},
        {"activation-bits", 0, OPTION_INTEGER, &o.activation_bits, 2, 8, "N", "bits of the activations, 2 to 8", 0,
         1},
        LOW_BITS_OPTIONS(o.low),
        {"per-tensor", 0, OPTION_FLAG, &o.per_tensor, 0, 0, 0, "one weight scale a layer, not one a channel", 0, 1},
        {"steps", 0, OPTION_INTEGER, &how->steps, 1, 1e6, "N", "of learning, for each block", 0, 1},
        {"images", 0, OPTION_INTEGER, &o.images, 1, 1e6, "N", "learn from so many images of standard input", 0, 0},
        OPTION_BATCH(&o.batch, 1),
        {"learning-rate", 0, OPTION_NUMBER, &how->rate, 0, 10, "RATE", "at first; it falls to 0", 0, 1},
        {"drop", 0, OPTION_NUMBER, &how->drop, 0, 1, "SHARE", "of the activations that a step leaves unrounded", 0,
         1},
        {"penalty", 0, OPTION_NUMBER, &how->penalty, 0, 1e3, "LAMBDA", "on weights that are between two codes", 0,
         1},
        {"single", 0, OPTION_FLAG, &how->single, 0, 0, 0, "layer by layer, not by blocks", 0, 1},
        {"match", 0, OPTION_CHOICE, &o.match, 0, 0, 0,
         "match each layer's mean and deviation to the float network's", "all|bias|off", 1},
        {"match-images", 0, OPTION_INTEGER, &o.match_images, 1, 1e6, "N", "by the first N of the images", 0, 0},
        {"checkpoint", 0, OPTION_STRING, &how->checkpoint, 0, 0, "FILE",
         "save before each block and on SIGINT, SIGTERM", 0, 0},
        {"checkpoint-every", 0, OPTION_INTEGER, &how->checkpoint_every, 0, 1e12, "STEPS", "and so often; 0: not", 0,
         0},
        {"resume", 0, OPTION_FLAG, &how->resume, 0, 0, 0, "go on from the checkpoint, if there is one", 0, 0},
        OPTION_SEED(&o.seed),
        OPTION_THREADS(&o.threads),
        MODEL_OPTIONS(o.given),
        OPTION_VERBOSE(&o.verbose),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool =
        TOOL("reconstruct", "-m MODEL -r RANGES --weight-bits N [-o OUT] < BATCHES",
             "Turn a fused float model into a low-bit model whose codes are learned.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    o.tool = &tool;
    if (misuse_of(&o))
        return tool_misuse(&tool, "%s", misuse_of(&o));
    if ((status = take(&o)) >= 0)
        return status;
    status = run(&o, &m);
    release(&o);
    if (status == STATUS_INTERRUPTED)
        stopping_die();
    return tool_end(&tool, status, &m);
}

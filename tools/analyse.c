/* analyse: fused model + ranges + batches -> what few bits cost, layer by layer. */
#include "base/progress.h"
#include "base/threads.h"
#include "record/file.h"
#include "report/metrics_table.h"
#include "tools/common/fused.h"
#include "tools/common/lowering.h"
#include "tools/common/matching.h"
#include "tools/common/sensitivity.h"
#include <stdio.h>

struct opts {
    const char *model, *ranges, *output;
    int64_t count, threads;
    struct integer_list bits;
    struct lowering lowering; /* its bits are not of interest: each width is tried */
    struct matching matching; /* its options alone */
    int quiet;
    struct model_arguments given;
};

static const char details[] =
    "For every layer, and every width of its weights and of what it gives, the int8 network is run with only that\n"
    "changed from 8 bits, and compared with the float network over the first -n images. What stands before the\n"
    "change is computed once. Images of the test split are refused: this is for choosing.\n"
    "\n"
    "A table, `layer what bits kl logit_error sqnr sqnr_accumulated accuracy agreement bytes`:\n"
    "  kl                Kullback-Leibler divergence of the class probabilities from the float network's, a mean\n"
    "  logit_error       squared difference of the logits, a mean\n"
    "  sqnr              dB, signal to noise of what the layer gives, all before it at 8 bits\n"
    "  sqnr_accumulated  the same where all weights, or all activations, have so many bits (--ends)\n"
    "  accuracy          of the network with this change, percent; agreement: with the float network\n"
    "  bytes             of the layer's weights in a file\n"
    "\n"
    "Below 8 bits what changes is matched (--match) as quantize does it: the layer itself, or those that read the\n"
    "changed values. allot chooses by this table; plot draws it.\n"
    "\n"
    "  cifar-load --part held-out | analyse -m fused.safetensors -r ranges.safetensors -o analyse.tsv\n"
    "  plot sensitivity analyse.tsv -o analyse.png\n";

static void show(void *context, int64_t done, int64_t rows)
{
    struct progress *p = context;
    p->total = rows;
    progress_show(p, done, "networks");
}

static int notes(const struct opts *o, const struct fused *f, const struct analyse_options *how,
                 const struct analysis *a, struct table *t, struct message *m)
{
    const struct lowering *lower = &o->lowering;
    char ranges[DIGEST_HEX + 8], images[32], matched[64], correct[32];
    snprintf(ranges, sizeof ranges, "sha256:%s", f->ranges_hex);
    snprintf(images, sizeof images, "%lld", (long long)how->count);
    snprintf(matched, sizeof matched, "%s, %lld images", match_mode_name(how->match),
             (long long)(how->match_count < how->count ? how->match_count : how->count));
    snprintf(correct, sizeof correct, "%.4f", 100 * (double)a->correct / (double)how->count);
    const char *const said[][2] = {{"model-digest", f->digest},
                                   {"ranges-digest", ranges},
                                   {"images", images},
                                   {"float-accuracy", correct},
                                   {"observer", lower->observer},
                                   {"weights", lower->per_tensor ? "per-tensor" : "per-channel"},
                                   {"match", how->match == MATCH_OFF ? "off" : matched},
                                   {"ends", lower->low.ends ? lower->low.ends : "8"}};
    TRY(table_note(t, "tool", "analyse " RESQ_VERSION, m));
    TRY(table_note_data(t, o->matching.taken.reader.first, m));
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        TRY(table_note(t, said[i][0], said[i][1], m));
    return 0;
}

static int save(const struct opts *o, const struct fused *f, const struct analyse_options *how,
                const struct analysis *a, struct message *m)
{
    struct table t = {0};
    int status = notes(o, f, how, a, &t, m);
    if (status >= 0)
        status = sensitivity_to_table(&t, a, &f->model, how->count, m);
    if (status >= 0)
        status = table_save(&t, o->output, m);
    table_free(&t);
    return status;
}

static int analyse(const struct tool *tool, struct opts *o, const struct fused *f, struct message *m)
{
    struct progress progress;
    struct analysis a = {0};
    const struct lower_options lower = lowering_options(&o->lowering);
    const struct taken_images *taken = &o->matching.taken;
    struct analyse_options how = {.lower = &lower,
                                  .ranges = &f->ranges,
                                  .width_count = o->bits.count,
                                  .images = taken->images,
                                  .labels = taken->labels,
                                  .count = taken->count,
                                  .match = o->matching.mode,
                                  .match_count = o->matching.most,
                                  .threads = (int)o->threads,
                                  .progress = show,
                                  .context = &progress};
    for (int i = 0; i < o->bits.count; i++)
        how.widths[i] = (int)o->bits.items[i];
    double start = clock_seconds();
    progress_open(&progress, stderr, o->quiet, tool_called(tool), 0);
    int status = ptq_analyse(&a, &f->model, &how, m);
    progress_close(&progress);
    if (status >= 0)
        status = save(o, f, &how, &a, m);
    if (status >= 0 && !o->quiet)
        fprintf(stderr, "%s: %d networks over %lld images in %.1f s, %.0f MB of values held at most\n",
                tool_called(tool), a.count, (long long)how.count, clock_seconds() - start,
                (double)a.bytes_held / 1e6);
    analysis_free(&a);
    return status;
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    struct fused f = {0};
    TRY(output_check(o->output, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->ranges, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    int status = fused_open(&f, o->model, o->ranges, &o->given, m);
    if (status >= 0)
        status = images_take(&o->matching.taken, &f.model, o->count ? o->count : INT64_MAX, m);
    if (status >= 0 && o->matching.taken.count < o->count && tool_was_given(tool, "count") && !o->quiet)
        tool_warn(tool, "only %lld images came, of %lld asked for (-n)", (long long)o->matching.taken.count,
                  (long long)o->count);
    if (status >= 0)
        status = analyse(tool, o, &f, m);
    matching_close(&o->matching);
    fused_close(&f);
    return status;
}

/* No width twice. */
static int bits_check(const struct tool *tool, const struct integer_list *bits)
{
    for (int i = 0; i < bits->count; i++)
        for (int k = 0; k < i; k++)
            if (bits->items[i] == bits->items[k])
                return tool_misuse(tool, "--bits: %d twice", (int)bits->items[i]);
    return -1;
}

int main(int argc, char **argv)
{
    struct opts o = {.count = 1024,
                     .threads = threads_online(),
                     .bits = {{8, 4, 3, 2}, 4},
                     .lowering = lowering_defaults,
                     .matching = matching_defaults};
    struct message m = {{0}};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_RANGES(&o.ranges),
        OPTION_OUTPUT(&o.output),
        {"bits", 0, OPTION_INTEGERS, &o.bits, 2, 8, "LIST", "the widths to try", 0, 0},
        OPTION_COUNT(&o.count),
        OBSERVER_OPTIONS(o.lowering, observers, 0),
        {"weight-observer", 0, OPTION_CHOICE, &o.lowering.low.weight_observer, 0, 0, 0,
         "weight scales by largest weight or least squared error; else max at 8 bits, mse below", "max|mse", 0},
        {"ends", 0, OPTION_CHOICE, &o.lowering.low.ends, 0, 0, 0,
         "of sqnr_accumulated: bits of image, first and last layer; else 8", "8|same", 0},
        PER_TENSOR_OPTION(o.lowering, 0),
        {"match", 0, OPTION_CHOICE, &o.matching.match, 0, 0, 0, "match what changes to the float network; else all",
         "all|bias|off", 0},
        {"match-images", 0, OPTION_INTEGER, &o.matching.most, 1, 1e6, "N", "by the first N images", 0, 0},
        OPTION_THREADS(&o.threads),
        MODEL_OPTIONS(o.given),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool = TOOL("analyse", "-m FUSED -r RANGES [-o TABLE] < BATCHES",
                                  "Measure what few bits cost, layer by layer.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (!o.model || !o.ranges)
        return tool_misuse(&tool, "missing option: -m MODEL and -r RANGES are needed");
    if ((status = bits_check(&tool, &o.bits)) >= 0)
        return status;
    matching_choose(&o.matching, 1);
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&tool, &o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}

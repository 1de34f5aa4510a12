/* allot: what analyse measured + a bound -> a plan of bits, one line a layer. */
#include "base/threads.h"
#include "record/file.h"
#include "report/metrics_table.h"
#include "tools/common/allotment_choose.h"
#include "tools/common/low_bits.h"
#include "tools/common/matching.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *ranges, *table, *output, *observer, *validate, *frontier;
    struct string_list timings;
    double percentile, bytes, average, ms, drop;
    int64_t activation_bits, points;
    struct low_bits_arguments low;
    struct matching matching;
    int per_tensor, quiet;
    struct model_arguments given;
};

static const char details[] =
    "Of all plans that keep the bound, that of the least sum of what analyse measured for each layer is found "
    "exactly\n"
    "(by dynamic programming). One of:\n"
    "  --bytes B     at most so many bytes of tensors in the model's file (its header of some kB is not counted)\n"
    "  --average X   at most so many bits a weight on average, as packed: 2, 4 or 8 (3 bits take 4)\n"
    "  --ms T        at most so many milliseconds an image, by --timings: tables of `bench --layers`\n"
    "  --drop X      the fewest bytes with which held-out accuracy falls by no more than X points\n"
    "\n"
    "With --validate the plan that the table names and those next to it are made, as quantize makes them from the\n"
    "images on standard input, and compared with the float network on the held-out images: the one whose answers\n"
    "are nearest is written, with its paired difference. --frontier writes a table of all that were tried, of "
    "plans of\n"
    "other sizes and of models of one width; plot draws it. Without --validate nothing is read and nothing tried.\n"
    "\n"
    "The plan is a line a layer, LAYER WEIGHT-BITS ACTIVATION-BITS, to be edited by hand. Activations have\n"
    "--activation-bits: they take no bytes.\n"
    "\n"
    "  cifar-load --part train -n 512 | allot -m fused.st -r ranges.st --table analyse.tsv --average 3.2 \\\n"
    "    --validate held-out.batches --frontier frontier.tsv -o bits.txt\n"
    "  cifar-load --part train -n 512 | quantize -m fused.st -r ranges.st --plan bits.txt -o mixed.st\n";

static struct lower_options lower_options_of(const struct opts *o)
{
    struct lower_options how = {.observer = o->observer,
                                .observer_parameter =
                                    strcmp(o->observer, "percentile") == 0 ? o->percentile : (double)NAN,
                                .weight_bits = 8,
                                .activation_bits = 8,
                                .per_tensor = o->per_tensor};
    low_bits_take(&o->low, &how);
    return how;
}

static struct bound bound_of(const struct opts *o)
{
    if (o->bytes > 0)
        return (struct bound){BOUND_BYTES, o->bytes};
    if (o->average > 0)
        return (struct bound){BOUND_AVERAGE, o->average};
    if (o->ms > 0)
        return (struct bound){BOUND_MS, o->ms};
    return (struct bound){BOUND_DROP, o->drop};
}

static int save_plan(const struct opts *o, const struct text *t, struct message *m)
{
    struct atomic_file f;
    TRY(atomic_open(&f, o->output, m));
    fwrite(t->data, 1, t->length, f.stream); /* a failure is found by the commit */
    return atomic_commit(&f, m);
}

static int save_frontier(const struct opts *o, const struct trials *trials, struct message *m)
{
    struct table t = {0};
    char accuracy[32], images[32];
    snprintf(accuracy, sizeof accuracy, "%.4f", trials->accuracy);
    snprintf(images, sizeof images, "%lld", (long long)trials->held.set.count);
    int status = table_note(&t, "tool", "allot " RESQ_VERSION, m);
    if (status >= 0)
        status = table_note_data(&t, trials->held.set.first, m);
    if (status >= 0)
        status = table_note(&t, "images", images, m);
    if (status >= 0)
        status = table_note(&t, "model-digest", trials->f->digest, m);
    if (status >= 0)
        status = table_note(&t, "float-accuracy", accuracy, m);
    if (status >= 0)
        status = trials_table(trials, &t, m);
    if (status >= 0)
        status = table_save(&t, o->frontier, m);
    table_free(&t);
    return status;
}

static int choose(const struct tool *tool, const struct opts *o, struct allotment *a, struct trials *trials,
                  struct message *m)
{
    struct text text = {0};
    struct bit_plan plan = {0};
    const struct bound bound = bound_of(o);
    int status = o->validate ? trials_open(trials, o->validate, o->matching.taken.reader.first, m) : 0;
    if (status >= 0)
        status = plan_choose(a, &bound, o->validate ? trials : NULL, &plan, m);
    if (status >= 0)
        status = plan_print(a, &bound, o->validate ? trials : NULL, &plan, &text, m);
    if (status >= 0 && o->frontier)
        status = plans_around(a, trials, (int)o->points, m);
    if (status >= 0 && o->frontier)
        status = save_frontier(o, trials, m);
    if (status >= 0)
        status = save_plan(o, &text, m);
    if (status >= 0 && !o->quiet) /* the first line says what it is */
        fprintf(stderr, "%s: %.*s\n", tool_called(tool), (int)strcspn(text.data + 2, "\n"), text.data + 2);
    text_free(&text);
    bit_plan_free(&plan);
    return status;
}

/* What a model holds besides its weights. */
static int weigh(const struct opts *o, const struct fused *f, struct allotment *a, struct message *m)
{
    const struct lower_options how = lower_options_of(o);
    struct bit_plan all = {0};
    struct model model = {0};
    int status = model_copy(&model, &f->model, m);
    if (status >= 0)
        status = pass_lower_int8(&model, &f->ranges, &how, NULL, m);
    if (status >= 0)
        status = allotment_uniform(a, 8, 8, &all, m);
    if (status >= 0)
        a->bytes_beside = tensors_bytes(&model) - plan_bytes(a, &all);
    bit_plan_free(&all);
    model_free(&model);
    return status;
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    static struct trials trials; /* large */
    struct fused f = {0};
    struct allotment a = {0};
    TRY(output_check(o->output, m));
    TRY(output_check(o->frontier, m));
    const char *const inputs[] = {o->model, o->ranges, o->table, o->validate, o->given.graph};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        TRY(output_differs(inputs[i], o->output, m));
        TRY(output_differs(inputs[i], o->frontier, m));
    }
    int status = fused_open(&f, o->model, o->ranges, &o->given, m);
    if (status >= 0)
        status = allotment_open(&a, &f, o->table, m);
    a.activation_bits = (int)o->activation_bits;
    a.keep_ends = !o->low.ends || strcmp(o->low.ends, "same") != 0;
    if (status >= 0)
        status = weigh(o, &f, &a, m);
    for (int i = 0; i < o->timings.count && status >= 0; i++)
        status = allotment_time(&a, o->timings.items[i], m);
    if (status >= 0 && o->validate)
        status = matching_open(&o->matching, &f.model, m);
    trials = (struct trials){.a = &a,
                             .f = &f,
                             .how = lower_options_of(o),
                             .threads = (int)o->matching.threads,
                             .match = {.mode = o->matching.mode,
                                       .gptq = o->matching.gptq,
                                       .images = o->matching.taken.images,
                                       .count = o->matching.taken.count,
                                       .per_tensor = o->per_tensor,
                                       .threads = (int)o->matching.threads}};
    if (status >= 0)
        status = choose(tool, o, &a, &trials, m);
    trials_close(&trials);
    allotment_close(&a);
    matching_close(&o->matching);
    fused_close(&f);
    return status;
}

static int check(const struct tool *tool, const struct opts *o)
{
    static const char *const bounds[] = {"bytes", "average", "ms", "drop"};
    int given = 0;
    for (int i = 0; i < 4; i++)
        given += tool_was_given(tool, bounds[i]);
    if (!o->model || !o->ranges || !o->table)
        return tool_misuse(tool, "missing option: -m MODEL, -r RANGES and --table TABLE are needed");
    if (given != 1)
        return tool_misuse(tool, "want one of --bytes, --average, --ms and --drop");
    if ((tool_was_given(tool, "drop") || o->frontier) && !o->validate)
        return tool_misuse(tool, "%s: needs --validate FILE", o->frontier ? "--frontier" : "--drop");
    if (o->frontier && !o->output)
        return tool_misuse(tool, "--frontier: needs -o PLAN");
    if (tool_was_given(tool, "ms") && o->timings.count == 0)
        return tool_misuse(tool, "--ms: needs --timings BITS=FILE");
    return -1;
}

int main(int argc, char **argv)
{
    struct opts o = {
        .observer = "mse", .percentile = 99.99, .activation_bits = 8, .points = 8, .matching = matching_defaults};
    struct message m = {{0}};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    o.matching.threads = threads_online();
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_RANGES(&o.ranges),
        {"table", 0, OPTION_STRING, &o.table, 0, 0, "TABLE", "what analyse measured", 0, 0},
        OPTION_OUTPUT(&o.output),
        {"bytes", 0, OPTION_NUMBER, &o.bytes, 1, 1e15, "B", "at most so many bytes", 0, 0},
        {"average", 0, OPTION_NUMBER, &o.average, 1, 8, "X", "at most so many bits a weight", 0, 0},
        {"ms", 0, OPTION_NUMBER, &o.ms, 1e-9, 1e9, "T", "at most so many milliseconds an image", 0, 0},
        {"drop", 0, OPTION_NUMBER, &o.drop, -100, 100, "X", "at most so many points of held-out accuracy", 0, 0},
        {"timings", 0, OPTION_STRINGS, &o.timings, 0, 0, "BITS=FILE",
         "of a model of so many bits, by bench --layers; may be repeated", 0, 0},
        {"validate", 0, OPTION_STRING, &o.validate, 0, 0, "FILE", "held-out batches to try plans on", 0, 0},
        {"frontier", 0, OPTION_STRING, &o.frontier, 0, 0, "FILE",
         "write here what was tried, and plans of other sizes", 0, 0},
        {"points", 0, OPTION_INTEGER, &o.points, 2, 32, "N", "plans of other sizes for --frontier", 0, 0},
        {"activation-bits", 0, OPTION_INTEGER, &o.activation_bits, 2, 8, "N", "bits of the activations", 0, 0},
        LOW_BITS_CHOICES(o.low),
        {"observer", 0, OPTION_CHOICE, &o.observer, 0, 0, "NAME", "how ranges are chosen", observers, 0},
        {"percentile", 0, OPTION_NUMBER, &o.percentile, 50.001, 100, "P", "of the observer percentile", 0, 0},
        {"per-tensor", 0, OPTION_FLAG, &o.per_tensor, 0, 0, 0, "one weight scale a layer, not one a channel", 0, 0},
        MATCHING_OPTIONS(o.matching),
        OPTION_THREADS(&o.matching.threads),
        MODEL_OPTIONS(o.given),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool = TOOL(
        "allot", "-m FUSED -r RANGES --table TABLE --bytes B|--average X|--ms T|--drop X [-o PLAN] [< BATCHES]",
        "Choose how many bits each layer has.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if ((status = check(&tool, &o)) >= 0)
        return status;
    matching_choose(&o.matching, 1);
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&tool, &o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}

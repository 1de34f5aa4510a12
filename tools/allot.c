/* allot: what analyse measured + a bound -> a plan of bits, one line a layer. */
#include "base/threads.h"
#include "record/file.h"
#include "report/save.h"
#include "tools/common/allotment_choose.h"
#include "tools/common/lowering.h"
#include "tools/common/matching.h"
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *ranges, *table, *output, *validate, *frontier;
    struct string_list timings;
    double bytes, average, ms, drop;
    int64_t activation_bits, points;
    struct lowering lowering; /* its bits stay 8: plans have others */
    struct matching matching;
    int quiet;
    struct model_arguments given;
};

static const char details[] =
    "Of all plans that keep the bound, that of the least sum of what analyse measured for each layer is found exactly\n"
    "(by dynamic programming). One of:\n"
    "  --bytes B     at most so many bytes of tensors in the model's file (its header of some kB is not counted)\n"
    "  --average X   at most so many bits a weight on average, as packed: 2, 4 or 8 (3 bits take 4)\n"
    "  --ms T        at most so many milliseconds an image, by --timings: tables of `bench --layers`\n"
    "  --drop X      the fewest bytes with which held-out accuracy falls by no more than X points\n"
    "\n"
    "With --validate the plan that the table names and those next to it are made, as quantize makes them from the\n"
    "images on standard input, and compared with the float network on the held-out images: the one whose answers\n"
    "are nearest is written, with its paired difference. --frontier writes a table of all that were tried, of plans of\n"
    "other sizes and of models of one width; plot draws it. Without --validate nothing is read and nothing tried.\n"
    "\n"
    "The plan is a line a layer, LAYER WEIGHT-BITS ACTIVATION-BITS, to be edited by hand. Activations have\n"
    "--activation-bits: they take no bytes.\n"
    "\n"
    "  cifar-load --part train -n 512 | allot -m fused.st -r ranges.st --table analyse.tsv --average 3.2 \\\n"
    "    --validate held-out.batches --frontier frontier.tsv -o bits.txt\n"
    "  cifar-load --part train -n 512 | quantize -m fused.st -r ranges.st --plan bits.txt -o mixed.st\n";

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
        status = trials_save(trials, o->frontier, m);
    if (status >= 0)
        status = bytes_save(text.data, text.length, o->output, m);
    if (status >= 0 && !o->quiet) /* the first line says what it is */
        fprintf(stderr, "%s: %.*s\n", tool_called(tool), (int)strcspn(text.data + 2, "\n"), text.data + 2);
    text_free(&text);
    bit_plan_free(&plan);
    return status;
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    static struct trials trials; /* large */
    const struct lower_options how = lowering_options(&o->lowering);
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
    a.keep_ends = !o->lowering.low.ends || strcmp(o->lowering.low.ends, "same") != 0;
    if (status >= 0)
        status = allotment_weigh(&a, &f, &how, m);
    for (int i = 0; i < o->timings.count && status >= 0; i++)
        status = allotment_time(&a, o->timings.items[i], m);
    if (status >= 0 && o->validate)
        status = matching_open(&o->matching, &f.model, m);
    trials = (struct trials){.a = &a,
                             .f = &f,
                             .how = how,
                             .threads = (int)o->matching.threads,
                             .match = {.mode = o->matching.mode,
                                       .gptq = o->matching.gptq,
                                       .images = o->matching.taken.images,
                                       .count = o->matching.taken.count,
                                       .per_tensor = how.per_tensor,
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
        .activation_bits = 8, .points = 8, .lowering = lowering_defaults, .matching = matching_defaults};
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
        LOW_BITS_CHOICES(o.lowering.low),
        OBSERVER_OPTIONS(o.lowering, observers, 0),
        PER_TENSOR_OPTION(o.lowering, 0),
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

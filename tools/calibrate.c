/* calibrate: fused model + batches -> ranges, and ranges + ranges -> ranges. */
#include "record/file.h"
#include "record/stream.h"
#include "tools/common/calibration.h"
#include "tools/common/crew.h"
#include "tools/common/model_file.h"
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *output;
    int64_t count, threads;
    int merge, verbose, quiet;
    struct device_arguments where;
    struct model_arguments given;
    const struct ranks *ranks;
};

static const char details[] =
    "Runs the float network over images of the train split and counts every activation's values, in\n"
    "constant memory:\n"
    "minimum, maximum and a histogram of integers, from which quantize chooses scales by any of its\n"
    "observers. Images after the first -n are read and left unused.\n"
    "\n"
    "--merge adds up ranges of the same model: the result is that of one pass over all their images, in any\n"
    "order.\n"
    "\n"
    "mpirun -n N calibrate .. shares the images among N processes and gives the bytes of one: the first reads standard\n"
    "input and writes.\n"
    "\n"
    "  cifar-load --part train --shuffle -n 8192 | calibrate -m fused.safetensors -o ranges.safetensors\n"
    "  calibrate --merge first.safetensors second.safetensors -o ranges.safetensors\n";

static void show(const struct calibration *c)
{
    for (int i = 0; i < c->ranges.count; i++)
        fprintf(stderr, "%-24s %12g %12g\n", c->ranges.names[i], (double)c->ranges.histograms[i].min,
                (double)c->ranges.histograms[i].max);
}

static int calibrate(struct calibration *c, const struct opts *o, struct record *r, struct message *m)
{
    int status = graph_require_stage(&c->model.graph, STAGE_FUSED, m);
    if (status < 0)
        return message_prefix(m, status, "%s", o->model);
    progress_open(&c->progress, stderr, o->quiet, tool_called(c->tool), 0);
    status = calibration_run(c, m);
    progress_close(&c->progress);
    TRY(status);
    if (!crew_is_first(c->ranks))
        return 0;
    if (c->images < c->limit && tool_was_given(c->tool, "count") && !o->quiet)
        tool_warn(c->tool, "only %lld images came, of %lld asked for (-n): the ranges are of these",
                  (long long)c->images, (long long)c->limit);
    TRY(calibration_describe(c, r, m));
    if (o->verbose)
        show(c);
    return record_save(r, o->output, m);
}

static int run_model(const struct tool *tool, struct opts *o, struct message *m)
{
    struct calibration c = {.tool = tool,
                            .model_path = o->model,
                            .limit = o->count,
                            .threads = (int)o->threads,
                            .where = o->where,
                            .ranks = o->ranks,
                            .given = &o->given.given};
    if (crew_is_first(o->ranks)) {
        TRY(output_check(o->output, m));
        TRY(output_differs(o->model, o->output, m));
        TRY(output_differs(o->given.graph, o->output, m));
    }
    TRY(device_resolve(tool, &c.where, o->quiet, m));
    TRY(model_open(&c.model, o->model, &o->given, m));
    struct record *r = record_new(m);
    int status = r ? calibrate(&c, o, r, m) : STATUS_NOMEM;
    record_free(r);
    calibration_free(&c);
    return status;
}

/* ---- --merge ---- */

static int run_merge(const struct opts *o, const struct operands *files, struct message *m)
{
    struct record *records[STRING_LIST_MAX] = {0}, *joined = NULL;
    int status = output_check(o->output, m);
    for (int i = 0; i < files->count && status >= 0; i++) {
        status = output_differs(files->items[i], o->output, m);
        if (status >= 0)
            status = record_load(&records[i], files->items[i], m);
    }
    if (status >= 0)
        status = ranges_join(&joined, records, (const char *const *)files->items, files->count, m);
    if (status >= 0)
        status = record_save(joined, o->output, m);
    record_free(joined);
    for (int i = 0; i < files->count; i++)
        record_free(records[i]);
    return status;
}

/* Files are put together by the first rank alone. */
static int run(const struct tool *tool, struct opts *o, const struct operands *files, struct message *m)
{
    TRY(crew_open(&o->ranks, &o->verbose, &o->quiet, m));
    model_arguments_hush(&o->given, o->quiet);
    if (!o->merge)
        return run_model(tool, o, m);
    return crew_is_first(o->ranks) ? run_merge(o, files, m) : 0;
}

int main(int argc, char **argv)
{
    struct opts o = {.count = 8192, .threads = 1, .where = {.device = device_default}};
    struct operands files = {0};
    struct message m = {{0}};
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_OUTPUT(&o.output),
        OPTION_COUNT(&o.count),
        OPTION_THREADS(&o.threads),
        OPTION_DEVICE(o.where),
        MODEL_OPTIONS(o.given),
        {"merge", 0, OPTION_FLAG, &o.merge, 0, 0, 0, "add up the given ranges files instead", 0, 0},
        OPTION_VERBOSE(&o.verbose),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool =
        TOOL("calibrate", "-m MODEL [-o RANGES] < BATCHES\n  or:  calibrate --merge RANGES... [-o RANGES]",
             "Observe the ranges of a fused model's activations.", details, options, STRING_LIST_MAX);
    int status = tool_start(&tool, argc, argv, &files);
    if (status >= 0)
        return status;
    if (o.merge ? files.count == 0 || o.model : files.count > 0 || !o.model)
        return tool_misuse(&tool, o.merge ? "--merge takes ranges files and no model"
                                          : "-m MODEL is needed, and no operand");
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = run(&tool, &o, &files, &m);
    model_arguments_free(&o.given);
    return tool_end_of_ranks(&tool, o.ranks, status, &m);
}

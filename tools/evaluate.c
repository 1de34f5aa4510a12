/* evaluate: model + batches -> metrics and predictions; or two predictions side by side. */
#include "base/memory.h"
#include "base/threads.h"
#include "record/digest.h"
#include "record/file.h"
#include "report/metrics_table.h"
#include "tools/common/crew.h"
#include "tools/common/device.h"
#include "tools/common/model_file.h"
#include "tools/common/metrics_of.h"
#include "tools/common/predict.h"
#include <string.h>

struct opts {
    const char *output, *model, *predictions, *precision;
    int64_t batch, threads;
    const char *tta; /* NULL: none */
    int is_pair, is_merge, verbose, quiet;
    struct device_arguments where;
    struct model_arguments given;
    const struct ranks *ranks;
};

static const char details[] =
    "Prints a table `metric class predicted value low high`: images, accuracy and top2 with 95 % Wilson\n"
    "intervals, loss (mean cross-entropy), calibration_error (expected, 15 bins), precision, recall and f1\n"
    "of each class (0 where nothing is divided by nothing) and the confusion counts. Shares are in percent.\n"
    "\n"
    "--precision says what float layers compute in; integer layers have their own. With bf16, a CPU with\n"
    "tiles (RESQ_ISA=amx) is several times as fast; other instruction sets give the same to rounding, and\n"
    "are slower. The table and the predictions name the precision.\n"
    "\n"
    "--tta flip (test-time augmentation) takes for each image the mean of its logits and its mirror image's:\n"
    "another way to use a model, at twice its time, which table and predictions say and no summary of plain\n"
    "accuracies takes.\n"
    "\n"
    "--merge puts predictions of one model on parts of the images together, in any order: metrics and predictions\n"
    "are those of one run over all of them. (What computed them, isa, no predictions say, and so no merged table.)\n"
    "\n"
    "mpirun -n N evaluate .. shares the images among N processes and gives the bytes of one: the first reads standard\n"
    "input and writes.\n"
    "\n"
    "--pair compares two predictions of the same images, in a table `metric class value`: images, agreement\n"
    "(percent), both_right, both_wrong, only_first_right, only_second_right, mcnemar_p (exact, two-sided),\n"
    "and for each class first_right, second_right and difference (second less first).\n"
    "\n"
    "Examples:\n"
    "  cifar-load --split test | evaluate -m qat.safetensors --predictions qat.predictions.safetensors > qat.tsv\n"
    "  cifar-load --split test --offset 5000 | evaluate -m qat.safetensors --predictions second -o second.tsv\n"
    "  evaluate --merge first second --predictions qat.predictions.safetensors -o qat.tsv\n"
    "  evaluate --pair float.predictions.safetensors qat.predictions.safetensors\n";

/* ---- one model ---- */

static int evaluate_model(const struct tool *tool, const struct opts *o, const struct model *model,
                          const char *model_digest, struct message *m)
{
    const struct predict_options how = {.threads = (int)o->threads,
                                        .batch = (int)o->batch,
                                        .quiet = o->quiet,
                                        .where = o->where,
                                        .precision = o->precision,
                                        .tool = tool_called(tool),
                                        .verbose = o->verbose,
                                        .flips = o->tta != NULL,
                                        .ranks = o->ranks,
                                        .model_digest = model_digest};
    struct predictions p = {0};
    struct batch_reader reader = {0};
    struct table table = {0};
    struct predict_with with = {"-", "-", NULL};
    int other_data = 0;
    int status = predict_stream(&p, model, &how, &reader, &with, &other_data, m);
    const int is_first = crew_is_first(o->ranks);
    if (status >= 0 && other_data && !o->quiet)
        tool_warn(tool, "the images are of another data set (%s) than the model's", reader.dataset);
    if (status >= 0 && is_first)
        status = metrics_of(&table, &p, reader.first, reader.classes, &with, model_digest,
                            graph_stage_name(graph_stage(&model->graph)), m);
    if (status >= 0 && is_first && o->predictions)
        status = predictions_save(o->predictions, &p, &reader, model, model_digest, &with, &o->given.given, m);
    if (status >= 0 && is_first)
        status = table_save(&table, o->output, m);
    table_free(&table);
    predictions_free(&p);
    batch_reader_close(&reader);
    return status;
}

static int check_outputs(const struct opts *o, struct message *m)
{
    TRY(output_check(o->output, m));
    TRY(output_check(o->predictions, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    return output_differs(o->model, o->predictions, m);
}

static int run_model(const struct tool *tool, struct opts *o, struct message *m)
{
    struct model model = {0};
    char hex[DIGEST_HEX], digest[DIGEST_HEX + 8];
    if (crew_is_first(o->ranks))
        TRY(check_outputs(o, m));
    TRY(device_resolve(tool, &o->where, o->quiet, m));
    TRY(model_open(&model, o->model, &o->given, m));
    int status = digest_record(model.record, hex, m);
    snprintf(digest, sizeof digest, "sha256:%s", hex);
    if (status >= 0)
        status = evaluate_model(tool, o, &model, digest, m);
    model_free(&model);
    return status;
}

/* What only reads files is the first rank's alone. */
static int run(const struct tool *tool, struct opts *o, const struct operands *files, struct message *m)
{
    TRY(crew_open(&o->ranks, &o->verbose, &o->quiet, m));
    model_arguments_hush(&o->given, o->quiet);
    if (!o->is_pair && !o->is_merge)
        return run_model(tool, o, m);
    if (!crew_is_first(o->ranks))
        return 0;
    return o->is_pair ? predictions_compare(files->items, o->output, m)
                      : predictions_merge(files, o->output, o->predictions, m);
}

/* ---- misuse ---- */

static const char *misuse_of(const struct opts *o, const struct operands *files)
{
    const int reads = o->is_pair || o->is_merge;
    if (o->is_pair && o->is_merge)
        return "--pair or --merge, not both";
    if (reads && o->precision)
        return o->is_pair ? "--pair compares predictions, whose precision is theirs, not --precision"
                          : "--merge reads predictions, whose precision is theirs, not --precision";
    if (reads && o->tta)
        return o->is_pair ? "--pair compares predictions: --tta is for making them"
                          : "--merge reads predictions: --tta is for making them";
    if (o->is_pair && (o->model || o->predictions))
        return "--pair reads predictions only, not -m or --predictions";
    if (o->is_merge && o->model)
        return "--merge reads predictions only, not -m";
    if (o->is_pair && files->count != 2)
        return "--pair: missing operand: two predictions files";
    if (o->is_merge && files->count == 0)
        return "--merge: missing operand: predictions files";
    if (o->predictions && strcmp(o->predictions, "-") == 0 && (!o->output || strcmp(o->output, "-") == 0))
        return "--predictions: standard output already gets the metrics";
    return !reads && !o->model ? "missing option -m MODEL" : NULL;
}

int main(int argc, char **argv)
{
    struct opts o = {.batch = 64, .threads = threads_online(), .where = {.device = device_default}};
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_OUTPUT(&o.output),
        {"predictions", 0, OPTION_STRING, &o.predictions, 0, 0, "FILE", "write the logits of every image here", 0,
         0},
        {"tta", 0, OPTION_CHOICE, &o.tta, 0, 0, 0, "look at every image's mirror image too", "flip", 0},
        {"pair", 0, OPTION_FLAG, &o.is_pair, 0, 0, 0, "compare two predictions files, given as operands", 0, 0},
        {"merge", 0, OPTION_FLAG, &o.is_merge, 0, 0, 0, "put predictions of parts of the images together", 0, 0},
        OPTION_BATCH(&o.batch, 0),
        OPTION_THREADS(&o.threads),
        {"precision", 0, OPTION_STRING, &o.precision, 0, 0, "NAME", "of float layers: fp32, bf16, fp16 (GPU)", 0,
         0},
        OPTION_DEVICE(o.where),
        MODEL_OPTIONS(o.given),
        OPTION_VERBOSE(&o.verbose),
        OPTION_QUIET(&o.quiet),
    };
    const struct tool tool =
        TOOL("evaluate", "-m MODEL [-o METRICS] [--predictions FILE] < BATCHES | --pair A B | --merge PART...",
             "Measure a model on images, or compare two models' predictions.", details, options, STRING_LIST_MAX);
    struct operands operands;
    struct message m = {0};
    int status = tool_start(&tool, argc, argv, &operands);
    if (status >= 0)
        return status;
    if (!o.is_pair && !o.is_merge && operands.count > 0)
        return tool_misuse(&tool, "unexpected operand '%s'", operands.items[0]);
    const char *misuse = misuse_of(&o, &operands);
    if (misuse)
        return tool_misuse(&tool, "%s", misuse);
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = run(&tool, &o, &operands, &m);
    model_arguments_free(&o.given);
    return tool_end_of_ranks(&tool, o.ranks, status, &m);
}

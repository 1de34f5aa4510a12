/* fuse: model -> the same network without batch norm. */
#include "graph/model.h"
#include "pass/pass.h"
#include "record/file.h"
#include "record/stream.h"
#include "tools/common/model_file.h"
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *output;
    struct model_arguments given;
    const char *target;
    int equalize, verbose, quiet;
};

static const char details[] =
    "Folds each batch norm into the convolution before it and fuses ReLU and the residual add into the\n"
    "convolution behind which they stand; the network computes the same. A model that has none of these\n"
    "passes unchanged. Without -m the model is read from standard input.\n"
    "\n"
    "--equalize moves scale between two convolutions that follow each other, channel by channel, so that the\n"
    "weights of all channels are alike in size: for models with one weight scale a layer (quantize\n"
    "--per-tensor). The network computes the same to rounding; calibrate it anew.\n"
    "\n"
    "--for onnxruntime leaves sums apart from convolutions: as int8, each operand is then rounded before they\n"
    "are added, as ONNX Runtime does, where else they are rounded once, together. calibrate and quantize that\n"
    "model, and it computes there what it does here.\n"
    "\n"
    "  fuse -m best_float_model.safetensors -o fused_model.safetensors\n"
    "  diff <(inspect graph float.safetensors) <(inspect graph fused.safetensors)\n";

/* The passes' report: warnings for everybody, the rest for -v. */
static void show(const struct tool *tool, const struct opts *o, const struct text *report)
{
    static const char mark[] = "warning: ";
    for (const char *line = report->data; line && *line; line += strcspn(line, "\n") + 1) {
        int length = (int)strcspn(line, "\n"), skip = (int)sizeof mark - 1;
        if (strncmp(line, mark, sizeof mark - 1) != 0) {
            if (o->verbose)
                fprintf(stderr, "%.*s\n", length, line);
        } else if (!o->quiet) {
            tool_warn(tool, "%.*s", length - skip, line + skip);
        }
    }
}

static int fuse(struct model *model, const struct tool *tool, const struct opts *o, struct message *m)
{
    struct text report = {0};
    struct lineage lineage = {.message = m};
    char digest[MODEL_DIGEST_SIZE];
    if (graph_stage(&model->graph) == STAGE_INT8)
        return message_set(m, STATUS_MISMATCH, "is at stage int8, want float");
    TRY(model_digest(model, digest, m));
    int is_separate = strcmp(o->target, "onnxruntime") == 0;
    int status = pass_fold_batchnorm(model, &report, m);
    if (status >= 0 && is_separate)
        status = pass_separate_adds(model, &report, m);
    if (status >= 0)
        status = pass_fuse_epilogue(model, &report, m);
    if (status >= 0 && o->equalize)
        status = pass_equalize(model, &report, m);
    if (status >= 0)
        status = model_store(model, m);
    if (status >= 0) {
        lineage_add(&lineage, "model", "%s", digest);
        model_given_lineage(&o->given.given, &lineage);
        if (o->equalize)
            lineage_add(&lineage, "equalize", "1");
        if (is_separate)
            lineage_add(&lineage, "for", "%s", o->target);
        status = lineage_apply(model->record, model->record, tool->name, &lineage, NULL, 0, m);
        show(tool, o, &report);
    }
    lineage_free(&lineage);
    text_free(&report);
    return status;
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    struct model model;
    TRY(output_check(o->output, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    TRY(model_open(&model, o->model, &o->given, m));
    int status = fuse(&model, tool, o, m);
    if (status < 0)
        message_prefix(m, status, "%s", o->model && strcmp(o->model, "-") != 0 ? o->model : "stdin");
    else
        status = record_save(model.record, o->output, m);
    model_free(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.target = "openvino"};
    struct message m = {{0}};
    const struct option_spec options[] = {OPTION_MODEL(&o.model),
                                          OPTION_OUTPUT(&o.output),
                                          {"equalize", 0, OPTION_FLAG, &o.equalize, 0, 0, 0,
                                           "even out the sizes of channels between convolutions", 0, 0},
                                          {"for", 0, OPTION_CHOICE, &o.target, 0, 0, "RUNTIME",
                                           "whose sums: onnxruntime's are apart from convolutions",
                                           "openvino|onnxruntime", 0},
                                          MODEL_OPTIONS(o.given),
                                          OPTION_VERBOSE(&o.verbose),
                                          OPTION_QUIET(&o.quiet)};
    const struct tool tool =
        TOOL("fuse", "[-m MODEL] [-o OUT]", "Fold batch norm, ReLU and residual adds into convolutions.", details,
             options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0 || (status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&tool, &o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}

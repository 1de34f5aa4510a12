/* quantize: fused model + ranges [+ batches] -> int8 model. */
#include "record/file.h"
#include "record/stream.h"
#include "tools/common/fused.h"
#include "tools/common/lower_table.h"
#include "tools/common/lowering.h"
#include "tools/common/matching.h"
#include <string.h>

struct opts {
    const char *model, *ranges, *output, *keep_float, *target;
    struct lowering lowering;
    int saturation_free, verbose, quiet;
    struct matching matching;
    struct model_arguments given;
};

static const char details[] =
    "Every convolution, average pool and linear layer becomes integer arithmetic: activations u8 with scale\n"
    "and zero point per tensor, weights s8, symmetric, with a scale per output channel, sums in i32\n"
    "(lib/quant/QUANT.md). For every channel it is proven from its weights and bias that no sum can leave\n"
    "32 bits.\n"
    "\n"
    "Observers choose what part of the values seen in calibration the codes span:\n"
    "  min-max      everything seen\n"
    "  percentile   all but (100 - P) % of the values at either end\n"
    "  mse          the range of least expected squared error\n"
    "  entropy      the range of least Kullback-Leibler divergence (as TensorRT)\n"
    "\n"
    "Below 8 bits, weight scales are searched for the least squared error, the image, the first and the last\n"
    "layer keep 8 bits (--ends), and every layer's scales and biases are then set so that its outputs have\n"
    "the float network's mean and deviation (--match) over the first images on standard input: batches of the\n"
    "train split. At 8 bits, or with --match off, nothing is read there.\n"
    "\n"
    "-v prints a line for every layer: scale and zero point, signal to quantization noise (dB) of its\n"
    "output and of its weights, the largest value its sums can reach and how many times that is below 2^31.\n"
    "\n"
    "For models that leave by onnx-export: --saturation-free raises a channel's weight scale where two of its\n"
    "codes could saturate a 16-bit sum, as other programs' kernels do on x86 without VNNI (ours never do; -v\n"
    "says in how many channels, and what it cost); --for tensorrt makes every activation symmetric; --for\n"
    "onnxruntime wants a model by fuse --for onnxruntime, whose sums are rounded as that runtime rounds them.\n"
    "\n"
    "  quantize -m fused.safetensors -r ranges.safetensors -o int8.safetensors\n"
    "  cifar-load --part train -n 512 | quantize -m fused.safetensors -r ranges.safetensors --weight-bits 4 -o w4.st\n"
    "  quantize -m fused.safetensors -r ranges.safetensors --weight-bits 4 --match off -o w4.st\n"
    "  cifar-load --part train -n 512 | quantize -m fused.safetensors -r ranges.safetensors --plan bits.txt -o mixed.st\n";

static void show(const struct tool *tool, const struct opts *o, const struct lower_report *report)
{
    if (o->verbose)
        lower_table_print(report);
    if (o->verbose && o->saturation_free)
        spared_print(report);
    for (const char *line = report->warnings.data; line && *line && !o->quiet; line += strcspn(line, "\n") + 1)
        tool_warn(tool, "%.*s", (int)strcspn(line, "\n"), line);
}

static struct lower_options lower_options_of(const struct opts *o)
{
    struct lower_options how = lowering_options(&o->lowering);
    how.keep_float = o->keep_float;
    how.saturation_free = o->saturation_free;
    how.symmetric = strcmp(o->target, "tensorrt") == 0;
    how.separate_sums = strcmp(o->target, "onnxruntime") == 0;
    return how;
}

static int lower(const struct tool *tool, struct opts *o, struct fused *f, struct message *m)
{
    const struct lower_options how = lower_options_of(o);
    struct lower_report report = {0};
    matching_choose(&o->matching, lower_is_low(&how));
    TRY(matching_open(&o->matching, &f->model, m));
    int status = pass_lower_int8(&f->model, &f->ranges, &how, &report, m);
    if (status >= 0)
        show(tool, o, &report);
    lower_report_free(&report);
    if (status >= 0)
        status = matching_run(&o->matching, tool, &f->model, o->quiet, m);
    return status < 0 ? message_prefix(m, status, "%s", o->model) : 0;
}

static int apply_lineage(const struct tool *tool, const struct opts *o, struct fused *f, struct message *m)
{
    struct lineage lineage = {.message = m};
    const struct record *const sides[] = {f->ranges_record, o->matching.taken.reader.first};
    struct record *model = f->model.record;
    tool_lineage(tool, &lineage);
    if (o->saturation_free)
        lineage_add(&lineage, "saturation-free", "1");
    if (strcmp(o->target, "openvino") != 0)
        lineage_add(&lineage, "for", "%s", o->target);
    fused_lineage(f, &o->given, &lineage);
    lowering_lineage(&o->lowering, &lineage);
    matching_lineage(&o->matching, &lineage);
    int status = lineage_apply(model, model, tool->name, &lineage, sides, sides[1] ? 2 : 1, m);
    lineage_free(&lineage);
    return status;
}

/* The fused model becomes the int8 one in its place. */
static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    struct fused f;
    TRY(output_check(o->output, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    TRY(output_differs(o->ranges, o->output, m));
    TRY(output_differs(o->lowering.low.plan, o->output, m));
    int status = fused_open(&f, o->model, o->ranges, &o->given, m);
    if (status >= 0)
        status = lowering_read_plan(&o->lowering, &f.model.graph, m);
    if (status >= 0)
        status = lower(tool, o, &f, m);
    if (status >= 0)
        status = apply_lineage(tool, o, &f, m);
    if (status >= 0)
        status = record_save(f.model.record, o->output, m);
    matching_close(&o->matching);
    lowering_close(&o->lowering);
    fused_close(&f);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.target = "openvino", .lowering = lowering_defaults, .matching = matching_defaults};
    struct message m = {{0}};
    char observers[OBSERVER_NAMES_SIZE];
    observer_names(observers);
    const struct option_spec options[] = {OPTION_MODEL(&o.model),
                                          OPTION_RANGES(&o.ranges),
                                          OPTION_OUTPUT(&o.output),
                                          LOWERING_OPTIONS(o.lowering, observers),
                                          {"keep-float", 0, OPTION_STRING, &o.keep_float, 0, 0, "PATTERN",
                                           "leave layers whose name matches in float", 0, 1},
                                          MATCHING_OPTIONS(o.matching),
                                          OPTION_THREADS(&o.matching.threads),
                                          {"saturation-free", 0, OPTION_FLAG, &o.saturation_free, 0, 0, 0,
                                           "no two codes of a channel saturate 16 bits", 0, 0},
                                          {"for", 0, OPTION_CHOICE, &o.target, 0, 0, "RUNTIME",
                                           "whose codes: tensorrt's are s8 around 0",
                                           "openvino|onnxruntime|tensorrt", 0},
                                          MODEL_OPTIONS(o.given),
                                          OPTION_VERBOSE(&o.verbose),
                                          OPTION_QUIET(&o.quiet)};
    const struct tool tool = TOOL("quantize", "-m MODEL -r RANGES [-o OUT] [< BATCHES]",
                                  "Turn a fused float model into an int8 model.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (!o.model || !o.ranges)
        return tool_misuse(&tool, "missing option: -m MODEL and -r RANGES are needed");
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&tool, &o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}

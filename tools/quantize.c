/* quantize: fused model + ranges [+ batches] -> int8 model. */
#include "graph/model.h"
#include "pass/pass.h"
#include "quant/observer.h"
#include "record/digest.h"
#include "record/file.h"
#include "record/stream.h"
#include "tools/common/low_bits.h"
#include "tools/common/lower_table.h"
#include "tools/common/matching.h"
#include "tools/common/model_file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct opts {
    const char *model, *ranges, *output, *observer, *keep_float, *target;
    double percentile;
    int64_t weight_bits, activation_bits;
    struct low_bits_arguments low;
    struct bit_plan plan;
    char plan_hex[DIGEST_HEX];
    int per_tensor, saturation_free, verbose, quiet;
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
    struct lower_options how = {.observer = o->observer,
                                .observer_parameter =
                                    strcmp(o->observer, "percentile") == 0 ? o->percentile : (double)NAN,
                                .weight_bits = (int)o->weight_bits,
                                .activation_bits = (int)o->activation_bits,
                                .per_tensor = o->per_tensor,
                                .keep_float = o->keep_float,
                                .saturation_free = o->saturation_free,
                                .symmetric = strcmp(o->target, "tensorrt") == 0,
                                .separate_sums = strcmp(o->target, "onnxruntime") == 0};
    low_bits_take(&o->low, &how);
    how.plan = o->low.plan ? &o->plan : NULL;
    return how;
}

static int lower(const struct tool *tool, struct opts *o, struct model *model, const struct ranges *ranges,
                 struct message *m)
{
    const struct lower_options how = lower_options_of(o);
    struct lower_report report = {0};
    matching_choose(&o->matching, lower_is_low(&how));
    TRY(matching_open(&o->matching, model, m));
    int status = pass_lower_int8(model, ranges, &how, &report, m);
    if (status >= 0)
        show(tool, o, &report);
    lower_report_free(&report);
    if (status >= 0)
        status = matching_run(&o->matching, tool, model, o->quiet, m);
    return status < 0 ? message_prefix(m, status, "%s", o->model) : 0;
}

static int apply_lineage(const struct tool *tool, const struct opts *o, struct model *model, const char *digest,
                         const struct record *ranges, struct message *m)
{
    struct lineage lineage = {.message = m};
    const struct lower_options how = lower_options_of(o);
    const struct record *const sides[] = {ranges, o->matching.taken.reader.first};
    char hex[DIGEST_HEX];
    TRY(digest_record(ranges, hex, m));
    tool_lineage(tool, &lineage);
    if (o->low.plan)
        lineage_add(&lineage, "plan", "sha256:%s", o->plan_hex);
    if (o->saturation_free)
        lineage_add(&lineage, "saturation-free", "1");
    if (strcmp(o->target, "openvino") != 0)
        lineage_add(&lineage, "for", "%s", o->target);
    lineage_add(&lineage, "model", "%s", digest);
    model_given_lineage(&o->given.given, &lineage);
    lineage_add(&lineage, "ranges", "sha256:%s", hex);
    if (lower_ends_name(&how))
        lineage_add(&lineage, "ends", "%s", lower_ends_name(&how));
    if (lower_observer_name(&how))
        lineage_add(&lineage, "weight-observer", "%s", lower_observer_name(&how));
    matching_lineage(&o->matching, &lineage);
    int status = lineage_apply(model->record, model->record, tool->name, &lineage, sides, sides[1] ? 2 : 1, m);
    lineage_free(&lineage);
    return status;
}

static int quantize(const struct tool *tool, struct opts *o, struct model *model, const struct record *record,
                    struct message *m)
{
    struct ranges ranges;
    char digest[MODEL_DIGEST_SIZE];
    TRY(model_digest(model, digest, m));
    int status = graph_require_stage(&model->graph, STAGE_FUSED, m);
    if (status < 0)
        return message_prefix(m, status, "%s", o->model);
    if (o->low.plan)
        TRY(bit_plan_load(&o->plan, o->low.plan, &model->graph, o->plan_hex, m));
    status = ranges_from_record(&ranges, record, m);
    if (status >= 0)
        status = ranges_match_model(record, model, m);
    if (status < 0) {
        message_prefix(m, status, "%s", o->ranges);
    } else {
        status = lower(tool, o, model, &ranges, m);
        if (status >= 0)
            status = apply_lineage(tool, o, model, digest, record, m);
    }
    ranges_free(&ranges);
    return status;
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    struct model model;
    struct record *ranges = NULL;
    TRY(output_check(o->output, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    TRY(output_differs(o->ranges, o->output, m));
    TRY(output_differs(o->low.plan, o->output, m));
    TRY(model_open(&model, o->model, &o->given, m));
    int status = record_load(&ranges, o->ranges, m);
    if (status >= 0)
        status = quantize(tool, o, &model, ranges, m);
    if (status >= 0)
        status = record_save(model.record, o->output, m);
    record_free(ranges);
    matching_close(&o->matching);
    bit_plan_free(&o->plan);
    model_free(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.observer = "mse",
                     .target = "openvino",
                     .percentile = 99.99,
                     .weight_bits = 8,
                     .activation_bits = 8,
                     .matching = matching_defaults};
    struct message m = {{0}};
    char observers[256] = "";
    for (int i = 0; observer_at(i); i++)
        snprintf(observers + strlen(observers), sizeof observers - strlen(observers), "%s%s", i ? "|" : "",
                 observer_at(i)->name);
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
        {"keep-float", 0, OPTION_STRING, &o.keep_float, 0, 0, "PATTERN", "leave layers whose name matches in float",
         0, 1},
        MATCHING_OPTIONS(o.matching),
        OPTION_THREADS(&o.matching.threads),
        {"saturation-free", 0, OPTION_FLAG, &o.saturation_free, 0, 0, 0,
         "no two codes of a channel saturate 16 bits", 0, 0},
        {"for", 0, OPTION_CHOICE, &o.target, 0, 0, "RUNTIME", "whose codes: tensorrt's are s8 around 0",
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

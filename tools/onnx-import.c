/* onnx-import: ONNX file -> model. */
#include "onnx/import.h"
#include "record/digest.h"
#include "record/file.h"
#include "record/lineage.h"
#include "record/stream.h"
#include "tools/common/options.h"
#include <string.h>

struct opts {
    const char *input, *output, *normalize;
    int quiet;
    struct onnx_import_options how;
    const struct tool *tool;
};

static const char details[] = "Reads an ONNX file (opset 9 and later, as PyTorch's exporters, tf2onnx and others "
                              "write them) and writes it as a\n"
                              "model with its graph. Constants are computed, a normalisation in front becomes the "
                              "graph's own; layers between\n"
                              "QuantizeLinear and DequantizeLinear become integer layers, with the codes, scales "
                              "and zero points of the file. What\n"
                              "the graph here does not have is refused by the node's name. Data that the file "
                              "keeps beside itself are read from its\n"
                              "folder. Without an operand the file is read from standard input.\n"
                              "  --normalize   what the file's input is: (pixel/255 - mean) / deviation. Where the "
                              "file itself divides by 64 or more\n"
                              "                or takes uint8, that is pixels; where it normalises otherwise, "
                              "pixels / 255; else CIFAR-10's is\n"
                              "                assumed, with a warning.\n"
                              "\n"
                              "  onnx-import net.onnx --normalize 0.5:0.5 -o float.safetensors\n"
                              "  fuse -m float.safetensors -o fused.safetensors\n";

static void tell(void *context, const char *line)
{
    const struct opts *o = context;
    tool_warn(o->tool, "%s %s", o->input && strcmp(o->input, "-") != 0 ? o->input : "stdin", line);
}

/* The file's bytes have a digest; data beside it are in the model's. */
static int apply_lineage(const struct opts *o, struct model *model, struct message *m)
{
    struct lineage lineage = {.message = m};
    char digest[MODEL_DIGEST_SIZE], n[6][32];
    TRY(model_digest(model, digest, m));
    lineage_add(&lineage, "tensors", "%s", digest);
    for (int c = 0; c < 3; c++) {
        format_number_f32(n[c], o->how.mean[c]);
        format_number_f32(n[3 + c], o->how.std[c]);
    }
    if (o->how.has_normalize)
        lineage_add(&lineage, "normalize", "%s,%s,%s:%s,%s,%s", n[0], n[1], n[2], n[3], n[4], n[5]);
    int status = lineage_apply(model->record, model->record, o->tool->name, &lineage, NULL, 0, m);
    lineage_free(&lineage);
    return status;
}

static int run(struct opts *o, struct message *m)
{
    struct model model;
    TRY(output_check(o->output, m));
    TRY(output_differs(o->input, o->output, m));
    TRY(onnx_import(&model, o->input, &o->how, m));
    int status = apply_lineage(o, &model, m);
    if (status >= 0)
        status = record_save(model.record, o->output, m);
    model_free(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {0};
    struct message m = {{0}};
    struct operands operands;
    const struct option_spec options[] = {OPTION_OUTPUT(&o.output),
                                          {"normalize", 0, OPTION_STRING, &o.normalize, 0, 0, "M,M,M:S,S,S",
                                           "the input's mean and deviation of each channel / 255, or M:S of all", 0,
                                           0},
                                          OPTION_QUIET(&o.quiet)};
    const struct tool tool =
        TOOL("onnx-import", "[-o OUT] [MODEL.onnx]", "Read an ONNX file as a model.", details, options, 1);
    int status = tool_start(&tool, argc, argv, &operands);
    if (status >= 0)
        return status;
    o.tool = &tool;
    o.input = operands.count > 0 ? operands.items[0] : NULL;
    o.how.has_normalize = o.normalize != NULL;
    o.how.tell = o.quiet ? NULL : tell;
    o.how.context = &o;
    if (o.normalize && normalize_parse(o.normalize, o.how.mean, o.how.std, &m) < 0)
        return tool_misuse(&tool, "%s", m.text);
    return tool_end(&tool, run(&o, &m), &m);
}

/* onnx-export: model -> ONNX file. */
#include "graph/model.h"
#include "onnx/export.h"
#include "record/file.h"
#include "tools/common/model_file.h"
#include <string.h>

struct opts {
    const char *model, *output, *target, *input;
    struct model_arguments given;
    int quiet;
};

static const char details[] =
    "Writes a float, fused or int8 model as an ONNX file (opset 13) for other runtimes. Integer layers stand between\n"
    "QuantizeLinear and DequantizeLinear, with the model's own codes, scales and zero points. Output: logits, f32 [N,K].\n"
    "  --input normalized   f32 [N,C,H,W], normalised by the caller: mean and deviation stand in the file's metadata\n"
    "  --input pixels       u8 [N,H,W,C]; the file normalises them\n"
    "An int8 model rounds where its runtime rounds only if it was made for it:\n"
    "  --for openvino       residuals are added to a convolution's sums, then rounded once: OpenVINO, and any other reader\n"
    "  --for onnxruntime    only integer operators of ONNX Runtime, whose answers are then ours: of models by fuse --for\n"
    "                       onnxruntime\n"
    "  --for tensorrt       codes s8 with zero point 0: of models by quantize --for tensorrt\n"
    "On x86 processors with AVX2 but without VNNI these runtimes may saturate sums of two products, which are then wrong;\n"
    "models by quantize --saturation-free have no such sums.\n"
    "\n"
    "  onnx-export -m int8.safetensors --input pixels -o int8.onnx\n";

static int save(const struct model *model, const struct opts *o, struct message *m)
{
    struct atomic_file file;
    const struct onnx_export_options how = {.target = strcmp(o->target, "tensorrt") == 0      ? ONNX_FOR_TENSORRT
                                                      : strcmp(o->target, "onnxruntime") == 0 ? ONNX_FOR_RUNTIME
                                                                                              : ONNX_FOR_OPENVINO,
                                            .pixels = strcmp(o->input, "pixels") == 0};
    TRY(atomic_open(&file, o->output, m));
    int status = onnx_export(model, &how, file.stream, m);
    if (status >= 0)
        return atomic_commit(&file, m);
    atomic_abandon(&file);
    return message_prefix(m, status, "%s", o->model);
}

static int run(struct opts *o, struct message *m)
{
    struct model model;
    TRY(output_check(o->output, m));
    TRY(output_differs(o->model, o->output, m));
    TRY(output_differs(o->given.graph, o->output, m));
    TRY(model_open(&model, o->model, &o->given, m));
    int status = save(&model, o, m);
    model_free(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.target = "openvino", .input = "normalized"};
    struct message m = {{0}};
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_OUTPUT(&o.output),
        {"for", 0, OPTION_CHOICE, &o.target, 0, 0, "RUNTIME", "whose integer arithmetic an int8 model is to meet",
         "openvino|onnxruntime|tensorrt", 0},
        {"input", 0, OPTION_CHOICE, &o.input, 0, 0, "FORM", "what the file takes", "normalized|pixels", 0},
        MODEL_OPTIONS(o.given),
        OPTION_QUIET(&o.quiet)};
    const struct tool tool = TOOL("onnx-export", "-m MODEL [-o OUT.onnx]",
                                  "Write a model as an ONNX file for other runtimes.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (!o.model)
        return tool_misuse(&tool, "missing option: -m MODEL is needed");
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}

#include "onnx/export.h"
#include "base/memory.h"
#include "graph/schema.h"
#include "onnx/builder.h"
#include <math.h>
#include <string.h>

static const char input_name[] = "image", output_name[] = "logits";

struct exporter {
    const struct model *model;
    const struct onnx_export_options *options;
    struct builder b;
    const char **values; /* per node: its real values in the file */
};

static const struct node *node_at(const struct exporter *e, int i)
{
    return &e->model->graph.nodes[i];
}

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Forwards that memory is out. */
#define NAME(variable, ...)                                     \
    const char *variable = builder_text(&e->b, m, __VA_ARGS__); \
    if (!variable)                                              \
    return STATUS_NOMEM

/* ---- constants ---- */

static int add_tensor(struct exporter *e, const char *name, enum onnx_type type, const struct tensor *t,
                      struct message *m)
{
    return builder_constant(&e->b, name, type, t->rank, t->shape, t->data, m);
}

static int add_scalar(struct exporter *e, const char *name, float value, struct message *m)
{
    float *own = builder_new(&e->b, 1, sizeof *own, m);
    if (!own)
        return STATUS_NOMEM;
    *own = value;
    return builder_constant(&e->b, name, ONNX_FLOAT, 0, NULL, own, m);
}

/* One number a channel of [N,C,H,W]. */
static int add_channels(struct exporter *e, const char *name, const float *values, int channels, struct message *m)
{
    return builder_constant(&e->b, name, ONNX_FLOAT, 4, (const int64_t[]){1, channels, 1, 1}, values, m);
}

/* ---- codes ---- */

static int check_symmetric(const struct exporter *e, int i, struct message *m)
{
    const uint8_t *zero = model_tensor(e->model, i, "zero_point")->data;
    if (*zero == 128)
        return 0;
    return message_set(m, STATUS_UNSUPPORTED,
                       "%s: zero point %d, TensorRT takes signed codes around 0: make the model by quantize --for "
                       "tensorrt",
                       node_at(e, i)->name, *zero);
}

/* The scale and zero point of codes node i as constants NAME.scale and NAME.zero_point. u8 codes less 128 are s8 codes with
 * zero point 0. */
static int add_map(struct exporter *e, int i, const char **scale, const char **zero, struct message *m)
{
    static const int8_t signed_zero;
    int is_signed = e->options->target == ONNX_FOR_TENSORRT;
    const struct tensor *z = model_tensor(e->model, i, "zero_point");
    NAME(scale_name, "%s.scale", node_at(e, i)->name);
    NAME(zero_name, "%s.zero_point", node_at(e, i)->name);
    if (is_signed)
        TRY(check_symmetric(e, i, m));
    *scale = scale_name;
    *zero = zero_name;
    TRY(add_tensor(e, scale_name, ONNX_FLOAT, model_tensor(e->model, i, "scale"), m));
    return builder_constant(&e->b, zero_name, is_signed ? ONNX_INT8 : ONNX_UINT8, 0, NULL,
                            is_signed ? (const void *)&signed_zero : z->data, m);
}

/* x cut to what the codes of node i span, where that is less than their type does. */
static int add_cut(struct exporter *e, int i, const char **x, struct message *m)
{
    const uint8_t *range = model_tensor(e->model, i, "range")->data;
    const float scale = *(const float *)model_tensor(e->model, i, "scale")->data;
    const int zero = *(const uint8_t *)model_tensor(e->model, i, "zero_point")->data;
    if (range[0] == 0 && range[1] == 255)
        return 0;
    NAME(low, "%s.low", node_at(e, i)->name);
    NAME(high, "%s.high", node_at(e, i)->name);
    NAME(cut, "%s.cut", node_at(e, i)->name);
    TRY(add_scalar(e, low, scale * (float)(range[0] - zero), m));
    TRY(add_scalar(e, high, scale * (float)(range[1] - zero), m));
    TRY(builder_node(&e->b, "Clip", cut, INPUTS(*x, low, high), m));
    *x = cut;
    return 0;
}

/* x -> codes of node i -> what they stand for: e->values[i]. A map that became a vector does so as codes, so that layers still
 * read DequantizeLinear. */
static int add_pair(struct exporter *e, int i, const char *x, int flatten, struct message *m)
{
    const char *scale, *zero;
    NAME(codes, "%s.codes", node_at(e, i)->name);
    TRY(add_cut(e, i, &x, m));
    TRY(add_map(e, i, &scale, &zero, m));
    TRY(builder_node(&e->b, "QuantizeLinear", codes, INPUTS(x, scale, zero), m));
    if (flatten) {
        NAME(flat, "%s.flat", node_at(e, i)->name);
        TRY(builder_node(&e->b, "Flatten", flat, INPUTS(codes), m));
        codes = flat;
    }
    e->values[i] = node_at(e, i)->name;
    return builder_node(&e->b, "DequantizeLinear", e->values[i], INPUTS(codes, scale, zero), m);
}

/* The real value of node i is x, made by the node's own operator; as codes where it gives codes. */
static int finish(struct exporter *e, int i, const char *x, struct message *m)
{
    if (node_has_map(&e->model->graph, i))
        return add_pair(e, i, x, 0, m);
    e->values[i] = x;
    return 0;
}

/* What node i's last operator gives: under the node's name, or, where codes are made of it, NAME.WHAT. */
static const char *result_name(struct exporter *e, int i, const char *what, struct message *m)
{
    if (!node_has_map(&e->model->graph, i))
        return node_at(e, i)->name;
    return builder_text(&e->b, m, "%s.%s", node_at(e, i)->name, what);
}

/* ---- layers ---- */

/* scale_x * scale_w[c] in f32, as the arithmetic has it. */
static const float *bias_scale(struct exporter *e, int i, struct message *m)
{
    const struct tensor *w = model_tensor(e->model, i, "weight_scale");
    const float x = *(const float *)model_tensor(e->model, node_at(e, i)->inputs[0], "scale")->data;
    float *scale = builder_new(&e->b, w->count, sizeof *scale, m);
    for (size_t c = 0; scale && c < w->count; c++)
        scale[c] = x * ((const float *)w->data)[c];
    return scale;
}

/* NAME.PART from codes: each output has its own scale, all zero points are 0. */
static int add_codes(struct exporter *e, int i, const char *part, enum onnx_type type, const float *scale,
                     const char **out, struct message *m)
{
    const struct tensor *t = model_tensor(e->model, i, part);
    const void *zeros = builder_new(&e->b, (size_t)t->shape[0], sizeof(int32_t), m);
    NAME(name, "%s.%s", node_at(e, i)->name, part);
    NAME(codes, "%s.codes", name);
    NAME(scale_name, "%s.scale", name);
    NAME(zero, "%s.zero_point", name);
    if (!zeros || !scale)
        return STATUS_NOMEM;
    TRY(add_tensor(e, codes, type, t, m));
    TRY(builder_constant(&e->b, scale_name, ONNX_FLOAT, 1, t->shape, scale, m));
    TRY(builder_constant(&e->b, zero, type, 1, t->shape, zeros, m));
    TRY(builder_node(&e->b, "DequantizeLinear", name, INPUTS(codes, scale_name, zero), m));
    *out = name;
    return builder_integer(&e->b, "axis", 0, m);
}

/* Names of weight and bias (NULL where there is none) as real numbers. */
static int add_weights(struct exporter *e, int i, const char **weight, const char **bias, struct message *m)
{
    *weight = *bias = NULL;
    if (node_is_integer(&e->model->graph, i)) {
        TRY(add_codes(e, i, "weight", ONNX_INT8, model_tensor(e->model, i, "weight_scale")->data, weight, m));
        return model_tensor(e->model, i, "bias") ? add_codes(e, i, "bias", ONNX_INT32, bias_scale(e, i, m), bias, m)
                                                 : 0;
    }
    const struct tensor *w = model_tensor(e->model, i, "weight"), *b = model_tensor(e->model, i, "bias");
    *weight = w->name;
    TRY(add_tensor(e, w->name, ONNX_FLOAT, w, m));
    if (!b)
        return 0;
    *bias = b->name;
    return add_tensor(e, b->name, ONNX_FLOAT, b, m);
}

static int write_relu(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *y = result_name(e, i, "relu", m);
    if (!y)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "Relu", y, INPUTS(x), m));
    return finish(e, i, y, m);
}

static int write_conv2d(struct exporter *e, int i, const char *x, struct message *m)
{
    const struct node *n = node_at(e, i);
    const int64_t kernel[] = {n->kernel, n->kernel}, stride[] = {n->stride, n->stride},
                  pads[] = {n->pad, n->pad, n->pad, n->pad};
    const char *weight, *bias;
    int is_integer = node_is_integer(&e->model->graph, i);
    if (is_integer && n->input_count > 1 && e->options->target == ONNX_FOR_RUNTIME)
        return message_set(
            m, STATUS_UNSUPPORTED,
            "%s: its residual is added before it is rounded; ONNX Runtime's integer operators round "
            "first, which would be another network: take --for openvino, which ONNX Runtime reads too",
            n->name);
    int steps = (n->input_count > 1) + n->has_relu;
    const char *sum = steps ? builder_text(&e->b, m, "%s.conv", n->name) : result_name(e, i, "conv", m);
    if (!sum)
        return STATUS_NOMEM;
    TRY(add_weights(e, i, &weight, &bias, m));
    TRY(builder_node(&e->b, "Conv", sum, INPUTS(x, weight, bias), m));
    TRY(builder_integers(&e->b, "kernel_shape", 2, kernel, m));
    TRY(builder_integers(&e->b, "strides", 2, stride, m));
    TRY(builder_integers(&e->b, "pads", 4, pads, m));
    TRY(builder_integer(&e->b, "group", n->groups, m));
    if (n->input_count > 1) {
        const char *added = n->has_relu ? builder_text(&e->b, m, "%s.add", n->name) : result_name(e, i, "add", m);
        if (!added)
            return STATUS_NOMEM;
        TRY(builder_node(&e->b, "Add", added, INPUTS(sum, e->values[n->inputs[1]]), m));
        sum = added;
    }
    return n->has_relu ? write_relu(e, i, sum, m) : finish(e, i, sum, m);
}

static int write_linear(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *weight, *bias, *y = output_name;
    if (i < e->model->graph.count - 1 && !(y = result_name(e, i, "gemm", m)))
        return STATUS_NOMEM;
    TRY(add_weights(e, i, &weight, &bias, m));
    TRY(builder_node(&e->b, "Gemm", y, INPUTS(x, weight, bias), m));
    TRY(builder_integer(&e->b, "transB", 1, m));
    return finish(e, i, y, m);
}

static int write_batchnorm(struct exporter *e, int i, const char *x, struct message *m)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const char *names[6] = {x};
    for (int k = 0; k < 4; k++) {
        const struct tensor *t = model_tensor(e->model, i, parts[k]);
        names[k + 1] = t->name;
        TRY(add_tensor(e, t->name, ONNX_FLOAT, t, m));
    }
    TRY(builder_node(&e->b, "BatchNormalization", node_at(e, i)->name, names, m));
    TRY(builder_number(&e->b, "epsilon", node_at(e, i)->eps, m));
    return finish(e, i, node_at(e, i)->name, m);
}

static int write_add(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *y = result_name(e, i, "add", m);
    if (!y)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "Add", y, INPUTS(x, e->values[node_at(e, i)->inputs[1]]), m));
    return finish(e, i, y, m);
}

static int write_avgpool(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *mean = result_name(e, i, "mean", m);
    if (!mean)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "GlobalAveragePool", mean, INPUTS(x), m));
    if (node_has_map(&e->model->graph, i))
        return add_pair(e, i, mean, 1, m);
    NAME(flat, "%s.flat", node_at(e, i)->name);
    e->values[i] = flat;
    return builder_node(&e->b, "Flatten", flat, INPUTS(mean), m);
}

static int write_same(struct exporter *e, int i, const char *x, struct message *m)
{
    return finish(e, i, x, m);
}

/* ---- the ends ---- */

static int write_input(struct exporter *e, int i, const char *x, struct message *m)
{
    (void)x, (void)m;
    e->values[i] = input_name;
    return 0;
}

/* (x/255 - mean) / std, in this order: the same f32 operations as the network's own. */
static int write_normalize(struct exporter *e, int i, const char *x, struct message *m)
{
    static const int64_t channels_first[] = {0, 3, 1, 2};
    const struct node *n = node_at(e, i);
    e->values[i] = x;
    if (!e->options->pixels)
        return 0;
    NAME(mean, "%s.mean", n->name);
    NAME(std, "%s.std", n->name);
    TRY(builder_node(&e->b, "Transpose", "image.planes", INPUTS(x), m));
    TRY(builder_integers(&e->b, "perm", 4, channels_first, m));
    TRY(builder_node(&e->b, "Cast", "image.numbers", INPUTS("image.planes"), m));
    TRY(builder_integer(&e->b, "to", ONNX_FLOAT, m));
    TRY(add_scalar(e, "image.white", 255, m));
    TRY(builder_node(&e->b, "Div", "image.shares", INPUTS("image.numbers", "image.white"), m));
    TRY(add_channels(e, mean, n->mean, n->c, m));
    TRY(builder_node(&e->b, "Sub", "image.centred", INPUTS("image.shares", mean), m));
    TRY(add_channels(e, std, n->std, n->c, m));
    e->values[i] = n->name;
    return builder_node(&e->b, "Div", n->name, INPUTS("image.centred", std), m);
}

typedef int write_function(struct exporter *e, int i, const char *x, struct message *m);

/* An op's form in the file; x: the real values of its first input. */
static write_function *const writers[OP_COUNT] = {
    [OP_INPUT] = write_input,         [OP_NORMALIZE] = write_normalize, [OP_CONV2D] = write_conv2d,
    [OP_BATCHNORM] = write_batchnorm, [OP_RELU] = write_relu,           [OP_ADD] = write_add,
    [OP_AVGPOOL] = write_avgpool,     [OP_LINEAR] = write_linear,       [OP_QUANTIZE] = write_same,
    [OP_DEQUANTIZE] = write_same,
};

/* "0.5,0.25,0.3" of node 1, which the graph's rules make the normalize. */
static int note_channels(struct exporter *e, const char *key, const float *values, int count, struct message *m)
{
    struct text t = {0};
    int status = 0;
    for (int c = 0; c < count && status >= 0; c++) {
        char number[32];
        format_number_f32(number, values[c]);
        status = text_add(&t, m, "%s%s", c ? "," : "[", number);
    }
    const char *own = status < 0 ? NULL : builder_text(&e->b, m, "%s]", t.data);
    text_free(&t);
    return own ? builder_note(&e->b, key, own, m) : STATUS_NOMEM;
}

static int add_notes(struct exporter *e, struct message *m)
{
    static const char *const left_out[] = {"graph", "stage", "format", "kind", "crc32", "mean", "std"};
    const struct record *r = e->model->record;
    const struct node *norm = node_at(e, 1);
    for (size_t i = 0; i < r->metadata_count; i++) {
        size_t k = 0, count = sizeof left_out / sizeof left_out[0];
        while (k < count && strcmp(r->metadata[i].key, left_out[k]) != 0)
            k++;
        if (k == count)
            TRY(builder_note(&e->b, r->metadata[i].key, r->metadata[i].value, m));
    }
    TRY(note_channels(e, "mean", norm->mean, norm->c, m));
    return note_channels(e, "std", norm->std, norm->c, m);
}

static int export_all(struct exporter *e, FILE *to, struct message *m)
{
    const struct graph *g = &e->model->graph;
    const struct node *image = &g->nodes[0], *last = &g->nodes[g->count - 1];
    struct builder_value input = {input_name, ONNX_FLOAT, 4, {-1, image->c, image->h, image->w}},
                         output = {output_name, ONNX_FLOAT, 2, {-1, last->c}};
    if (e->options->pixels)
        input = (struct builder_value){input_name, ONNX_UINT8, 4, {-1, image->h, image->w, image->c}};
    e->values = memory_new((size_t)g->count, sizeof *e->values, m);
    if (!e->values)
        return STATUS_NOMEM;
    for (int i = 0; i < g->count; i++) {
        const struct node *n = &g->nodes[i];
        if (!writers[n->op])
            return message_set(m, STATUS_UNSUPPORTED, "%s: %s has no form in ONNX here", n->name,
                               graph_op_name(n->op));
        TRY(writers[n->op](e, i, n->input_count > 0 ? e->values[n->inputs[0]] : NULL, m));
    }
    if (strcmp(e->values[g->count - 1], output_name) != 0)
        TRY(builder_node(&e->b, "Identity", output_name, INPUTS(e->values[g->count - 1]), m));
    TRY(add_notes(e, m));
    return builder_write(&e->b, &input, &output, to, m);
}

int onnx_export(const struct model *model, const struct onnx_export_options *options, FILE *to, struct message *m)
{
    struct exporter e = {.model = model, .options = options};
    int status = export_all(&e, to, m);
    memory_free(e.values);
    builder_free(&e.b);
    return status;
}

/* Constants, codes and weights in a file. */
#include "base/memory.h"
#include "graph/codes.h"
#include "graph/op.h"
#include "graph/schema.h"
#include "onnx/exporter.h"
#include "quant/affine.h"
#include <string.h>

/* ---- constants ---- */

int export_tensor(struct exporter *e, const char *name, enum onnx_type type, const struct tensor *t,
                  struct message *m)
{
    return builder_constant(&e->b, name, type, t->rank, t->shape, t->data, m);
}

int export_number(struct exporter *e, const char *name, float value, struct message *m)
{
    float *own = builder_new(&e->b, 1, sizeof *own, m);
    if (!own)
        return STATUS_NOMEM;
    *own = value;
    return builder_constant(&e->b, name, ONNX_FLOAT, 0, NULL, own, m);
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
                       export_node(e, i)->name, *zero);
}

/* The scale and zero point of codes node i as constants NAME.scale and NAME.zero_point. u8 codes less 128 are s8
 * codes with zero point 0. */
static int add_map(struct exporter *e, int i, const char **scale, const char **zero, struct message *m)
{
    static const int8_t signed_zero;
    int is_signed = e->options->target == ONNX_FOR_TENSORRT;
    const struct tensor *z = model_tensor(e->model, i, "zero_point");
    NAME(scale_name, "%s.scale", export_node(e, i)->name);
    NAME(zero_name, "%s.zero_point", export_node(e, i)->name);
    if (is_signed)
        TRY(check_symmetric(e, i, m));
    *scale = scale_name;
    *zero = zero_name;
    TRY(export_tensor(e, scale_name, ONNX_FLOAT, model_tensor(e->model, i, "scale"), m));
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
    NAME(low, "%s.low", export_node(e, i)->name);
    NAME(high, "%s.high", export_node(e, i)->name);
    NAME(cut, "%s.cut", export_node(e, i)->name);
    TRY(export_number(e, low, scale * (float)(range[0] - zero), m));
    TRY(export_number(e, high, scale * (float)(range[1] - zero), m));
    TRY(builder_node(&e->b, "Clip", cut, INPUTS(*x, low, high), m));
    *x = cut;
    return 0;
}

int export_clamps_codes(const struct exporter *e, int i)
{
    return e->options->target == ONNX_FOR_RUNTIME && node_is_integer(&e->model->graph, i) &&
           node_has_map(&e->model->graph, i);
}

/* The smallest and largest code of node i, its relu and its clip being clamps. */
static void code_ends(const struct exporter *e, int i, int *low, int *high)
{
    const struct node *n = export_node(e, i);
    const uint8_t *range = model_tensor(e->model, i, "range")->data;
    const struct affine map = {*(const float *)model_tensor(e->model, i, "scale")->data,
                               *(const uint8_t *)model_tensor(e->model, i, "zero_point")->data, range[0], range[1]};
    *low = n->has_relu && map.zero_point > map.qmin ? map.zero_point : map.qmin;
    *high = map.qmax;
    if (op_of(n)->integer != INTEGER_LAYER || !n->clip.on)
        return;
    int first = affine_quantize(&map, n->clip.low), last = affine_quantize(&map, n->clip.high);
    *low = *low < first ? first : *low > last ? last : *low;
    *high = *high < first ? first : *high > last ? last : *high;
}

static int add_code(struct exporter *e, const char *name, int value, struct message *m)
{
    uint8_t *own = builder_new(&e->b, 1, 1, m);
    if (!own)
        return STATUS_NOMEM;
    *own = (uint8_t)value;
    return builder_constant(&e->b, name, ONNX_UINT8, 0, NULL, own, m);
}

/* Codes of node i cut to their ends, where they are not all that a byte holds. */
static int add_code_cut(struct exporter *e, int i, const char **codes, struct message *m)
{
    int least, most;
    code_ends(e, i, &least, &most);
    if (least == 0 && most == UINT8_MAX)
        return 0;
    NAME(low, "%s.least", export_node(e, i)->name);
    NAME(high, "%s.most", export_node(e, i)->name);
    NAME(cut, "%s.cut", export_node(e, i)->name);
    TRY(add_code(e, low, least, m));
    TRY(add_code(e, high, most, m));
    TRY(builder_node(&e->b, "Clip", cut, INPUTS(*codes, low, high), m));
    *codes = cut;
    return 0;
}

int export_pair(struct exporter *e, int i, const char *x, int flatten, struct message *m)
{
    const char *scale, *zero;
    NAME(codes, "%s.codes", export_node(e, i)->name);
    int clamps = e->options->target == ONNX_FOR_RUNTIME;
    if (!clamps)
        TRY(add_cut(e, i, &x, m));
    TRY(add_map(e, i, &scale, &zero, m));
    TRY(builder_node(&e->b, "QuantizeLinear", codes, INPUTS(x, scale, zero), m));
    if (clamps)
        TRY(add_code_cut(e, i, &codes, m));
    if (flatten) {
        NAME(flat, "%s.flat", export_node(e, i)->name);
        TRY(builder_node(&e->b, "Flatten", flat, INPUTS(codes), m));
        codes = flat;
    }
    e->values[i] = export_node(e, i)->name;
    return builder_node(&e->b, "DequantizeLinear", e->values[i], INPUTS(codes, scale, zero), m);
}

int export_finish(struct exporter *e, int i, const char *x, struct message *m)
{
    if (node_has_map(&e->model->graph, i))
        return export_pair(e, i, x, 0, m);
    e->values[i] = x;
    return 0;
}

const char *export_result(struct exporter *e, int i, const char *what, struct message *m)
{
    if (!node_has_map(&e->model->graph, i))
        return export_node(e, i)->name;
    return builder_text(&e->b, m, "%s.%s", export_node(e, i)->name, what);
}

/* ---- weights ---- */

/* scale_x * scale_w[c] in f32, as the arithmetic has it. */
static const float *bias_scale(struct exporter *e, int i, struct message *m)
{
    const struct tensor *w = model_tensor(e->model, i, "weight_scale");
    const float x = *(const float *)model_tensor(e->model, export_node(e, i)->inputs[0], "scale")->data;
    float *scale = builder_new(&e->b, w->count, sizeof *scale, m);
    for (size_t c = 0; scale && c < w->count; c++)
        scale[c] = x * ((const float *)w->data)[c];
    return scale;
}

/* Weights of layer i, a byte a code and in the layer's shape, where the model has them
 * packed: into memory of the builder's. */
static int expand_codes(struct exporter *e, int i, const struct tensor *packed, struct tensor *t, struct message *m)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int count = node_tensors(&e->model->graph, i, specs), k = 0;
    size_t codes = model_weight_count(e->model, i);
    int8_t *data = builder_new(&e->b, codes, 1, m);
    if (!data)
        return STATUS_NOMEM;
    while (k < count - 1 && strcmp(specs[k].suffix, "weight") != 0)
        k++;
    codes_unpack(packed->data, codes, model_weight_bits(e->model, i), data);
    *t = (struct tensor){.name = packed->name,
                         .dtype = DTYPE_I8,
                         .rank = specs[k].rank,
                         .count = codes,
                         .bytes = codes,
                         .data = data};
    memcpy(t->shape, specs[k].shape, sizeof specs[k].shape);
    return 0;
}

/* NAME.PART from codes: each output has its own scale, all zero points are 0. */
static int add_codes(struct exporter *e, int i, const char *part, enum onnx_type type, const float *scale,
                     const char **out, struct message *m)
{
    const struct tensor *t = model_tensor(e->model, i, part);
    struct tensor expanded;
    if (t->dtype == DTYPE_U8) {
        TRY(expand_codes(e, i, t, &expanded, m));
        t = &expanded;
    }
    const void *zeros = builder_new(&e->b, (size_t)t->shape[0], sizeof(int32_t), m);
    NAME(name, "%s.%s", export_node(e, i)->name, part);
    NAME(codes, "%s.codes", name);
    NAME(scale_name, "%s.scale", name);
    NAME(zero, "%s.zero_point", name);
    if (!zeros || !scale)
        return STATUS_NOMEM;
    TRY(export_tensor(e, codes, type, t, m));
    TRY(builder_constant(&e->b, scale_name, ONNX_FLOAT, 1, t->shape, scale, m));
    TRY(builder_constant(&e->b, zero, type, 1, t->shape, zeros, m));
    TRY(builder_node(&e->b, "DequantizeLinear", name, INPUTS(codes, scale_name, zero), m));
    *out = name;
    return builder_integer(&e->b, "axis", 0, m);
}

int export_weights(struct exporter *e, int i, const char **weight, const char **bias, struct message *m)
{
    *weight = *bias = NULL;
    if (node_is_integer(&e->model->graph, i)) {
        TRY(add_codes(e, i, "weight", ONNX_INT8, model_tensor(e->model, i, "weight_scale")->data, weight, m));
        return model_tensor(e->model, i, "bias") ? add_codes(e, i, "bias", ONNX_INT32, bias_scale(e, i, m), bias, m)
                                                 : 0;
    }
    const struct tensor *w = model_tensor(e->model, i, "weight"), *b = model_tensor(e->model, i, "bias");
    *weight = w->name;
    TRY(export_tensor(e, w->name, ONNX_FLOAT, w, m));
    if (!b)
        return 0;
    *bias = b->name;
    return export_tensor(e, b->name, ONNX_FLOAT, b, m);
}

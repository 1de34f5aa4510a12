/* QuantizeLinear and DequantizeLinear. A layer whose input and weights are both dequantized codes is an integer layer
 * once its result is quantized: until then it is a SUM, to which a residual and a ReLU may be added. Signed codes are
 * ours less 128. */
#include "onnx/importer.h"
#include "base/memory.h"
#include "graph/op.h"
#include "quant/affine.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIGNED_ZERO = 128 };

/* ---- constants ---- */

/* The scales of codes k: one, or one a slice of axis 0. */
static int take_scales(const struct call *c, const struct constant *k, const struct constant **scale,
                       struct message *m)
{
    int64_t axis;
    TRY(call_constant(c, 1, "scale", scale, m));
    TRY(call_integer(c, "axis", 1, &axis, m));
    if ((*scale)->type != ONNX_FLOAT || (*scale)->scale)
        return message_set(m, STATUS_UNSUPPORTED, "scale is not of type float");
    if ((*scale)->count == 1)
        return 0;
    axis += axis < 0 ? k->rank : 0;
    if (k->rank < 1 || axis != 0 || (*scale)->count != (size_t)k->dims[0])
        return message_set(m, STATUS_UNSUPPORTED, "%zu scales along axis %lld: want one, or one an output, axis 0",
                           (*scale)->count, (long long)axis);
    return 0;
}

static int check_zeros(const struct call *c, struct message *m)
{
    const struct value *zero = call_input(c, 2);
    if (zero && zero->kind != VALUE_CONSTANT)
        return message_set(m, STATUS_UNSUPPORTED, "zero point '%s' is not a constant", zero->name);
    for (size_t i = 0; zero && i < zero->constant.count; i++)
        if (constant_integer(&zero->constant, i) != 0)
            return message_set(m, STATUS_UNSUPPORTED, "zero point %lld of weights: they are symmetric here, 0",
                               (long long)constant_integer(&zero->constant, i));
    return 0;
}

int fold_dequantize(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *codes = &c->in[0]->constant, *scale;
    (void)im;
    if (constant_is_float(codes) || codes->scale)
        return message_set(m, STATUS_MISMATCH, "'%s' is no tensor of codes", c->in[0]->name);
    TRY(take_scales(c, codes, &scale, m));
    TRY(check_zeros(c, m));
    TRY(fold_same(im, c, m));
    c->out->constant.scale = scale->data;
    c->out->constant.scale_count = scale->count;
    return 0;
}

int fold_quantize(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *x, *scale;
    void *data;
    (void)im;
    TRY(call_constant(c, 0, "input", &x, m));
    TRY(take_scales(c, x, &scale, m));
    TRY(check_zeros(c, m));
    const struct value *zero = call_input(c, 2);
    enum onnx_type type = zero ? zero->constant.type : ONNX_UINT8;
    if (type != ONNX_INT8 && type != ONNX_UINT8)
        return message_set(m, STATUS_UNSUPPORTED, "to element type %d, want int8", type);
    TRY(constant_new(&c->out->constant, type, x->rank, x->dims, &data, m));
    c->out->kind = VALUE_CONSTANT;
    double low = type == ONNX_INT8 ? -128 : 0;
    for (size_t i = 0; i < x->count; i++) {
        size_t slice = scale->count > 1 ? i / (x->count / scale->count) : 0;
        double q = (double)rintf((float)constant_number(x, i) / ((const float *)scale->data)[slice]);
        ((int8_t *)data)[i] = (int8_t)(q < low ? low : q > low + 255 ? low + 255 : q);
    }
    return 0;
}

/* ---- maps of activations ---- */

static int take_map(const struct call *c, struct codes_map *map, struct message *m)
{
    const struct constant *scale;
    const struct value *zero = call_input(c, 2);
    TRY(call_constant(c, 1, "scale", &scale, m));
    if (scale->count != 1 || scale->type != ONNX_FLOAT || scale->scale)
        return message_set(m, STATUS_UNSUPPORTED, "%zu scales of an activation: it has one here, of type float",
                           scale->count);
    *map = (struct codes_map){((const float *)scale->data)[0], 0};
    if (!isnormal(map->scale) || map->scale <= 0)
        return message_set(m, STATUS_RANGE, "scale %g is not a positive normal number", (double)map->scale);
    if (!zero)
        return 0;
    if (zero->kind != VALUE_CONSTANT || zero->constant.count != 1 ||
        (zero->constant.type != ONNX_UINT8 && zero->constant.type != ONNX_INT8))
        return message_set(m, STATUS_UNSUPPORTED, "zero point '%s' is no single uint8 or int8", zero->name);
    map->zero_point =
        (uint8_t)(constant_integer(&zero->constant, 0) + (zero->constant.type == ONNX_INT8 ? SIGNED_ZERO : 0));
    return 0;
}

static int is_map_of(const struct importer *im, int node, const struct codes_map *map)
{
    return *(const float *)model_tensor(im->model, node, "scale")->data == map->scale &&
           *(const uint8_t *)model_tensor(im->model, node, "zero_point")->data == map->zero_point;
}

/* Where nothing else reads node i and its codes are its own, they end at the clip; else it is a node of its own. */
static int is_end_of(const struct importer *im, const struct value *codes, int low, int high)
{
    const struct node *n = &im->model->graph.nodes[codes->node];
    int zero = *(const uint8_t *)model_tensor(im->model, codes->node, "zero_point")->data;
    return codes->uses == 1 && op_of(n)->integer != INTEGER_INPUT_MAP && low <= zero && zero <= high;
}

static int code_bound(const struct call *c, int k, int otherwise, int *out, struct message *m)
{
    const struct value *v = call_input(c, k);
    *out = otherwise;
    if (!v)
        return 0;
    if (v->kind != VALUE_CONSTANT || v->constant.count != 1 ||
        (v->constant.type != ONNX_UINT8 && v->constant.type != ONNX_INT8))
        return message_set(m, STATUS_UNSUPPORTED, "bound '%s' is no single uint8 or int8", v->name);
    *out = (int)constant_integer(&v->constant, 0) + (v->constant.type == ONNX_INT8 ? SIGNED_ZERO : 0);
    return 0;
}

int codes_clip(struct importer *im, const struct call *c, struct message *m)
{
    struct value *x = c->in[0];
    const float scale = *(const float *)model_tensor(im->model, x->node, "scale")->data;
    const int zero = *(const uint8_t *)model_tensor(im->model, x->node, "zero_point")->data;
    uint8_t *range = node_range(im, x->node);
    int low, high;
    TRY(code_bound(c, 1, 0, &low, m));
    TRY(code_bound(c, 2, UINT8_MAX, &high, m));
    low = low > range[0] ? low : range[0];
    high = high < range[1] ? high : range[1];
    if (low >= high)
        return message_set(m, STATUS_RANGE, "leaves no two codes");
    value_pass_on(x, c->out);
    if (low == range[0] && high == range[1])
        return 0;
    if (is_end_of(im, x, low, high)) {
        range[0] = (uint8_t)low;
        range[1] = (uint8_t)high;
        return 0;
    }
    int i = node_new(im, c, OP_CLIP, NULL, x->node, -1, m);
    TRY(i);
    im->model->graph.nodes[i].clip = (struct clip){1, scale * (float)(low - zero), scale * (float)(high - zero)};
    TRY(graph_verify_last(&im->model->graph, m));
    c->out->node = i;
    return node_repeat_map(im, i, m);
}

/* ---- to codes and back ---- */

/* The codes that a Clip before QuantizeLinear leaves. */
static int range_of(const struct value *x, const struct codes_map *map, uint8_t range[2], struct message *m)
{
    range[0] = 0;
    range[1] = UINT8_MAX;
    if (!x->has_cut)
        return 0;
    float low = rintf(x->low / map->scale) + (float)map->zero_point,
          high = rintf(x->high / map->scale) + (float)map->zero_point;
    if (!(low < high))
        return message_set(m, STATUS_RANGE, "the Clip before it leaves no two codes");
    range[0] = (uint8_t)(low > 0 ? low : 0);
    range[1] = (uint8_t)(high < UINT8_MAX ? high : UINT8_MAX);
    return 0;
}

/* "X.codes", as our own files call what QuantizeLinear gives of node X: X;
 * otherwise what the layer itself is called. */
static void codes_name(const struct importer *im, const struct call *c, const char *otherwise,
                       char out[NODE_NAME_SIZE])
{
    static const char suffix[] = ".codes";
    size_t length = strlen(c->out->name), less = sizeof suffix - 1;
    int is_ours =
        length > less && length - less < NODE_NAME_SIZE - 8 && strcmp(c->out->name + length - less, suffix) == 0;
    snprintf(out, NODE_NAME_SIZE, "%.*s", is_ours ? (int)(length - less) : NODE_NAME_SIZE - 1,
             is_ours ? c->out->name : otherwise);
    if (out[strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")] ||
        graph_find(&im->model->graph, out) >= 0)
        node_choose_name(im, c, NULL, out);
}

static int append_pending(struct importer *im, const struct call *c, const struct codes_map *map, struct message *m)
{
    const struct pending *p = c->in[0]->pending;
    char name[NODE_NAME_SIZE];
    uint8_t range[2];
    if (!p || c->in[0]->uses != 1)
        return message_set(m, STATUS_UNSUPPORTED, "'%s' is read more than once before it is quantized",
                           c->in[0]->name);
    TRY(range_of(c->in[0], map, range, m));
    if (p->node.op == OP_ADD && p->node.has_relu && map->zero_point > range[0])
        range[0] = map->zero_point; /* the clamp is its relu */
    codes_name(im, c, p->name, name);
    int i = pending_append(im, c, name, m);
    TRY(i);
    c->out->kind = VALUE_CODES;
    return node_map(im, i, map, range, m);
}

static int append_quantize(struct importer *im, const struct call *c, const struct codes_map *map,
                           struct message *m)
{
    uint8_t range[2];
    struct graph *g = &im->model->graph;
    char name[NODE_NAME_SIZE], otherwise[NODE_NAME_SIZE + 2];
    struct value whole = *c->in[0];
    TRY(range_of(&whole, map, range, m));
    whole.has_cut = 0;
    int x = value_f32(im, &whole, m);
    TRY(x);
    snprintf(otherwise, sizeof otherwise, "%s.q", g->nodes[x].name);
    codes_name(im, c, otherwise, name);
    int i = graph_append(g, OP_QUANTIZE, name, x, -1, m);
    TRY(i);
    TRY(node_finish(im, c, i, c->in[0]->rank == 2, m));
    c->out->kind = VALUE_CODES;
    return node_map(im, i, map, range, m);
}

int import_quantize(struct importer *im, const struct call *c, struct message *m)
{
    struct codes_map map;
    struct value *x = c->in[0];
    TRY(take_map(c, &map, m));
    if (x->kind == VALUE_SUM)
        return append_pending(im, c, &map, m);
    if (x->has_cut && value_is_codes(im, x))
        TRY(value_f32(im, x, m));
    if (!value_is_codes(im, x) || !is_map_of(im, x->node, &map))
        return append_quantize(im, c, &map, m);
    value_pass_on(x, c->out); /* back to the codes that it came from */
    c->out->kind = VALUE_CODES;
    return 0;
}

int import_dequantize(struct importer *im, const struct call *c, struct message *m)
{
    struct codes_map map;
    TRY(take_map(c, &map, m));
    if (c->in[0]->kind != VALUE_CODES)
        return message_set(m, STATUS_MISMATCH, "'%s' is not what QuantizeLinear gives", c->in[0]->name);
    if (!is_map_of(im, c->in[0]->node, &map))
        return message_set(m, STATUS_UNSUPPORTED,
                           "scale %.9g and zero point %d are not those that its codes were made by",
                           (double)map.scale, map.zero_point);
    value_pass_on(c->in[0], c->out);
    c->out->kind = VALUE_NODE;
    return 0;
}

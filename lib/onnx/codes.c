/* QuantizeLinear and DequantizeLinear. A layer whose input and weights are both dequantized codes is an integer layer once
 * its result is quantized: until then it is a SUM, to which a residual and a ReLU may be added. Signed codes are ours less
 * 128. */
#include "onnx/importer.h"
#include "base/memory.h"
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

struct map {
    float scale;
    uint8_t zero_point; /* of unsigned codes */
};

static int take_map(const struct call *c, struct map *map, struct message *m)
{
    const struct constant *scale;
    const struct value *zero = call_input(c, 2);
    TRY(call_constant(c, 1, "scale", &scale, m));
    if (scale->count != 1 || scale->type != ONNX_FLOAT || scale->scale)
        return message_set(m, STATUS_UNSUPPORTED, "%zu scales of an activation: it has one here, of type float",
                           scale->count);
    *map = (struct map){((const float *)scale->data)[0], 0};
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

static int is_map_of(const struct importer *im, int node, const struct map *map)
{
    return *(const float *)model_tensor(im->model, node, "scale")->data == map->scale &&
           *(const uint8_t *)model_tensor(im->model, node, "zero_point")->data == map->zero_point;
}

static int add_map(struct importer *im, int node, const struct map *map, const uint8_t range[2], struct message *m)
{
    const int64_t two = 2;
    TRY(node_tensor(im, node, "scale", DTYPE_F32, 0, NULL, &map->scale, m));
    TRY(node_tensor(im, node, "zero_point", DTYPE_U8, 0, NULL, &map->zero_point, m));
    return node_tensor(im, node, "range", DTYPE_U8, 1, &two, range, m);
}

/* ---- layers ---- */

int codes_layer(const struct importer *im, const struct call *c)
{
    const struct value *w = call_input(c, 1);
    return value_is_codes(im, c->in[0]) && w && w->kind == VALUE_CONSTANT && w->constant.scale &&
           (w->constant.type == ONNX_INT8 || w->constant.type == ONNX_INT4);
}

static float weight_scale_of(const struct constant *w, size_t output)
{
    return w->scale[w->scale_count > 1 ? output : 0];
}

/* The bias as codes on scale_x * scale_w[c], or the difference. */
static int check_bias(const struct importer *im, int x, const struct constant *w, const struct constant *b,
                      struct message *m)
{
    const float scale_x = *(const float *)model_tensor(im->model, x, "scale")->data;
    if (!b)
        return 0;
    if (b->type != ONNX_INT32 || !b->scale || b->count != (size_t)w->dims[0])
        return message_set(m, STATUS_UNSUPPORTED,
                           "its bias is not %lld dequantized int32 codes: here integer layers have such",
                           (long long)w->dims[0]);
    for (size_t i = 0; i < b->count; i++) {
        float have = b->scale[b->scale_count > 1 ? i : 0], want = scale_x * weight_scale_of(w, i);
        if (have != want)
            return message_set(m, STATUS_UNSUPPORTED,
                               "bias scale %.9g at index %zu is not that of input times weights, %.9g",
                               (double)have, i, (double)want);
    }
    return 0;
}

/* weight, weight_scale, bias and accumulator_bound of an appended integer layer. */
static int add_codes(struct importer *im, int node, const struct constant *w, const struct constant *b,
                     struct message *m)
{
    const int64_t outputs = w->dims[0];
    int x = im->model->graph.nodes[node].inputs[0];
    float *scales = memory_new((size_t)outputs, sizeof *scales, m);
    int32_t *bias = memory_new((size_t)outputs, sizeof *bias, m);
    int status = scales && bias ? 0 : STATUS_NOMEM;
    for (size_t i = 0; status >= 0 && i < (size_t)outputs; i++) {
        scales[i] = weight_scale_of(w, i);
        bias[i] = b ? ((const int32_t *)b->data)[i] : 0;
    }
    if (status >= 0)
        status = node_tensor(im, node, "weight", DTYPE_I8, w->rank, w->dims, w->data, m);
    if (status >= 0)
        status = node_tensor(im, node, "weight_scale", DTYPE_F32, 1, &outputs, scales, m);
    if (status >= 0)
        status = node_tensor(im, node, "bias", DTYPE_I32, 1, &outputs, bias, m);
    const uint8_t *zero = model_tensor(im->model, x, "zero_point")->data,
                  *range = model_tensor(im->model, x, "range")->data;
    int64_t bound = status < 0 ? 0
                               : accumulator_bound(w->data, bias, (int)outputs, (int)(w->count / (size_t)outputs),
                                                   *zero, range[0], range[1]);
    memory_free(scales);
    memory_free(bias);
    TRY(status);
    if (bound > INT32_MAX)
        return message_set(m, STATUS_RANGE, "its sums may leave 32 bits");
    return node_tensor(im, node, "accumulator_bound", DTYPE_I64, 0, NULL, &bound, m);
}

/* c's output: an integer layer that waits. */
static int wait_for(struct importer *im, const struct call *c, const struct pending *p, const char *stem,
                    struct message *m)
{
    struct pending *own = memory_new(1, sizeof *own, m);
    if (!own)
        return STATUS_NOMEM;
    *own = *p;
    own->x = c->in[0]->node;
    own->residual = -1;
    node_choose_name(im, c, stem, own->name);
    c->out->kind = VALUE_SUM;
    c->out->pending = own;
    c->out->rank = c->in[0]->rank;
    memcpy(c->out->dims, c->in[0]->dims, sizeof c->out->dims);
    return 0;
}

static int layer_constants(const struct importer *im, const struct call *c, const struct constant **w,
                           const struct constant **b, struct message *m)
{
    *b = NULL;
    TRY(call_constant(c, 1, "weights", w, m));
    if (call_input(c, 2))
        TRY(call_constant(c, 2, "bias", b, m));
    if ((*w)->rank < 2 || (*w)->dims[0] < 1 || (*w)->dims[0] > GRAPH_MAX_CHANNELS || (*w)->count < 1)
        return message_set(m, STATUS_UNSUPPORTED, "weights of %d dimensions, %lld outputs", (*w)->rank,
                           (long long)(*w)->dims[0]);
    return check_bias(im, c->in[0]->node, *w, *b, m);
}

int codes_conv(struct importer *im, const struct call *c, struct message *m)
{
    struct pending p = {.node = {.op = OP_CONV2D}};
    TRY(layer_constants(im, c, &p.weight, &p.bias, m));
    TRY(convolution_attributes(c, p.weight, &p.node, m));
    return wait_for(im, c, &p, c->in[1]->name, m);
}

int codes_average(struct importer *im, const struct call *c, int is_flat, struct message *m)
{
    const struct pending p = {.node = {.op = OP_AVGPOOL}, .is_flat = is_flat};
    return wait_for(im, c, &p, NULL, m);
}

int codes_gemm(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *w, *b;
    TRY(layer_constants(im, c, &w, &b, m));
    if (w->rank != 2 || c->in[0]->rank != 2 || !value_is_vector(im, c->in[0]))
        return message_set(m, STATUS_UNSUPPORTED, "input '%s' is no vector of each image", c->in[0]->name);
    int i = node_new(im, c, OP_LINEAR, c->in[1]->name, c->in[0]->node, -1, m);
    TRY(i);
    im->model->graph.nodes[i].out = (int)w->dims[0];
    im->model->graph.nodes[i].has_bias = 1;
    TRY(node_finish(im, c, i, 1, m));
    return add_codes(im, i, w, b, m);
}

/* The waiting layer of `sum` becomes c's output's, if nothing else wants it. */
static int move_pending(const struct call *c, struct value *sum, struct message *m)
{
    if (sum->uses != 1 || !sum->pending)
        return message_set(m, STATUS_UNSUPPORTED, "'%s' is read more than once before it is quantized", sum->name);
    c->out->kind = VALUE_SUM;
    c->out->pending = sum->pending;
    c->out->rank = sum->rank;
    memcpy(c->out->dims, sum->dims, sizeof sum->dims);
    sum->pending = NULL;
    return 0;
}

int codes_add(struct importer *im, const struct call *c, struct value *sum, struct value *other, struct message *m)
{
    const struct pending *p = sum->pending;
    if (!value_is_codes(im, other))
        return message_set(m, STATUS_UNSUPPORTED, "adds '%s', which is no codes, to a layer on codes", other->name);
    if (!p || p->residual >= 0 || p->node.has_relu || sum->has_cut || p->node.op != OP_CONV2D)
        return message_set(m, STATUS_UNSUPPORTED,
                           "a residual is added here to a convolution's sums alone, once, before its ReLU");
    TRY(move_pending(c, sum, m));
    c->out->pending->residual = other->node;
    return 0;
}

int codes_relu(struct importer *im, const struct call *c, struct message *m)
{
    (void)im;
    TRY(move_pending(c, c->in[0], m));
    if (c->in[0]->has_cut || c->out->pending->node.op != OP_CONV2D)
        return message_set(m, STATUS_UNSUPPORTED, "stands behind another step than a convolution or its residual");
    c->out->pending->node.has_relu = 1;
    return 0;
}

/* ---- to codes and back ---- */

/* The codes that a Clip before QuantizeLinear leaves. */
static int range_of(const struct value *x, const struct map *map, uint8_t range[2], struct message *m)
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

/* "X.codes", as our own files call what QuantizeLinear gives of node X: X; otherwise what the layer itself is called. */
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

static int append_pending(struct importer *im, const struct call *c, const struct map *map, struct message *m)
{
    struct graph *g = &im->model->graph;
    const struct pending *p = c->in[0]->pending;
    char name[NODE_NAME_SIZE];
    uint8_t range[2];
    if (!p || c->in[0]->uses != 1)
        return message_set(m, STATUS_UNSUPPORTED, "'%s' is read more than once before it is quantized",
                           c->in[0]->name);
    TRY(range_of(c->in[0], map, range, m));
    codes_name(im, c, p->name, name);
    int i = graph_append(g, p->node.op, name, p->x, p->residual, m);
    TRY(i);
    struct node *n = &g->nodes[i];
    if (p->weight) {
        n->out = p->node.out;
        n->kernel = p->node.kernel;
        n->stride = p->node.stride;
        n->pad = p->node.pad;
        n->groups = p->node.groups;
        n->has_bias = 1;
        n->has_relu = p->node.has_relu;
    }
    TRY(node_finish(im, c, i, p->is_flat, m));
    if (p->weight)
        TRY(add_codes(im, i, p->weight, p->bias, m));
    c->out->kind = VALUE_CODES;
    return add_map(im, i, map, range, m);
}

static int append_quantize(struct importer *im, const struct call *c, const struct map *map, struct message *m)
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
    return add_map(im, i, map, range, m);
}

int import_quantize(struct importer *im, const struct call *c, struct message *m)
{
    struct map map;
    struct value *x = c->in[0];
    TRY(take_map(c, &map, m));
    if (x->kind == VALUE_SUM)
        return append_pending(im, c, &map, m);
    if (!value_is_codes(im, x) || !is_map_of(im, x->node, &map))
        return append_quantize(im, c, &map, m);
    value_pass_on(x, c->out); /* back to the codes that it came from */
    c->out->kind = VALUE_CODES;
    return 0;
}

int import_dequantize(struct importer *im, const struct call *c, struct message *m)
{
    struct map map;
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

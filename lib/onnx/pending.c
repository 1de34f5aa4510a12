/* What is computed from codes, until QuantizeLinear says on which codes it is to be: a SUM.
 * What reads it in another way gets it in f32. */
#include "onnx/importer.h"
#include "base/memory.h"
#include "quant/affine.h"
#include <stdio.h>
#include <string.h>

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

/* c's output: what waits. Its inputs are those of c that p counts; their values are codes. */
static int wait_for(struct importer *im, const struct call *c, const struct pending *p, const char *stem,
                    struct message *m)
{
    struct pending *own = memory_new(1, sizeof *own, m);
    if (!own)
        return STATUS_NOMEM;
    *own = *p;
    for (int k = 0; k < own->node.input_count; k++)
        own->node.inputs[k] = c->in[k]->node;
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
    struct pending p = {.node = {.op = OP_CONV2D, .input_count = 1}};
    TRY(layer_constants(im, c, &p.weight, &p.bias, m));
    TRY(convolution_attributes(c, p.weight, &p.node, m));
    return wait_for(im, c, &p, c->in[1]->name, m);
}

int codes_average(struct importer *im, const struct call *c, int is_flat, struct message *m)
{
    const struct pending p = {.node = {.op = OP_AVGPOOL, .input_count = 1}, .is_flat = is_flat};
    TRY(wait_for(im, c, &p, NULL, m));
    c->out->rank = is_flat ? 2 : 4;
    c->out->dims[2] = c->out->dims[3] = 1;
    return 0;
}

int codes_windows(struct importer *im, const struct call *c, const struct node *window, struct message *m)
{
    struct pending p = {.node = *window};
    p.node.op = OP_AVGPOOL;
    p.node.input_count = 1;
    return wait_for(im, c, &p, NULL, m);
}

int codes_gemm(struct importer *im, const struct call *c, struct message *m)
{
    struct pending p = {.node = {.op = OP_LINEAR, .input_count = 1}};
    TRY(layer_constants(im, c, &p.weight, &p.bias, m));
    if (p.weight->rank != 2 || c->in[0]->rank != 2 || !value_is_vector(im, c->in[0]))
        return message_set(m, STATUS_UNSUPPORTED, "input '%s' is no vector of each image", c->in[0]->name);
    p.node.out = (int)p.weight->dims[0];
    TRY(wait_for(im, c, &p, c->in[1]->name, m));
    c->out->dims[1] = p.node.out;
    return 0;
}

int codes_sum(struct importer *im, const struct call *c, struct message *m)
{
    const struct pending p = {.node = {.op = OP_ADD, .input_count = 2, .is_separate = 1}};
    return wait_for(im, c, &p, NULL, m);
}

int codes_concat(struct importer *im, const struct call *c, struct message *m)
{
    const struct pending p = {.node = {.op = OP_CONCAT, .input_count = c->count}};
    TRY(wait_for(im, c, &p, NULL, m));
    for (int k = 1; k < c->count; k++)
        c->out->dims[1] += c->in[k]->dims[1];
    return 0;
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
    if (!p || p->node.input_count > 1 || p->node.has_relu || sum->has_cut || p->node.op != OP_CONV2D)
        return message_set(m, STATUS_UNSUPPORTED,
                           "a residual is added here to a convolution's sums alone, once, before its ReLU");
    TRY(move_pending(c, sum, m));
    c->out->pending->node.inputs[c->out->pending->node.input_count++] = other->node;
    return 0;
}

int codes_relu(struct importer *im, const struct call *c, struct message *m)
{
    (void)im;
    TRY(move_pending(c, c->in[0], m));
    enum graph_op op = c->out->pending->node.op;
    if (c->in[0]->has_cut || (op != OP_CONV2D && op != OP_LINEAR && op != OP_ADD))
        return message_set(m, STATUS_UNSUPPORTED, "stands behind another step than a layer, its residual or a sum");
    c->out->pending->node.has_relu = 1;
    return 0;
}

/* ---- nodes ---- */

/* Appends p's node with these inputs, NULL: its own. */
static int append(struct importer *im, const struct pending *p, const char *name, const int *inputs,
                  struct message *m)
{
    struct graph *g = &im->model->graph;
    int i = graph_append(g, p->node.op, name, -1, -1, m);
    TRY(i);
    struct node copy = p->node;
    memcpy(copy.name, g->nodes[i].name, sizeof copy.name);
    if (inputs)
        memcpy(copy.inputs, inputs, sizeof copy.inputs);
    copy.has_bias = p->weight != NULL;
    g->nodes[i] = copy;
    return i;
}

int pending_append(struct importer *im, const struct call *c, const char *name, struct message *m)
{
    const struct pending *p = c->in[0]->pending;
    int i = append(im, p, name, NULL, m);
    TRY(i);
    struct node *n = &im->model->graph.nodes[i];
    n->requantizes = n->op == OP_LINEAR;
    if (n->op == OP_ADD)
        n->has_relu = 0; /* its codes' range says it */
    TRY(node_finish(im, c, i, p->is_flat || c->in[0]->rank == 2, m));
    if (p->weight)
        TRY(add_codes(im, i, p->weight, p->bias, m));
    return i;
}

static int append_relu(struct importer *im, const struct pending *p, int x, struct message *m)
{
    char name[NODE_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s_relu", p->name);
    int i = graph_append(&im->model->graph, OP_RELU, name, x, -1, m);
    TRY(i);
    TRY(graph_verify_last(&im->model->graph, m));
    return i;
}

int pending_settle(struct importer *im, struct value *v, struct message *m)
{
    struct graph *g = &im->model->graph;
    const struct pending *p = v->pending;
    int inputs[NODE_MAX_INPUTS] = {0}, i;
    if (!p || p->node.op == OP_CONV2D)
        return message_set(
            m, STATUS_UNSUPPORTED,
            "input '%s' is an integer layer's result that was not quantized, which the arithmetic here "
            "does not have",
            v->name);
    for (int k = 0; k < p->node.input_count; k++)
        TRY(inputs[k] = p->weight ? p->node.inputs[k] : value_dequantized(im, p->node.inputs[k], m));
    TRY(i = append(im, p, p->name, inputs, m));
    g->nodes[i].has_relu = g->nodes[i].is_separate = 0;
    TRY(graph_verify_last(g, m));
    if (p->weight)
        TRY(add_codes(im, i, p->weight, p->bias, m));
    if (p->node.has_relu)
        TRY(i = append_relu(im, p, i, m));
    const struct node *n = &g->nodes[i];
    v->kind = VALUE_NODE;
    v->node = i;
    v->dims[1] = n->c;
    v->dims[2] = n->h;
    v->dims[3] = n->w;
    v->rank = n->is_vector && (p->is_flat || p->weight || v->rank == 2) ? 2 : 4;
    v->channels_last = 0;
    return i;
}

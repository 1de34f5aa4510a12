/* What each kind of step becomes: its constants, and the line of NAME_run that calls it. */
#include "emit/emit_state.h"
#include "exec/plan/shapes.h"
#include "graph/op.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_SIZE = 8 * IDENTIFIER_SIZE };

#define SCALE_LIMIT 18446744073709551616.0f /* 2^64: beyond, single precision may overflow where integers do not */

static const struct node *node_at(const struct emit *e, int i)
{
    return &e->model->graph.nodes[i];
}

/* What a call reads and writes, and its constants. */
struct names {
    char layer[IDENTIFIER_SIZE], x[IDENTIFIER_SIZE], other[IDENTIFIER_SIZE], y[IDENTIFIER_SIZE];
};

void value_name(const struct emit *e, int node, char out[IDENTIFIER_SIZE])
{
    if (node < 0)
        snprintf(out, IDENTIFIER_SIZE, "NULL");
    else if (node == 0)
        snprintf(out, IDENTIFIER_SIZE, "image");
    else if (node == e->model->graph.count - 1)
        snprintf(out, IDENTIFIER_SIZE, "logits");
    else
        identifier(out, node_at(e, node)->name, "_out", node);
}

static struct names names_of(const struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    struct names n;
    constant_name(e, i, "", n.layer);
    value_name(e, s->x, n.x);
    value_name(e, s->other, n.other);
    value_name(e, s->output, n.y);
    return n;
}

static size_t elements_of(const struct emit *e, int node)
{
    return node_elements(node_at(e, node));
}

/* "    conv_codes(&l3_conv1, v2_.., NULL, v3_..); " with a comment that says which node it is. */
static void put_call(struct emit *e, int i, const char *function, const char *arguments)
{
    const struct step *s = &e->steps.at[i];
    char type[64];
    node_describe(node_at(e, s->output), type);
    put(e, &e->calls, "    %s(%s); /* %s: %s */\n", function, arguments, node_at(e, s->output)->name, type);
}

/* Fails where a scale is nothing that the code computes with. */
static void check_scale(struct emit *e, int i, float scale, int is_logit)
{
    float least = is_logit ? SMALLEST_NORMAL : 0;
    if (e->status >= 0 && !(scale >= least && scale < SCALE_LIMIT))
        emit_fail(e, message_set(e->m, STATUS_UNSUPPORTED, "%s: a multiplier of %g is not in %g..2^64",
                                 node_at(e, e->steps.at[i].node)->name, (double)scale, (double)least));
}

/* ---- convolutions ---- */

static void put_channels(struct emit *e, int i, const char *name, int is_logits)
{
    const struct requantize *rq = &e->constants[i].requantize;
    int outputs = e->steps.at[i].shape.out;
    struct text *t = &e->tables;
    put(e, t, "static const struct channel %s[%d] = {\n", name, outputs);
    for (int k = 0; k < outputs && e->status >= 0; k++) {
        check_scale(e, i, rq->multiplier[k], is_logits);
        put(e, t, "%s{%ld, ", k % 4 == 0 ? "    " : " ", (long)rq->bias[k]);
        put_real(e, t, rq->multiplier[k]);
        put(e, t, "},%s", k % 4 == 3 || k + 1 == outputs ? "\n" : "");
    }
    put(e, t, "};\n");
}

static void put_shape(struct emit *e, int i)
{
    const struct conv_shape *s = &e->steps.at[i].shape;
    const struct node *n = node_at(e, e->steps.at[i].node);
    put(e, &e->tables,
        "    .height = %d, .width = %d, .channels = %d, .out_height = %d, .out_width = %d, .outputs = %d,\n"
        "    .kernel = %d, .stride = %d, .pad = %d, .groups = %d,\n",
        s->h, s->w, s->c, s->out_h, s->out_w, s->out, s->kernel, s->stride, s->pad,
        n->op == OP_CONV2D ? n->groups : 1);
}

static void conv_codes(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const struct requantize *rq = &e->constants[i].requantize;
    int is_logits = node_at(e, s->output)->type != NODE_U8;
    struct names n = names_of(e, i);
    char weights[POINTER_SIZE], channels[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    int bits = put_weights(e, i, weights);
    constant_name(e, i, "_channels", channels);
    put_channels(e, i, channels, is_logits);
    put(e, &e->tables, "static const struct conv %s = {\n", n.layer);
    put_shape(e, i);
    put(e, &e->tables, "    .zero = %d, .out_zero = %d, .low = %d, .high = %d", rq->zero_point_x, rq->zero_point_y,
        rq->low, rq->high);
    check_scale(e, i, rq->residual_multiplier, 0);
    if (s->other >= 0) {
        put(e, &e->tables, ", .other_zero = %d, .other_scale = ", rq->residual_zero_point);
        put_real(e, &e->tables, rq->residual_multiplier);
    }
    put(e, &e->tables, ",\n    .channel = %s, .bits = %d,\n    .weights = %s};\n\n", channels, bits, weights);
    need(e, is_logits ? PIECE_linear_codes : PIECE_conv_codes);
    if (is_logits)
        snprintf(arguments, sizeof arguments, "&%s, %s, %s, %s", n.layer, n.x, n.y, bits < 8 ? "room" : "NULL");
    else
        snprintf(arguments, sizeof arguments, "&%s, %s, %s, %s, %s", n.layer, n.x, n.other, n.y,
                 bits < 8 ? "room" : "NULL");
    put_call(e, i, is_logits ? "linear_codes" : "conv_codes", arguments);
}

/* name: filled in, for the call. */
static void put_float_array(struct emit *e, int i, const char *what, const float *v, int count,
                            char name[IDENTIFIER_SIZE])
{
    constant_name(e, i, what, name);
    put(e, &e->tables, "static const float %s[%d] = {\n", name, count);
    put_floats(e, &e->tables, v, (size_t)count);
    put(e, &e->tables, "};\n");
}

/* y = x * scale + shift [+ other] [relu]: a batch norm, behind its convolution or alone. */
static void put_norm(struct emit *e, int i, const char *x, int other, int relu)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    struct names n = names_of(e, i);
    int channels = node_at(e, s->output)->c;
    char added[IDENTIFIER_SIZE], scale[IDENTIFIER_SIZE], shift[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    value_name(e, other, added);
    put_float_array(e, i, "_scale", c->scale, channels, scale);
    put_float_array(e, i, "_shift", c->shift, channels, shift);
    put(e, &e->tables, "\n");
    snprintf(arguments, sizeof arguments, "%s, %zu, %d, %s, %s, %s, %d, %s", x, elements_of(e, s->output), channels,
             scale, shift, added, relu, n.y);
    need(e, PIECE_scale_shift);
    put_call(e, i, "scale_shift", arguments);
}

static void conv_floats(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const float *bias = e->constants[i].bias;
    struct names n = names_of(e, i);
    char weights[POINTER_SIZE], biases[IDENTIFIER_SIZE] = "NULL", arguments[ARGUMENTS_SIZE];
    put_weights(e, i, weights);
    if (bias)
        put_float_array(e, i, "_bias", bias, s->shape.out, biases);
    put(e, &e->tables, "static const struct conv_floats %s = {\n", n.layer);
    put_shape(e, i);
    put(e, &e->tables, "    .relu = %d,\n    .bias = %s,\n    .weights = %s};\n", s->norm >= 0 ? 0 : s->relu,
        biases, weights);
    snprintf(arguments, sizeof arguments, "&%s, %s, %s, %s", n.layer, n.x, n.other, n.y);
    need(e, PIECE_conv_floats);
    put_call(e, i, "conv_floats", arguments);
    if (s->norm >= 0)
        put_norm(e, i, n.y, s->norm_other, s->relu);
    else
        put(e, &e->tables, "\n");
}

/* ---- the rest ---- */

static void norm_floats(struct emit *e, int i)
{
    struct names n = names_of(e, i);
    put_norm(e, i, n.x, -1, 0);
}

static void put_lookup(struct emit *e, int i, int channels)
{
    struct names n = names_of(e, i);
    char arguments[ARGUMENTS_SIZE];
    put(e, &e->tables, "static const uint8_t %s[%d] = {\n", n.layer, 256 * channels);
    put_bytes(e, &e->tables, e->constants[i].table, 256 * (size_t)channels);
    put(e, &e->tables, "};\n\n");
    snprintf(arguments, sizeof arguments, "%s, %zu, %d, %s, %s", n.x, elements_of(e, e->steps.at[i].output),
             channels, n.layer, n.y);
    need(e, PIECE_lookup);
    put_call(e, i, "lookup", arguments);
}

static void pixels_to_codes(struct emit *e, int i)
{
    put_lookup(e, i, node_at(e, 0)->c);
}

static void relu_codes(struct emit *e, int i)
{
    put_lookup(e, i, 1);
}

static void normalize(struct emit *e, int i)
{
    const struct node *node = node_at(e, e->steps.at[i].node);
    struct names n = names_of(e, i);
    char mean[IDENTIFIER_SIZE], deviation[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    put_float_array(e, i, "_mean", node->mean, node->c, mean);
    put_float_array(e, i, "_deviation", node->std, node->c, deviation);
    put(e, &e->tables, "\n");
    snprintf(arguments, sizeof arguments, "%s, %zu, %d, %s, %s, %s", n.x, node_elements(node), node->c, mean,
             deviation, n.y);
    need(e, PIECE_normalize);
    put_call(e, i, "normalize", arguments);
}

static void pool_codes(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = node_at(e, s->x);
    const struct affine *from = &e->constants[i].map_x, *to = &e->constants[i].map_y;
    struct names n = names_of(e, i);
    char arguments[ARGUMENTS_SIZE];
    float scale = pool_multiplier(from, to, x->h * x->w);
    check_scale(e, i, scale, 0);
    put(e, &e->tables,
        "static const struct pool %s = {\n"
        "    .pixels = %d, .channels = %d, .zero = %d, .out_zero = %d, .low = %d, .high = %d, .scale = ",
        n.layer, x->h * x->w, x->c, from->zero_point, to->zero_point, to->qmin, to->qmax);
    put_real(e, &e->tables, scale);
    put(e, &e->tables, "};\n\n");
    snprintf(arguments, sizeof arguments, "&%s, %s, %s", n.layer, n.x, n.y);
    need(e, PIECE_pool_codes);
    put_call(e, i, "pool_codes", arguments);
}

static void pool_floats(struct emit *e, int i)
{
    const struct node *x = node_at(e, e->steps.at[i].x);
    struct names n = names_of(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %d, %d, %s", n.x, x->h * x->w, x->c, n.y);
    need(e, PIECE_pool_floats);
    put_call(e, i, "pool_floats", arguments);
}

static void relu_floats(struct emit *e, int i)
{
    struct names n = names_of(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %zu, %s", n.x, elements_of(e, e->steps.at[i].output), n.y);
    need(e, PIECE_relu_floats);
    put_call(e, i, "relu_floats", arguments);
}

static void add_floats(struct emit *e, int i)
{
    struct names n = names_of(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %s, %zu, %s", n.x, n.other, elements_of(e, e->steps.at[i].output),
             n.y);
    need(e, PIECE_add_floats);
    put_call(e, i, "add_floats", arguments);
}

static void put_conversion(struct emit *e, int i, const struct affine *map, enum piece piece, const char *function)
{
    struct names n = names_of(e, i);
    char arguments[ARGUMENTS_SIZE], scale[FLOAT_WORD];
    float_word(scale, map->scale);
    put(e, &e->tables, "static const struct map %s = {.scale = %s, .zero = %d, .low = %d, .high = %d};\n\n",
        n.layer, scale, map->zero_point, map->qmin, map->qmax);
    snprintf(arguments, sizeof arguments, "&%s, %s, %zu, %s", n.layer, n.x, elements_of(e, e->steps.at[i].output),
             n.y);
    need(e, piece);
    put_call(e, i, function, arguments);
}

static void quantize(struct emit *e, int i)
{
    put_conversion(e, i, &e->constants[i].map_y, PIECE_quantize, "quantize");
}

static void dequantize(struct emit *e, int i)
{
    put_conversion(e, i, &e->constants[i].map_x, PIECE_dequantize, "dequantize");
}

/* ---- the table ---- */

/* A step on floats (and between floats and codes), and on codes. */
static const struct {
    void (*floats)(struct emit *e, int i);
    void (*codes)(struct emit *e, int i);
} writers[STEP_KINDS] = {
    [STEP_NORMALIZE] = {normalize, NULL},    [STEP_LOOKUP] = {pixels_to_codes, NULL},
    [STEP_CONV] = {conv_floats, conv_codes}, [STEP_NORM] = {norm_floats, NULL},
    [STEP_RELU] = {relu_floats, relu_codes}, [STEP_ADD] = {add_floats, NULL},
    [STEP_POOL] = {pool_floats, pool_codes}, [STEP_QUANTIZE] = {quantize, NULL},
    [STEP_DEQUANTIZE] = {dequantize, NULL},
};

/* The options of each op that the code heeds, a space around each; NULL: no op that it knows. */
static const char *const known[OP_COUNT] = {
    [OP_INPUT] = "",
    [OP_NORMALIZE] = " mean std ",
    [OP_CONV2D] = " out kernel stride pad groups bias add relu ",
    [OP_BATCHNORM] = " eps ",
    [OP_RELU] = "",
    [OP_ADD] = "",
    [OP_AVGPOOL] = "",
    [OP_LINEAR] = " out bias ",
    [OP_QUANTIZE] = "",
    [OP_DEQUANTIZE] = "",
};

int emit_check_node(const struct node *n, struct message *m)
{
    char word[NODE_NAME_SIZE];
    if (n->op >= OP_COUNT || !known[n->op])
        return message_set(m, STATUS_UNSUPPORTED, "%s: there is no C code for %s", n->name, graph_op_name(n->op));
    for (const struct attribute *a = op_of(n)->attributes; a && a->name; a++) {
        snprintf(word, sizeof word, " %s ", a->name);
        if (attribute_is_given(a, n) && !strstr(known[n->op], word))
            return message_set(m, STATUS_UNSUPPORTED, "%s: there is no C code for %s with %s", n->name,
                               graph_op_name(n->op), a->name);
    }
    return 0;
}

void put_step(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    void (*writer)(struct emit *, int) = s->is_integer ? writers[s->kind].codes : writers[s->kind].floats;
    const struct node *n = node_at(e, s->node);
    if (writer && e->status >= 0)
        writer(e, i);
    else if (e->status >= 0)
        emit_fail(e, message_set(e->m, STATUS_UNSUPPORTED, "%s: there is no C code for %s of %s", n->name,
                                 graph_op_name(n->op), s->is_integer ? "codes" : "floats"));
}

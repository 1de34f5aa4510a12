/* Types and shapes, node by node: what a graph must satisfy before anything else may look at it. */
#include "graph/graph.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bounds that keep every later size computation inside an int64_t and per-output sizes inside an int. */
enum { MAX_KERNEL = 64, MAX_ELEMENTS = 1 << 28 };

void node_describe(const struct node *n, char out[64])
{
    const char *type = n->type == NODE_U8 ? "u8" : "f32";
    if (n->is_vector)
        snprintf(out, 64, "%s[%d]", type, n->c);
    else
        snprintf(out, 64, "%s[%d,%d,%d]", type, n->h, n->w, n->c);
}

static int check_name(const struct graph *g, int i, struct message *m)
{
    const char *name = g->nodes[i].name;
    if (memchr(name, '\0', NODE_NAME_SIZE) == NULL || name[0] == '\0')
        return message_set(m, STATUS_RANGE, "node %d: name is empty or too long", i);
    for (const char *p = name; *p; p++) {
        int legal = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' ||
                    *p == '.';
        if (!legal)
            return message_set(m, STATUS_RANGE, "node name '%s' holds other than A-Z a-z 0-9 _ .", name);
    }
    if (graph_find(g, name) != i)
        return message_set(m, STATUS_RANGE, "node '%s' is defined twice", name);
    return 0;
}

static int check_inputs(const struct graph *g, int i, struct message *m)
{
    static const struct {
        int low, high;
    } arity[OP_COUNT] = {{0, 0}, {1, 1}, {1, 2}, {1, 1}, {1, 1}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    const struct node *n = &g->nodes[i];
    if (n->input_count < arity[n->op].low || n->input_count > arity[n->op].high)
        return message_set(m, STATUS_RANGE, "%s takes %d inputs, got %d", graph_op_name(n->op), arity[n->op].low,
                           n->input_count);
    for (int k = 0; k < n->input_count; k++) {
        if (n->inputs[k] < 0 || n->inputs[k] >= i)
            return message_set(m, STATUS_RANGE, "input %d does not stand before its user", k);
        if (g->nodes[n->inputs[k]].op == OP_INPUT && n->op != OP_NORMALIZE)
            return message_set(m, STATUS_MISMATCH, "only normalize may read the input");
    }
    return (n->op == OP_INPUT) == (i == 0)
               ? 0
               : message_set(m, STATUS_RANGE, "the first node, and no other, is the input");
}

static int check_integer(const char *what, int value, int low, int high, struct message *m)
{
    if (value >= low && value <= high)
        return 0;
    return message_set(m, STATUS_RANGE, "%s=%d is not in %d..%d", what, value, low, high);
}

static int check_conv(struct node *n, const struct node *x, struct message *m)
{
    if (x->is_vector)
        return message_set(m, STATUS_MISMATCH, "conv2d wants [H,W,C], got a vector");
    TRY(check_integer("out", n->out, 1, GRAPH_MAX_CHANNELS, m));
    TRY(check_integer("kernel", n->kernel, 1, MAX_KERNEL, m));
    TRY(check_integer("stride", n->stride, 1, MAX_KERNEL, m));
    TRY(check_integer("pad", n->pad, 0, n->kernel - 1, m));
    TRY(check_integer("groups", n->groups, 1, GRAPH_MAX_CHANNELS, m));
    if (x->c % n->groups != 0 || n->out % n->groups != 0)
        return message_set(m, STATUS_RANGE, "groups=%d does not divide %d and %d channels", n->groups, x->c,
                           n->out);
    if (x->h + 2 * n->pad < n->kernel || x->w + 2 * n->pad < n->kernel)
        return message_set(m, STATUS_RANGE, "kernel=%d is larger than the padded input", n->kernel);
    if ((double)n->out * (x->c / n->groups) * n->kernel * n->kernel > MAX_ELEMENTS)
        return message_set(m, STATUS_RANGE, "more than %d weights", MAX_ELEMENTS);
    n->h = (x->h + 2 * n->pad - n->kernel) / n->stride + 1;
    n->w = (x->w + 2 * n->pad - n->kernel) / n->stride + 1;
    n->c = n->out;
    n->type = x->type;
    return 0;
}

static int check_same_shape(const struct node *a, const struct node *b, const char *what, struct message *m)
{
    char left[64], right[64];
    if (a->type == b->type && a->h == b->h && a->w == b->w && a->c == b->c && a->is_vector == b->is_vector)
        return 0;
    node_describe(a, left);
    node_describe(b, right);
    return message_set(m, STATUS_MISMATCH, "%s of %s and %s", what, left, right);
}

static int check_normalize(const struct node *n, const struct node *x, struct message *m)
{
    if (x->op != OP_INPUT)
        return message_set(m, STATUS_MISMATCH, "normalize reads the input, not a computed value");
    for (int c = 0; c < x->c; c++)
        if (!isfinite(n->mean[c]) || !isnormal(n->std[c]) || n->std[c] <= 0)
            return message_set(m, STATUS_RANGE, "mean and std must be finite, std > 0");
    return 0;
}

static int check_float_input(const struct node *n, const struct node *x, struct message *m)
{
    if (x->type == NODE_F32)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s wants f32, got u8", graph_op_name(n->op));
}

/* The type and shape of node i from those of its inputs. n starts as a copy of x's. */
static int infer_op(struct node *n, const struct node *x, const struct node *r, struct message *m)
{
    switch (n->op) {
    case OP_NORMALIZE:
        n->type = NODE_F32;
        return check_normalize(n, x, m);
    case OP_CONV2D:
        TRY(check_conv(n, x, m));
        return r ? check_same_shape(n, r, "conv2d cannot add: residual", m) : 0;
    case OP_BATCHNORM:
        if (!(n->eps >= 0 && n->eps <= 1))
            return message_set(m, STATUS_RANGE, "eps is not in 0..1");
        return check_float_input(n, x, m);
    case OP_RELU:
        return 0;
    case OP_ADD:
        TRY(check_float_input(n, x, m));
        return check_same_shape(x, r, "cannot add: operands", m);
    case OP_AVGPOOL:
        if (x->is_vector)
            return message_set(m, STATUS_MISMATCH, "avgpool wants [H,W,C], got a vector");
        n->h = n->w = n->is_vector = 1;
        return 0;
    case OP_LINEAR:
        if (!x->is_vector)
            return message_set(m, STATUS_MISMATCH, "linear wants a vector [C]");
        TRY(check_integer("out", n->out, 1, GRAPH_MAX_CHANNELS, m));
        if ((double)n->out * x->c > MAX_ELEMENTS)
            return message_set(m, STATUS_RANGE, "more than %d weights", MAX_ELEMENTS);
        n->c = n->out;
        n->type = NODE_F32;
        return 0;
    case OP_QUANTIZE:
        n->type = NODE_U8;
        return check_float_input(n, x, m);
    case OP_DEQUANTIZE:
        n->type = NODE_F32;
        return x->type == NODE_U8 ? 0 : message_set(m, STATUS_MISMATCH, "dequantize wants u8, got f32");
    default:
        return message_set(m, STATUS_RANGE, "unknown operation");
    }
}

static int check_extent(const struct node *n, struct message *m)
{
    TRY(check_integer("height", n->h, 1, GRAPH_MAX_SIDE, m));
    TRY(check_integer("width", n->w, 1, GRAPH_MAX_SIDE, m));
    TRY(check_integer("channels", n->c, 1, GRAPH_MAX_CHANNELS, m));
    if ((double)n->h * n->w * n->c > MAX_ELEMENTS)
        return message_set(m, STATUS_RANGE, "more than %d elements", MAX_ELEMENTS);
    return 0;
}

static int verify_node(struct graph *g, int i, struct message *m)
{
    struct node *n = &g->nodes[i];
    if ((unsigned)n->op >= OP_COUNT)
        return message_set(m, STATUS_RANGE, "unknown operation");
    TRY(check_inputs(g, i, m));
    if (n->op == OP_INPUT) {
        n->type = NODE_U8;
        n->is_vector = 0;
        TRY(check_integer("channels", n->c, 1, 4, m));
        return check_extent(n, m);
    }
    const struct node *x = &g->nodes[n->inputs[0]];
    n->type = x->type;
    n->h = x->h;
    n->w = x->w;
    n->c = x->c;
    n->is_vector = x->is_vector;
    TRY(infer_op(n, x, n->input_count > 1 ? &g->nodes[n->inputs[1]] : NULL, m));
    return check_extent(n, m);
}

static int verify_at(struct graph *g, int i, struct message *m)
{
    TRY(check_name(g, i, m));
    int status = verify_node(g, i, m);
    return status < 0 ? message_prefix(m, status, "node '%s'", g->nodes[i].name) : 0;
}

int graph_verify_last(struct graph *g, struct message *m)
{
    return verify_at(g, g->count - 1, m);
}

/* Which nodes are read, by one sweep instead of graph_uses for each. */
static int check_all_used(const struct graph *g, struct message *m)
{
    unsigned char used[GRAPH_MAX_NODES] = {0};
    for (int i = 0; i < g->count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            used[g->nodes[i].inputs[k]] = 1;
    for (int i = 0; i < g->count - 1; i++)
        if (!used[i])
            return message_set(m, STATUS_MISMATCH, "node '%s' is never used", g->nodes[i].name);
    return 0;
}

int graph_verify(struct graph *g, struct message *m)
{
    if (g->count < 1 || g->count > GRAPH_MAX_NODES)
        return message_set(m, STATUS_RANGE, "a graph has 1 to %d nodes, got %d", GRAPH_MAX_NODES, g->count);
    for (int i = 0; i < g->count; i++)
        TRY(verify_at(g, i, m));
    const struct node *last = &g->nodes[g->count - 1];
    if (last->type != NODE_F32 || !last->is_vector)
        return message_set(m, STATUS_MISMATCH, "the last node '%s' must give f32[K]", last->name);
    return check_all_used(g, m);
}

/* Types and shapes, node by node: what a graph must satisfy before anything else may look at it. */
#include "graph/graph.h"
#include "graph/op.h"
#include <stdio.h>
#include <string.h>

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

static int most_inputs(const struct op *op)
{
    int most = op->more_inputs ? NODE_MAX_INPUTS : op->input_count;
    for (const struct attribute *a = op->attributes; a && a->name; a++)
        most += a->kind == ATTRIBUTE_INPUT;
    return most;
}

static int check_inputs(const struct graph *g, int i, struct message *m)
{
    const struct node *n = &g->nodes[i];
    const struct op *op = op_of(n);
    if (n->input_count < op->input_count || n->input_count > most_inputs(op))
        return message_set(m, STATUS_RANGE, "%s takes %d inputs, got %d", op->name, op->input_count,
                           n->input_count);
    for (int k = 0; k < n->input_count; k++) {
        if (n->inputs[k] < 0 || n->inputs[k] >= i)
            return message_set(m, STATUS_RANGE, "input %d does not stand before its user", k);
        if (node_input(g, n, k)->op == OP_INPUT && !op->reads_pixels)
            return message_set(m, STATUS_MISMATCH, "only normalize may read the input");
    }
    if ((n->op == OP_INPUT) != (i == 0))
        return message_set(m, STATUS_RANGE, "the first node, and no other, is the input");
    if (op->reads_pixels && node_input(g, n, 0)->op != OP_INPUT)
        return message_set(m, STATUS_MISMATCH, "%s reads the input, not a computed value", op->name);
    return 0;
}

static int check_form(const struct op *op, const struct node *x, struct message *m)
{
    if (op->form == FORM_MAP && x->is_vector)
        return message_set(m, STATUS_MISMATCH, "%s wants [H,W,C], got a vector", op->name);
    if (op->form == FORM_VECTOR && !x->is_vector)
        return message_set(m, STATUS_MISMATCH, "%s wants a vector [C]", op->name);
    return 0;
}

static int check_type(const struct op *op, const struct node *x, struct message *m)
{
    if (op->type == TYPE_F32 && x->type != NODE_F32)
        return message_set(m, STATUS_MISMATCH, "%s wants f32, got u8", op->name);
    if (op->type == TYPE_U8 && x->type != NODE_U8)
        return message_set(m, STATUS_MISMATCH, "%s wants u8, got f32", op->name);
    return 0;
}

/* What an attribute names as an input is like the result. */
static int check_residuals(const struct graph *g, const struct node *n, struct message *m)
{
    for (const struct attribute *a = op_of(n)->attributes; a && a->name; a++) {
        char what[64];
        if (a->kind != ATTRIBUTE_INPUT || !attribute_is_given(a, n))
            continue;
        snprintf(what, sizeof what, "%s cannot %s: residual", op_of(n)->name, a->name);
        TRY(node_check_same(n, node_input(g, n, a->input), what, m));
    }
    return 0;
}

static int check_extent(const struct node *n, struct message *m)
{
    TRY(integer_check("height", n->h, 1, GRAPH_MAX_SIDE, m));
    TRY(integer_check("width", n->w, 1, GRAPH_MAX_SIDE, m));
    TRY(integer_check("channels", n->c, 1, GRAPH_MAX_CHANNELS, m));
    if ((double)n->h * n->w * n->c > GRAPH_MAX_ELEMENTS)
        return message_set(m, STATUS_RANGE, "more than %d elements", GRAPH_MAX_ELEMENTS);
    return 0;
}

/* The result of node i, like its first input to begin with. */
static void result_begin(const struct graph *g, struct node *n)
{
    const struct node *x = node_input(g, n, 0);
    n->type = x->type;
    n->h = x->h;
    n->w = x->w;
    n->c = x->c;
    n->is_vector = x->is_vector;
}

static int verify_node(struct graph *g, int i, struct message *m)
{
    struct node *n = &g->nodes[i];
    const struct op *op = op_at(n->op);
    if (!op)
        return message_set(m, STATUS_RANGE, "unknown operation");
    TRY(check_inputs(g, i, m));
    if (n->input_count > 0) {
        TRY(check_form(op, node_input(g, n, 0), m));
        TRY(attributes_check(op->attributes, n, m));
        TRY(check_type(op, node_input(g, n, 0), m));
        result_begin(g, n);
    }
    if (op->rule)
        TRY(op->rule(g, n, m));
    if (node_weight_count(g, n) > GRAPH_MAX_ELEMENTS)
        return message_set(m, STATUS_RANGE, "more than %d weights", GRAPH_MAX_ELEMENTS);
    TRY(check_residuals(g, n, m));
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

#include "graph/graph.h"
#include "base/memory.h"
#include <string.h>

static const char *const op_names[OP_COUNT] = {"input", "normalize", "conv2d", "batchnorm", "relu",
                                               "add",   "avgpool",   "linear", "quantize",  "dequantize"};

const char *graph_op_name(enum graph_op op)
{
    return (unsigned)op < OP_COUNT ? op_names[op] : "?";
}

const char *graph_stage_name(enum graph_stage s)
{
    static const char *const names[] = {"float", "fused", "int8"};
    return (unsigned)s < 3 ? names[s] : "?";
}

void graph_free(struct graph *g)
{
    memory_free(g->nodes);
    *g = (struct graph){0};
}

int graph_copy(struct graph *to, const struct graph *from, struct message *m)
{
    *to = (struct graph){0};
    to->nodes = memory_new_raw((size_t)from->count, sizeof *to->nodes, m);
    if (!to->nodes)
        return STATUS_NOMEM;
    if (from->count > 0)
        memcpy(to->nodes, from->nodes, (size_t)from->count * sizeof *to->nodes);
    to->count = to->capacity = from->count;
    return 0;
}

static int graph_reserve(struct graph *g, struct message *m)
{
    if (g->count < g->capacity)
        return 0;
    size_t old = (size_t)g->capacity * sizeof *g->nodes;
    int capacity = g->capacity ? 2 * g->capacity : 64;
    struct node *nodes = memory_resize(g->nodes, old, (size_t)capacity, sizeof *nodes, m);
    if (!nodes)
        return STATUS_NOMEM;
    g->nodes = nodes;
    g->capacity = capacity;
    return 0;
}

int graph_append(struct graph *g, enum graph_op op, const char *name, int input0, int input1, struct message *m)
{
    if (strlen(name) >= NODE_NAME_SIZE)
        return message_set(m, STATUS_RANGE, "node name '%s' is longer than %d bytes", name, NODE_NAME_SIZE - 1);
    if (g->count >= GRAPH_MAX_NODES)
        return message_set(m, STATUS_RANGE, "more than %d nodes", GRAPH_MAX_NODES);
    TRY(graph_reserve(g, m));
    struct node *n = &g->nodes[g->count];
    memset(n, 0, sizeof *n);
    strcpy(n->name, name);
    n->op = op;
    n->inputs[0] = input0;
    n->inputs[1] = input1;
    n->input_count = input0 < 0 ? 0 : input1 < 0 ? 1 : 2;
    n->stride = n->groups = 1;
    n->eps = 1e-5f;
    return g->count++;
}

int graph_find(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->count; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return i;
    return -1;
}

int graph_uses(const struct graph *g, int i)
{
    int uses = i == g->count - 1;
    for (int j = i + 1; j < g->count; j++)
        for (int k = 0; k < g->nodes[j].input_count; k++)
            uses += g->nodes[j].inputs[k] == i;
    return uses;
}

int node_is_integer(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    if (n->op == OP_INPUT || n->op == OP_NORMALIZE || n->op == OP_DEQUANTIZE || n->input_count == 0)
        return 0;
    return g->nodes[n->inputs[0]].type == NODE_U8;
}

int node_is_observed(const struct graph *g, int i)
{
    return i > 0 && i < g->count - 1 && g->nodes[i].type == NODE_F32;
}

double node_macs(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    if (n->op != OP_CONV2D && n->op != OP_LINEAR)
        return 0;
    const struct node *x = &g->nodes[n->inputs[0]];
    if (n->op == OP_LINEAR)
        return (double)n->out * x->c;
    return (double)n->h * n->w * n->out * (x->c / n->groups) * n->kernel * n->kernel;
}

static int takes_epilogue(const struct graph *g, int conv, int for_add)
{
    const struct node *n = &g->nodes[conv];
    return n->op == OP_CONV2D && !n->has_relu && (!for_add || n->input_count == 1) && graph_uses(g, conv) == 1;
}

int graph_fusable(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    if (n->op == OP_RELU)
        return takes_epilogue(g, n->inputs[0], 0) ? n->inputs[0] : -1;
    if (n->op != OP_ADD)
        return -1;
    int early = n->inputs[0] < n->inputs[1] ? n->inputs[0] : n->inputs[1];
    int late = n->inputs[0] < n->inputs[1] ? n->inputs[1] : n->inputs[0];
    return takes_epilogue(g, late, 1) ? late : takes_epilogue(g, early, 1) ? early : -1;
}

enum graph_stage graph_stage(const struct graph *g)
{
    for (int i = 1; i < g->count; i++)
        if (g->nodes[i].type == NODE_U8)
            return STAGE_INT8;
    for (int i = 0; i < g->count; i++)
        if (g->nodes[i].op == OP_BATCHNORM || graph_fusable(g, i) >= 0)
            return STAGE_FLOAT;
    return STAGE_FUSED;
}

int graph_require_stage(const struct graph *g, enum graph_stage want, struct message *m)
{
    enum graph_stage have = graph_stage(g);
    if (have == want)
        return 0;
    const char *advice = have == STAGE_FLOAT && want == STAGE_FUSED  ? ": run fuse first"
                         : have == STAGE_FUSED && want == STAGE_INT8 ? ": run quantize first"
                         : have == STAGE_FLOAT && want == STAGE_INT8 ? ": run fuse, calibrate and quantize first"
                                                                     : "";
    return message_set(m, STATUS_MISMATCH, "is at stage %s, want %s%s", graph_stage_name(have),
                       graph_stage_name(want), advice);
}
